"""One demo, one Chromium and one list of examined pages for all the stories of a test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.demo import RunningDemo, running_demo
from tests.support.visitor import Examined, Visit, launched, visiting


@pytest.fixture(scope="session")
def demo() -> Iterator[RunningDemo]:
    with running_demo() as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def examined() -> Examined:
    return Examined()


@pytest.fixture
def visit(chromium: Browser, demo: RunningDemo, examined: Examined) -> Iterator[Visit]:
    """A way to bring a visitor with a browser that was never here: `visit("en")`."""
    with visiting(chromium, demo, examined) as bring:
        yield bring

"""Somebody in front of a browser on a small phone, who looks at each page they come to.

Each page that a visitor comes to is examined once in a test run: no violation of WCAG 2.2 AA or of what axe calls best practice, no
sideways scrolling at 320 px. Whatever the strict policy stops is a complaint, and fails the test at its end.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, Playwright, Response

from tests.support.demo import DemoPerson, RunningDemo

CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "chromium")
"""The one that `make browser-ready` found."""
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE: Final = {"width": 320, "height": 800}
RULES: Final = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
}
PATIENCE: Final = 30_000
"""Milliseconds that a page may take before the test gives up."""
_NAMES: Final = re.compile(r"/(?:i|activate|signed-out)/[A-Za-z0-9_-]{20,}")
_EXPECTED_COMPLAINTS: Final = (
    "Autofocus processing was blocked",
    "Failed to load resource: the server responded with a status of",  # a page with a status of its own, such as 403
)


def launched(playwright: Playwright) -> Browser:
    """Start Chromium."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))


@dataclass
class Examined:
    """Which pages were examined in this test run, so that none is twice."""

    pages: set[tuple[str, ...]] = field(default_factory=set)


class Visitor:
    """One person with one browser window. `language` is what they choose on the pages: vi or en."""

    def __init__(self, page: Page, demo: RunningDemo, examined: Examined, language: str = "vi", *, has_scripts: bool = True) -> None:
        self.page = page
        self.has_scripts = has_scripts
        self.demo = demo
        self.language = language
        self.complaints: list[str] = []
        self._examined = examined
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda fault: self.complaints.append(str(fault)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not text.startswith(_EXPECTED_COMPLAINTS):
            self.complaints.append(f"{self.page.url}: {text}")

    # looking ----------------------------------------------------------------------------------------------------------------------

    @property
    def heading(self) -> str:
        """The one first-level heading."""
        return self.page.locator("h1").inner_text().replace("\n", " ")

    @property
    def text(self) -> str:
        """Everything that can be read in the middle of the page."""
        return self.page.locator("main").inner_text()

    @property
    def place(self) -> str:
        """Which page this is: the address without what makes each one unlike any other."""
        parts = urlsplit(self.page.url)
        origins = {self.demo.issuer: "provider", self.demo.national: "national", self.demo.provincial: "provincial"}
        path = _NAMES.sub(lambda found: "/" + found[0].split("/")[1], parts.path)
        return origins[f"{parts.scheme}://{parts.netloc}"] + path

    def shows(self, selector: str) -> bool:
        """Whether something can be seen."""
        return self.page.locator(selector).first.is_visible()

    def examine(self) -> None:
        """Look whether everybody can use this page; each kind of page once in each language."""
        language = self.page.locator("html").get_attribute("lang") or ""
        assert language == self.language, f"{self.place} is in {language}"
        state = "wrong" if self.shows(".govuk-error-summary") else "right"
        kind = (self.place, language, state, self.heading)
        if not self.has_scripts or kind in self._examined.pages:  # axe is a script
            return
        self._examined.pages.add(kind)
        width = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width[0] <= width[1], f"{kind} is {width[0]} wide in {width[1]}"
        self.page.evaluate("window.stop()")  # a page that renews itself waits until it was looked at
        self.page.evaluate(AXE_SCRIPT + "; undefined")
        found: list[dict[str, Any]] = self.page.evaluate("rules => axe.run(document, rules)", RULES)["violations"]
        assert [f"{kind}: {one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]] == []
        if self.place == "provider/signed-out":
            self.page.reload()

    # doing ------------------------------------------------------------------------------------------------------------------------

    def open(self, address: str) -> Self:
        """Type an address."""
        self.page.goto(address)
        self.examine()
        return self

    def press(self, selector: str) -> Self:
        """Press what leads to another page."""
        with self.page.expect_navigation():
            self.page.locator(selector).first.click()
        self.examine()
        return self

    def fill(self, **typed: str) -> Self:
        """Type into fields, by their ids."""
        for name, value in typed.items():
            self.page.locator(f"#{name}").fill(value)
        return self

    def arrive(self, portal: str) -> Self:
        """Open a portal's first page, and choose the language if it is not Vietnamese."""
        self.page.goto(portal)
        if self.language != "vi" and self.page.locator("html").get_attribute("lang") == "vi":
            with self.page.expect_navigation():
                self.page.locator("#language").click()
        self.examine()
        return self

    def give_password(self, person: DemoPerson) -> Self:
        """Type number and password, and go on."""
        assert self.place == "provider/i/sign-in", self.place
        return self.fill(username=person.username, password=person.password).press("#continue")

    def give_code(self, person: DemoPerson) -> Self:
        """Type what the authenticator application shows, and go on."""
        assert self.place == "provider/i/totp", self.place
        return self.fill(code=person.code()).press("#continue")

    def allow(self) -> Self:
        """Agree to what the portal asks for."""
        assert self.place == "provider/i/consent", self.place
        return self.press("#allow")

    def facts(self) -> dict[str, str]:
        """Return what a portal shows of the identity it received."""
        found = self.page.locator("dd[id^=claim-]")
        return {str(row.get_attribute("id")).removeprefix("claim-"): row.inner_text() for row in found.all()}


Visit = Callable[..., Visitor]


@contextmanager
def visiting(browser: Browser, demo: RunningDemo, examined: Examined) -> Iterator[Visit]:
    """Lend a way to bring visitors, each with a browser of their own that was never here; go through their complaints at the end."""
    visitors: list[Visitor] = []

    def visit(language: str = "vi", **options: Any) -> Visitor:
        context = browser.new_context(**{"viewport": PHONE, **options})
        has_scripts = options.get("java_script_enabled", True)
        visitors.append(Visitor(context.new_page(), demo, examined, language, has_scripts=has_scripts))
        return visitors[-1]

    try:
        yield visit
        assert [complaint for visitor in visitors for complaint in visitor.complaints] == []
    finally:
        for visitor in visitors:
            visitor.page.context.close()


def weighed(page: Page, action: Callable[[], Response | object]) -> int:
    """Return how many bytes of bodies travelled while `action` led to another page."""
    sizes: list[int] = []

    def add(request: Any) -> None:
        sizes.append(request.sizes()["responseBodySize"])

    page.on("requestfinished", add)
    action()
    page.wait_for_load_state("networkidle")
    page.remove_listener("requestfinished", add)
    return sum(sizes)

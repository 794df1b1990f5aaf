"""A node behind proxies, for the files that look at one from outside; whoever needs another node makes their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from idp.kernel.clock import SystemClock
from tests.support.load import wait_until
from tests.support.provider import Portal, Provider, make_provider
from tests.support.proxies import served_behind
from tests.support.served import Served


@pytest.fixture(scope="module")
def node(engines: Engines, database_urls: DatabaseUrls) -> Iterator[Served]:
    with served_behind(engines, database_urls) as served:
        yield served


@pytest.fixture(scope="module")
def beside(engines: Engines, database_urls: DatabaseUrls, node: Served) -> Iterator[Provider]:
    """The same provider inside the test, to make people and clients."""
    provider = make_provider(engines, database_urls, SystemClock(), issuer=node.issuer, wrapping_key=node.wrapping)
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def registered(beside: Provider, node: Served) -> Portal:
    """A portal that the node knows already: configuration is at most a second old (design §4)."""
    portal = beside.client("portal")
    wait_until(lambda: node.get(portal.ask())[0] == 303, within=5)
    return portal

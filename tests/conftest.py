"""Real engines for every test that wants one: started once for each test process, a fresh database for each module."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import settings

from idp.demo.engines import DatabaseUrls, Engines, TemporaryEngines
from idp.kernel.clock import FixedClock, SystemClock
from idp.kernel.sealing import Sealer, SealingKeys
from idp.storage.ephemeral import Ephemeral
from idp.storage.migrations import migrate
from idp.storage.postgres import Database
from tests.support.journeys import Journeys
from tests.support.provider import Browser, Provider, make_provider

settings.register_profile("here", parent=settings(), deadline=None)  # what is slow is measured elsewhere
settings.load_profile("here")

MORNING = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    with TemporaryEngines() as running:
        urls = running.make_database("pattern")
        # Partitions for both times that tests live in: a standing clock's, and the real one of served processes and workers.
        for day in (MORNING.date(), SystemClock().now().date()):
            migrate(urls.owner, day, lambda _: None)
        with running.connect_superuser("pattern") as owner:
            owner.execute("INSERT INTO deployment (mode, issuer) VALUES ('test', 'http://localhost:8000')")
        yield running


@pytest.fixture(scope="module")
def database_urls(engines: Engines) -> DatabaseUrls:
    name = f"test_{uuid4().hex[:12]}"
    return engines.make_database(name, template="pattern")


@pytest.fixture(scope="module")
def database(database_urls: DatabaseUrls) -> Iterator[Database]:
    opened = Database(database_urls.app)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def owner_database(database_urls: DatabaseUrls) -> Iterator[Database]:
    opened = Database(database_urls.owner)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def ephemeral(engines: Engines) -> Iterator[Ephemeral]:
    opened = Ephemeral(engines.redis_url)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(MORNING)


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(SealingKeys(sealing={1: bytes(range(32))}, indexing={2: bytes(range(32, 64))}, seal_with=1, index_with=2))


@pytest.fixture(scope="module")
def op(engines: Engines, database_urls: DatabaseUrls) -> Iterator[Provider]:
    """A provider of the module's own; its clock stands at a morning and is moved by the tests."""
    provider = make_provider(engines, database_urls, FixedClock(MORNING))
    yield provider
    provider.close()


@pytest.fixture
def browser(op: Provider) -> Browser:
    """A browser that was never here before."""
    return Browser(op)


@pytest.fixture(scope="module")
def journeys(op: Provider) -> Journeys:
    """The module's provider with the portals and the ways through its pages that many tests walk."""
    return Journeys(op)

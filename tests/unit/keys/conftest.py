"""A keeper of keys over a database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from idp.audit.model import Origin
from idp.demo.engines import DatabaseUrls, Engines
from idp.kernel.clock import FixedClock
from idp.keys import KeyEncryption, KeyKeeper, KeyRing
from idp.storage.postgres import Database


@pytest.fixture
def fresh_urls(engines: Engines) -> DatabaseUrls:
    return engines.make_database(f"keys_{uuid4().hex[:12]}", template="pattern")


@pytest.fixture
def fresh(fresh_urls: DatabaseUrls) -> Iterator[Database]:
    opened = Database(fresh_urls.app)
    yield opened
    opened.close()


@pytest.fixture
def fresh_owner(fresh_urls: DatabaseUrls) -> Iterator[Database]:
    opened = Database(fresh_urls.owner)
    yield opened
    opened.close()


@pytest.fixture
def encryption() -> KeyEncryption:
    return KeyEncryption({"first": bytes(range(32))})


@pytest.fixture
def keeper(fresh: Database, encryption: KeyEncryption, clock: FixedClock) -> KeyKeeper:
    made = KeyKeeper(fresh, encryption, clock)
    made.make_first_keys(Origin.operated("test"), ("ES256",))
    return made


@pytest.fixture
def rsa(keeper: KeyKeeper) -> None:
    """The RSA key too, which takes a while to make."""
    keeper.make_first_keys(Origin.operated("test"))


@pytest.fixture
def ring(keeper: KeyKeeper, fresh: Database, encryption: KeyEncryption, clock: FixedClock) -> KeyRing:
    return KeyRing(fresh, encryption, clock)

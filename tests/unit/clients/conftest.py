"""Clients over the module's database, and a declaration to start from."""

from __future__ import annotations

from typing import Any

import pytest

from idp.clients.service import Clients
from idp.jose import new_private_key
from idp.kernel.clock import FixedClock
from idp.storage.postgres import Database


@pytest.fixture
def clients(database: Database, clock: FixedClock) -> Clients:
    return Clients(database, clock)


@pytest.fixture(scope="session")
def jwks() -> dict[str, Any]:
    return {"keys": [new_private_key("ES256").public]}

"""Clients over the module's database, and a declaration to start from."""

from __future__ import annotations

from typing import Any

import pytest

from idp.clients.service import Clients
from idp.jose import new_private_key
from idp.kernel.clock import FixedClock
from idp.oidc.claims import CLAIMS_OF_SCOPE
from idp.reference.countries import get_country
from idp.storage.postgres import Database


@pytest.fixture
def clients(database: Database, clock: FixedClock) -> Clients:
    return Clients(database, clock, get_country("VN"), CLAIMS_OF_SCOPE)


@pytest.fixture(scope="session")
def jwks() -> dict[str, Any]:
    return {"keys": [new_private_key("ES256").public]}

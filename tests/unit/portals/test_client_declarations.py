"""The demo declarations are what `clients/README.md` says they are."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from idp.clients.declaration import read_declaration
from idp.clients.filling import fill

ENVIRONMENT = {
    "NATIONAL_PORTAL_URL": "http://localhost:8001",
    "PROVINCIAL_PORTAL_URL": "http://localhost:8002",
    "APPOINTMENT_PAGE_URL": "http://localhost:8003",
    "FORMER_PORTAL_URL": "http://localhost:8004",
    "FORMER_PORTAL_UNTIL": "2027-06-30",
    "LOAD_TEST_URL": "http://127.0.0.1:8005",
}
CLIENTS = Path(__file__).parents[3] / "clients"
DECLARATIONS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((CLIENTS / "declarations").glob("*.json"))}
README = (CLIENTS / "README.md").read_text(encoding="utf-8")


def read(name: str) -> dict[str, Any]:
    declared: dict[str, Any] = json.loads(DECLARATIONS[name])
    return declared


@pytest.mark.parametrize("name", DECLARATIONS)
def test_every_field_and_variable_is_documented(name: str) -> None:
    fields = {field.partition("#")[0] for field in read(name)}
    variables = set(re.findall(r"\$\{([A-Z_]+)\}", DECLARATIONS[name]))
    assert {each for each in fields | variables if f"`{each}`" not in README} == set()


@pytest.mark.parametrize("name", DECLARATIONS)
def test_no_declaration_holds_a_secret_or_a_key(name: str) -> None:
    """Secrets are made at import and shown once; keys come from `--jwks`."""
    assert {"client_secret", "jwks"} & set(read(name)) == set()


@pytest.mark.parametrize("name", DECLARATIONS)
def test_every_scope_that_shares_something_has_its_reason_in_both_languages(name: str) -> None:
    declared = read(name)
    shared = set(declared.get("scope", "").split()) - {"openid"}
    assert set(declared.get("purposes", {})) == shared
    assert all(set(reason) == {"vi", "en"} for reason in declared.get("purposes", {}).values())


@pytest.mark.parametrize("name", DECLARATIONS)
def test_every_declaration_is_accepted_as_it_stands(name: str) -> None:
    """Each is read as `idp clients import` reads it, with the addresses that `make run` gives the portals."""
    declared = fill(read(name), ENVIRONMENT)
    if declared["token_endpoint_auth_method"] == "private_key_jwt":
        key = ECKey.generate_key("P-256", {"kid": "one", "use": "sig", "alg": "ES256"}, private=True)
        declared["jwks"] = {"keys": [key.as_dict(private=False)]}
    says = read_declaration(declared, datetime(2026, 6, 1, tzinfo=UTC)).says
    assert says.client_id == declared["client_id"]


def test_client_ids_and_sectors_are_distinct() -> None:
    """OIDC Core §8.1: portals that share a host name would share their pairwise subjects."""
    declared = [read(name) for name in DECLARATIONS]
    assert len({each["client_id"] for each in declared}) == len(declared)
    sectors = [each["sector"] for each in declared if "sector" in each]
    assert len(set(sectors)) == len(sectors)


def test_only_the_legacy_client_has_an_end_and_it_has_one() -> None:
    assert [name for name in DECLARATIONS if "legacy_until" in read(name)] == ["former_portal"]
    assert [name for name in DECLARATIONS if read(name)["profile"] == "legacy"] == ["former_portal"]

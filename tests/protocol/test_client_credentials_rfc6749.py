"""A client acting for itself (RFC 6749 §4.4): its own scopes, no person, no refresh token."""

from __future__ import annotations

import pytest

from tests.support.asking import later
from tests.support.provider import OPERATOR, Portal, Provider


@pytest.fixture(scope="module")
def machine(op: Provider) -> Portal:
    return op.client(
        "machine",
        grant_types=["authorization_code", "refresh_token", "client_credentials"],
        scope="openid profile offline_access read:files write:files",
    )


def ask(machine: Portal, **form: str) -> dict[str, object]:
    return machine.call("/token", {"grant_type": "client_credentials", **form}).json


def test_it_gets_its_own_scopes(machine: Portal) -> None:
    got = ask(machine)
    assert got["scope"] == "read:files write:files"
    assert set(got) == {"access_token", "token_type", "expires_in", "scope"}
    said = machine.introspect(str(got["access_token"]))
    assert said["active"] is True
    assert said["client_id"] == "machine"
    assert "sub" not in said


def test_it_may_ask_for_less(machine: Portal) -> None:
    got = ask(machine, scope="write:files")
    assert got["scope"] == "write:files"
    assert machine.introspect(str(got["access_token"]))["scope"] == "write:files"


@pytest.mark.parametrize(
    "scope", ["admin", "read:files admin", "openid", "profile", "read:files openid", "offline_access", "READ:FILES", "*"]
)
def test_scopes_that_were_not_assigned_and_those_about_people_are_refused(machine: Portal, scope: str) -> None:
    """ASVS 10.4.11: scopes about people are nobody's to have without a person."""
    assert ask(machine, scope=scope)["error"] == "invalid_scope"


def test_a_client_without_scopes_of_its_own_gets_a_token_without_any(op: Provider) -> None:
    bare = op.client("bare", grant_types=["authorization_code", "client_credentials"], scope="openid")
    got = ask(bare)
    assert "scope" not in got
    assert bare.introspect(str(got["access_token"]))["scope"] == ""


def test_the_token_ends_with_its_client(op: Provider) -> None:
    """Law 8: disabled, and enabled again: what was issued before stays dead."""
    short = op.client("short", grant_types=["authorization_code", "client_credentials"], scope="openid read:x")
    resource = op.client("resource", may_introspect=True)
    token = str(ask(short)["access_token"])
    assert resource.introspect(token)["active"] is True
    later(op, seconds=2)
    op.rooms.clients.disable("short", "test", origin=OPERATOR)
    assert resource.introspect(token) == {"active": False}
    later(op, seconds=2)
    op.rooms.clients.enable("short", origin=OPERATOR)
    assert resource.introspect(token) == {"active": False}
    later(op, seconds=2)
    assert resource.introspect(str(ask(short)["access_token"]))["active"] is True

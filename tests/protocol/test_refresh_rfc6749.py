"""Refreshing (RFC 6749 §6, RFC 9700 §4.14.2, OIDC Core §12)."""

from __future__ import annotations

import pytest

from tests.support.asking import bought, later, seconds_now, signed_in
from tests.support.provider import Browser, Person, Portal, Provider, claims_of

OFFLINE = "openid profile email offline_access"


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person()


@pytest.fixture(scope="module")
def home(op: Provider, portal: Portal, citizen: Person) -> Browser:
    return signed_in(op, portal, citizen, scope=OFFLINE)


def test_a_refresh_token_is_replaced_with_every_use(portal: Portal, home: Browser, citizen: Person) -> None:
    first = bought(portal, home, citizen, scope=OFFLINE)
    second = portal.refresh(first["refresh_token"]).json
    third = portal.refresh(second["refresh_token"]).json
    assert len({first["refresh_token"], second["refresh_token"], third["refresh_token"]}) == 3
    assert len({first["access_token"], second["access_token"], third["access_token"]}) == 3
    assert third["scope"] == OFFLINE
    assert portal.userinfo(third["access_token"]).status == 200
    assert portal.userinfo(first["access_token"]).status == 200, "an access token lives out its ten minutes"


def test_no_refresh_token_without_offline_access(portal: Portal, home: Browser, citizen: Person) -> None:
    """OIDC Core §11: what works without the person being there is asked for by name."""
    assert "refresh_token" not in bought(portal, home, citizen, scope="openid profile")


def test_a_replay_kills_the_family_the_winner_included(portal: Portal, home: Browser, citizen: Person) -> None:
    """Another family of the same person and client goes on."""
    other = bought(portal, home, citizen, scope=OFFLINE)
    first = bought(portal, home, citizen, scope=OFFLINE)
    second = portal.refresh(first["refresh_token"]).json

    replay = portal.refresh(first["refresh_token"])

    assert replay.status == 400
    assert replay.json["error"] == "invalid_grant"
    for dead in (first["access_token"], second["access_token"]):
        assert portal.userinfo(dead).status == 401
        assert portal.introspect(dead) == {"active": False}
    assert portal.introspect(second["refresh_token"]) == {"active": False}
    assert portal.refresh(second["refresh_token"]).json["error"] == "invalid_grant"
    assert portal.refresh(other["refresh_token"]).status == 200


def test_scope_narrows_and_never_grows(portal: Portal, home: Browser, citizen: Person) -> None:
    """RFC 6749 §6: the access token is narrower; the grant behind it keeps its scope."""
    first = bought(portal, home, citizen, scope=OFFLINE)
    narrow = portal.refresh(first["refresh_token"], scope="openid email").json
    assert narrow["scope"] == "openid email"
    told = portal.userinfo(narrow["access_token"]).json
    assert "email" in told
    assert "name" not in told
    wide = portal.refresh(narrow["refresh_token"]).json
    assert wide["scope"] == OFFLINE
    assert "name" in portal.userinfo(wide["access_token"]).json


@pytest.mark.parametrize("scope", ["openid address", "openid identity", "openid unheard-of", "openid profile email offline_access phone"])
def test_more_scope_than_was_granted_is_refused(portal: Portal, home: Browser, citizen: Person, scope: str) -> None:
    first = bought(portal, home, citizen, scope=OFFLINE)
    refused = portal.refresh(first["refresh_token"], scope=scope)
    assert refused.status == 400
    assert refused.json["error"] == "invalid_scope"


def test_a_refresh_without_openid_has_no_id_token(portal: Portal, home: Browser, citizen: Person) -> None:
    first = bought(portal, home, citizen, scope=OFFLINE)
    narrow = portal.refresh(first["refresh_token"], scope="profile").json
    assert "id_token" not in narrow
    assert portal.userinfo(narrow["access_token"]).status == 403


def test_the_id_token_of_a_refresh_speaks_of_the_same_sign_in(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """OIDC Core §12.2: same `iss`, `sub`, `aud`, `auth_time`; a new `iat`; no `nonce`."""
    first = bought(portal, home, citizen, scope=OFFLINE)
    later(op, minutes=20)
    before = claims_of(first["id_token"])
    after = claims_of(portal.refresh(first["refresh_token"]).json["id_token"])
    for name in ("iss", "sub", "aud", "auth_time", "sid", "acr", "amr", "ial", "aal"):
        assert after[name] == before[name], name
    assert after["iat"] == seconds_now(op)
    assert before["nonce"] == "the-nonce"
    assert "nonce" not in after
    assert after["at_hash"] != before["at_hash"]


def test_another_client_s_refresh_token_buys_nothing(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """RFC 6749 §10.4: bound to the client it was issued to."""
    other = op.client("other")
    first = bought(portal, home, citizen, scope=OFFLINE)
    assert other.refresh(first["refresh_token"]).json["error"] == "invalid_grant"


def test_a_refresh_token_lapses_unused_and_its_family_in_all(op: Provider, portal: Portal, citizen: Person) -> None:
    """ASVS 10.4.8: an idle end, and an absolute one that no use moves."""
    home = Browser(op)
    idle = bought(portal, home, citizen, scope=OFFLINE)["refresh_token"]
    used = bought(portal, home, citizen, scope=OFFLINE)["refresh_token"]
    for _ in range(2):
        later(op, days=13)
        used = portal.refresh(used).json["refresh_token"]
    assert portal.refresh(idle).json["error"] == "invalid_grant"
    later(op, days=3, hours=23)
    used = portal.refresh(used).json["refresh_token"]
    later(op, hours=2)
    assert portal.refresh(used).json["error"] == "invalid_grant"


def test_what_is_no_refresh_token_buys_nothing(portal: Portal, home: Browser, citizen: Person) -> None:
    """Cut, lengthened, in other letters, or of another kind; the control afterwards."""
    tokens = bought(portal, home, citizen, scope=OFFLINE)
    good = tokens["refresh_token"]
    for bad in (
        good[:-1],
        good + "A",
        good.swapcase(),
        good + "=",
        good + ".",
        " " + good,
        tokens["access_token"],
        tokens["id_token"],
        "x",
    ):
        assert portal.refresh(bad).json["error"] == "invalid_grant", bad
    assert portal.refresh(good).status == 200

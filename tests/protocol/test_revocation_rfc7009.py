"""Revocation (RFC 7009): a client gives back its own tokens, and nobody else's."""

from __future__ import annotations

import pytest

from tests.support.asking import bought, signed_in
from tests.support.audit import Trail
from tests.support.provider import Browser, Person, Portal, Provider

OFFLINE = "openid profile offline_access"


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person()


@pytest.fixture(scope="module")
def home(op: Provider, portal: Portal, citizen: Person) -> Browser:
    return signed_in(op, portal, citizen, scope=OFFLINE)


def test_an_access_token_dies_alone(portal: Portal, home: Browser, citizen: Person) -> None:
    """RFC 7009 §2.1."""
    tokens = bought(portal, home, citizen, scope=OFFLINE)
    answered = portal.revoke(tokens["access_token"])
    assert (answered.status, answered.body) == (200, b"")
    assert answered.header("cache-control") == "no-store"
    assert portal.userinfo(tokens["access_token"]).status == 401
    assert portal.refresh(tokens["refresh_token"]).status == 200


def test_a_refresh_token_takes_its_access_tokens_along(portal: Portal, home: Browser, citizen: Person) -> None:
    """RFC 7009 §2.1: the whole grant ends; another grant of the same person goes on."""
    other = bought(portal, home, citizen, scope=OFFLINE)
    tokens = bought(portal, home, citizen, scope=OFFLINE)
    renewed = portal.refresh(tokens["refresh_token"]).json
    assert portal.revoke(renewed["refresh_token"]).status == 200
    for dead in (tokens["access_token"], renewed["access_token"]):
        assert portal.userinfo(dead).status == 401
    assert portal.refresh(renewed["refresh_token"]).json["error"] == "invalid_grant"
    assert portal.userinfo(other["access_token"]).status == 200


def test_a_replaced_refresh_token_revokes_its_family_as_well(portal: Portal, home: Browser, citizen: Person) -> None:
    """RFC 7009 §2.1: a portal that lost the newest one can still end what it began."""
    tokens = bought(portal, home, citizen, scope=OFFLINE)
    renewed = portal.refresh(tokens["refresh_token"]).json
    assert portal.revoke(tokens["refresh_token"]).status == 200
    assert portal.introspect(renewed["refresh_token"]) == {"active": False}


@pytest.mark.parametrize("what", ["access_token", "refresh_token"])
def test_another_client_s_token_is_left_alone(op: Provider, portal: Portal, home: Browser, citizen: Person, what: str) -> None:
    """RFC 7009 §2.1: 200, as for a token that never was; and the token lives."""
    evil = op.client(f"evil-{what.partition('_')[0]}")
    tokens = bought(portal, home, citizen, scope=OFFLINE)
    answered = evil.revoke(tokens[what])
    assert (answered.status, answered.body) == (200, b"")
    assert portal.introspect(tokens[what])["active"] is True
    assert portal.userinfo(tokens["access_token"]).status == 200


@pytest.mark.parametrize("token", ["unknown", "moa_" + "x" * 43, "eyJhbGciOiJub25lIn0.e30.", "x" * 8000, "\u0130 \u202e"])
def test_an_unknown_token_answers_200(portal: Portal, token: str) -> None:
    """RFC 7009 §2.2."""
    assert portal.revoke(token).status == 200


def test_revoking_twice_answers_200(portal: Portal, home: Browser, citizen: Person) -> None:
    tokens = bought(portal, home, citizen, scope=OFFLINE)
    for _ in range(2):
        assert portal.revoke(tokens["access_token"]).status == 200
        assert portal.revoke(tokens["refresh_token"]).status == 200


def test_who_revokes_has_to_say_who_they_are(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """RFC 7009 §2.1: client authentication as at the token endpoint; a public client by its `client_id`, for its own tokens."""
    token = bought(portal, home, citizen)["access_token"]
    assert op.call("POST", "/revoke", {"token": token}).status == 401
    assert op.call("POST", "/revoke", {"token": token, "client_id": "portal"}).status == 401
    assert portal.call("/revoke", {}).json["error"] == "invalid_request"
    assert op.call("GET", "/revoke?token=" + token).status == 405
    assert portal.userinfo(token).status == 200
    public = op.client("public", token_endpoint_auth_method="none")
    assert public.revoke(token).status == 200
    assert portal.userinfo(token).status == 200
    own = bought(public, Browser(op), citizen)["access_token"]
    assert public.revoke(own).status == 200
    assert public.userinfo(own).status == 401


@pytest.mark.parametrize("what", ["access_token", "refresh_token"])
@pytest.mark.parametrize("death", ["disabled_at = %(now)s", "expires_at = %(now)s"])
def test_a_client_that_died_meanwhile_revokes_nothing(op: Provider, citizen: Person, what: str, death: str) -> None:
    """RFC 7009 §2.2.1: dead within the request, not within the second that configuration may be old; `invalid_client`, and no record."""
    dying = op.client(f"dying-{what[:1]}-{death[:1]}")
    tokens = bought(dying, Browser(op), citizen, scope=OFFLINE)
    trail = Trail(op)
    with op.owner.transaction() as transaction:
        transaction.run(f"UPDATE client SET {death} WHERE client_id = %(id)s", {"id": dying.client_id, "now": op.clock.now()})
    answered = dying.revoke(tokens[what])
    assert (answered.status, answered.json["error"]) == (401, "invalid_client")
    assert (answered.header("www-authenticate") or "").startswith("Basic ")
    assert trail.new() == []
    with op.owner.transaction() as transaction:
        alive = "UPDATE client SET disabled_at = NULL, expires_at = 'infinity' WHERE client_id = %(id)s"
        transaction.run(alive, {"id": dying.client_id})
    assert dying.introspect(tokens[what])["active"] is True
    answered = dying.revoke(tokens[what])
    assert (answered.status, answered.body) == (200, b"")
    assert dying.introspect(tokens[what]) == {"active": False}
    assert [event.kind for event in trail.new()] == ["grants.token_revoked"]

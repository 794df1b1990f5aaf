"""Introspection (RFC 7662): a client learns of its own tokens; a resource server that was registered for it, of everybody's."""

from __future__ import annotations

import pytest

from tests.support.asking import ISSUER, bought, later, seconds_now, signed_in
from tests.support.provider import OPERATOR, Browser, Person, Portal, Provider, claims_of

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


def test_a_client_learns_what_its_tokens_are_good_for(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """RFC 7662 §2.2."""
    tokens = bought(portal, home, citizen, scope=OFFLINE)
    claims = claims_of(tokens["id_token"])
    said = portal.introspect(tokens["access_token"])
    assert said == {
        "active": True,
        "iss": ISSUER,
        "client_id": "portal",
        "token_type": "Bearer",
        "scope": OFFLINE,
        "iat": seconds_now(op),
        "exp": seconds_now(op) + 600,
        "sub": claims["sub"],
        "acr": claims["acr"],
        "ial": claims["ial"],
        "aal": claims["aal"],
        "amr": claims["amr"],
        "auth_time": claims["auth_time"],
    }
    assert portal.introspect(tokens["refresh_token"])["token_type"] == "refresh_token"


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "id_token", "nonsense", "\u0130"])
def test_a_hint_is_only_a_hint(portal: Portal, home: Browser, citizen: Person, hint: str) -> None:
    """RFC 7662 §2.1: whatever it says, the token is looked for everywhere."""
    token = bought(portal, home, citizen)["access_token"]
    assert portal.call("/introspect", {"token": token, "token_type_hint": hint}).json["active"] is True


def test_another_client_learns_nothing_and_a_resource_server_everything(
    op: Provider, portal: Portal, home: Browser, citizen: Person
) -> None:
    """RFC 7662 §2.2, §4: a token one may not ask about is like one that never was."""
    tokens = bought(portal, home, citizen, scope=OFFLINE)
    token = tokens["access_token"]
    foreign = op.client("foreign")
    resource = op.client(
        "resource",
        may_introspect=True,
        grant_types=["client_credentials"],
        redirect_uris=None,
        post_logout_redirect_uris=None,
        response_types=[],
        scope="read:x",
    )
    assert foreign.introspect(token) == {"active": False}
    assert foreign.introspect("moa_" + "x" * 43) == {"active": False}
    assert resource.introspect(token)["client_id"] == "portal"
    assert portal.introspect(tokens["refresh_token"])["active"] is True
    assert resource.introspect(tokens["refresh_token"]) == {"active": False}  # §4: nothing that opens anything there


def test_a_spent_a_revoked_and_an_expired_token_are_all_the_same(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """Judged anew each time, and told no more than `active`."""
    tokens = bought(portal, home, citizen, scope=OFFLINE)
    portal.refresh(tokens["refresh_token"])
    assert portal.introspect(tokens["refresh_token"]) == {"active": False}
    assert portal.introspect(tokens["access_token"])["active"] is True
    portal.revoke(tokens["access_token"])
    assert portal.introspect(tokens["access_token"]) == {"active": False}
    for other in ("", tokens["id_token"], "x" * 8000, "\u0130" * 40):
        answered = portal.call("/introspect", {"token": other})
        assert answered.status == (200 if other else 400)
        if other:
            assert answered.json == {"active": False}


def test_who_asks_has_to_authenticate(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """RFC 7662 §2.1, ASVS 10.4.10: no answer for strangers nor for clients that have no secret."""
    token = bought(portal, home, citizen)["access_token"]
    public = op.client("public", token_endpoint_auth_method="none")
    for answered in (
        op.call("POST", "/introspect", {"token": token}),
        op.call("POST", "/introspect", {"token": token, "client_id": "portal"}),
        op.call("POST", "/introspect", {"token": token}, headers={"Authorization": "Bearer " + token}),
        public.call("/introspect", {"token": token}),
    ):
        assert answered.status == 401
        assert answered.json["error"] == "invalid_client"
        assert "active" not in answered.json
    assert op.call("GET", "/introspect?token=" + token).status == 405
    assert op.call("POST", "/introspect?token=" + token, {"x": "y"}, headers={"Authorization": portal.authorization}).status == 400


def test_a_disabled_resource_server_learns_nothing_at_once(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """Law 8: liveness is joined, never remembered; not even for the second that configuration may be old."""
    token = bought(portal, home, citizen)["access_token"]
    resource = op.client("dying", may_introspect=True)
    assert resource.introspect(token)["active"] is True
    op.rooms.clients.disable("dying", "test", origin=OPERATOR)
    assert resource.introspect(token).get("active") is not True
    later(op, seconds=2)
    assert resource.call("/introspect", {"token": token}).status == 401

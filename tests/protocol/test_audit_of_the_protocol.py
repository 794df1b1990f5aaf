"""What the protocol's steps leave in the record: each event once, with what it is about, under a leaf that covers it (law 10)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.asking import bought, client_uuid, signed_in
from tests.support.audit import READ, Trail
from tests.support.provider import OPERATOR, Answered, Browser, Person, Portal, Provider, claims_of

OFFLINE = "openid profile offline_access"


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal", grant_types=["authorization_code", "refresh_token", "client_credentials"], scope=OFFLINE + " read:x")


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person()


@pytest.fixture
def home(op: Provider, portal: Portal, citizen: Person) -> Browser:
    return signed_in(op, portal, citizen, scope=OFFLINE)


@pytest.fixture
def trail(op: Provider, home: Browser) -> Trail:
    """What is recorded after somebody signed in."""
    return Trail(op)


def test_a_sign_in_is_recorded_from_the_proof_to_the_code(op: Provider, portal: Portal, citizen: Person) -> None:
    somebody = op.person()
    trail = Trail(op)
    portal.code_for(Browser(op), somebody)
    events = {event.kind: event for event in trail.new()}
    assert set(events) == {
        "sessions.method_proved",
        "authenticators.device_remembered",
        "grants.consent_given",
        "grants.code_issued",
    }
    client = client_uuid(op, "portal")
    assert all(event.account_id == somebody.account_id for event in events.values())
    assert events["sessions.method_proved"].client_id == client
    assert events["sessions.method_proved"].body["method"] == "password"
    assert events["grants.consent_given"].body["scopes"] == ["openid", "profile"]
    issued = events["grants.code_issued"]
    assert issued.session_id == events["sessions.method_proved"].session_id
    assert issued.family_id is not None
    assert issued.body["acr"] == "urn:motcua:acr:ial1.aal1"
    assert issued.body["address"] == "127.0.0.1"


def test_each_step_of_a_grant_is_recorded_once_with_its_ids(
    op: Provider, portal: Portal, citizen: Person, home: Browser, trail: Trail
) -> None:
    client = client_uuid(op, "portal")
    code = portal.code_for(home, citizen, scope=OFFLINE)
    issued = trail.one("grants.code_issued")
    related = (citizen.account_id, client, issued.session_id, issued.family_id)
    assert None not in related

    tokens = portal.redeem(code).json
    redeemed = trail.one("grants.code_redeemed")
    assert (redeemed.account_id, redeemed.client_id, redeemed.session_id, redeemed.family_id) == related

    portal.userinfo(tokens["access_token"])
    disclosed = trail.one("grants.attributes_disclosed")
    assert (disclosed.account_id, disclosed.client_id, disclosed.session_id, disclosed.family_id) == related
    portal.userinfo(tokens["access_token"])
    portal.introspect(tokens["access_token"])
    assert trail.kinds() == [], "the first fetch with a token is the disclosure; asking about it is none"

    renewed = portal.refresh(tokens["refresh_token"]).json
    refreshed = trail.one("grants.token_refreshed")
    assert (refreshed.account_id, refreshed.client_id, refreshed.session_id, refreshed.family_id) == related

    portal.revoke(renewed["access_token"])
    revoked = trail.one("grants.token_revoked")
    assert revoked.body["what"] == "access"
    assert (revoked.account_id, revoked.client_id, revoked.session_id, revoked.family_id) == related

    portal.refresh(tokens["refresh_token"])
    replayed = trail.one("grants.refresh_replayed")
    assert (replayed.account_id, replayed.client_id, replayed.session_id, replayed.family_id) == related

    portal.redeem(code)
    replayed = trail.one("grants.code_replayed")
    assert (replayed.account_id, replayed.client_id, replayed.session_id, replayed.family_id) == related


def test_a_revoked_family_is_recorded_once(op: Provider, portal: Portal, citizen: Person, home: Browser, trail: Trail) -> None:
    tokens = bought(portal, home, citizen, scope=OFFLINE)
    trail.new()
    for _ in range(2):
        portal.revoke(tokens["refresh_token"])
    revoked = trail.one("grants.token_revoked")
    assert revoked.body["what"] == "family"
    assert revoked.account_id == citizen.account_id


def test_refusals_are_recorded_with_their_reason(op: Provider, portal: Portal, citizen: Person, home: Browser, trail: Trail) -> None:
    """Actor, client, outcome, reason, from the moment a client is identified."""
    other = op.client("other")
    trail.new()

    def code() -> str:
        made = portal.code_for(home, citizen, scope=OFFLINE)
        trail.new()
        return made

    def offline() -> str:
        made: str = bought(portal, home, citizen, scope=OFFLINE)["refresh_token"]
        trail.new()
        return made

    spent = code()
    portal.redeem(spent)
    trail.new()
    attempts: list[tuple[Callable[[], Answered], str, str | None]] = [
        (lambda: portal.redeem("moc_" + "x" * 43), "grants.code_refused", "unknown"),
        (lambda: other.redeem(code()), "grants.code_refused", "wrong_client"),
        (lambda: portal.redeem(code(), redirect_uri="https://portal.example/other"), "grants.code_refused", "wrong_redirect_uri"),
        (lambda: portal.redeem(code(), code_verifier="w" * 43), "grants.code_refused", "wrong_verifier"),
        (lambda: portal.redeem(spent), "grants.code_replayed", None),
        (lambda: portal.refresh("mor_" + "x" * 43), "grants.refresh_refused", "unknown"),
        (lambda: portal.refresh(offline(), scope="admin"), "grants.refresh_refused", "scope_exceeded"),
    ]
    for attempt, kind, reason in attempts:
        assert attempt().status == 400
        event = trail.one(kind)
        assert event.body.get("reason") == reason
        assert event.client_id in {client_uuid(op, "portal"), client_uuid(op, "other")}


def test_attributes_in_an_id_token_are_a_disclosure(op: Provider, portal: Portal, citizen: Person, home: Browser, trail: Trail) -> None:
    """With each token that holds some; a token that holds none discloses nothing."""
    for claims, times in (({"id_token": {"name": None}}, 1), ({"id_token": {"auth_time": None}}, 0)):
        trail.new()
        tokens = bought(portal, home, citizen, scope="openid profile", claims=json.dumps(claims))
        assert ("name" in claims_of(tokens["id_token"])) == bool(times)
        disclosed = [each for each in trail.new() if each.kind == "grants.attributes_disclosed"]
        assert [(each.account_id, each.client_id) for each in disclosed] == [(citizen.account_id, client_uuid(op, portal.client_id))] * times


def test_a_client_s_own_token_is_recorded(op: Provider, portal: Portal, trail: Trail) -> None:
    portal.call("/token", {"grant_type": "client_credentials"})
    issued = trail.one("grants.client_token_issued")
    assert issued.client_id == client_uuid(op, "portal")
    assert issued.account_id is None
    assert issued.body["scopes"] == ["read:x"]


def test_what_was_refused_before_anybody_was_identified_leaves_nothing(op: Provider, portal: Portal, trail: Trail) -> None:
    """Law 10: rows begin where a client or an account is identified; before that there are bounded counts."""
    for answered in (
        op.call("GET", "/authorize?client_id=nobody"),
        op.call("GET", portal.ask(scope=None)),
        op.call("POST", "/token", {"grant_type": "authorization_code", "client_id": "nobody", "code": "x"}),
        op.call("POST", "/token", {"grant_type": "client_credentials"}, headers={"Authorization": "Basic cG9ydGFsOng="}),
        portal.userinfo("moa_" + "x" * 43),
        portal.introspect("x"),
        portal.revoke("x"),
    ):
        assert answered is not None
    assert trail.kinds() == []


def test_no_event_holds_what_was_presented_or_who_it_is_about(op: Provider, portal: Portal, citizen: Person, home: Browser) -> None:
    """Law 10: no secret, no personal number, no name in the record."""
    code = portal.code_for(home, citizen, scope=OFFLINE)
    tokens = portal.redeem(code).json
    portal.userinfo(tokens["access_token"])
    portal.redeem(code)
    kept = [portal.secret, citizen.username, citizen.name, citizen.password, citizen.totp_secret, code, portal.verifier]
    kept += [tokens["access_token"], tokens["refresh_token"], tokens["id_token"], *citizen.recovery_codes, *home.cookies.values()]
    with op.owner.transaction() as transaction:
        record = b"\n".join(bytes(row.body) for row in transaction.all(READ)).decode()
    for value in kept:
        assert value not in record
        assert json.dumps(value) not in record


def test_the_whole_record_of_this_module_is_sound(op: Provider) -> None:
    """Every leaf that was written above, and by whatever prepared it, computed again."""
    op.rooms.clients.disable("portal", "the end of these tests", origin=OPERATOR)
    trail = Trail.from_the_beginning(op)
    assert {"clients.added", "clients.disabled", "accounts.account_added", "grants.code_redeemed"} <= set(trail.kinds())

"""Tokens end with whatever they rest on, at once and at every endpoint (law 8)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.asking import answer_of, bought, later, signed_in
from tests.support.provider import OPERATOR, Browser, Person, Portal, Provider

OFFLINE = "openid profile offline_access"


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def resource(op: Provider) -> Portal:
    """A resource server, which lives whatever happens to the portal."""
    return op.client("resource", may_introspect=True)


class Held:
    """What a portal holds of one person: an offline grant and an online one, both alive."""

    def __init__(self, op: Provider, portal: Portal, resource: Portal) -> None:
        self.portal, self.resource = portal, resource
        self.person: Person = op.person()
        self.home: Browser = signed_in(op, portal, self.person, scope=OFFLINE)
        self.online: dict[str, Any] = bought(portal, self.home, self.person, scope="openid profile")
        self.offline: dict[str, Any] = bought(portal, self.home, self.person, scope=OFFLINE)
        self.code = answer_of(portal, self.home, scope=OFFLINE)["code"]
        assert self.is_online
        assert self.is_offline
        later(op, seconds=1)

    @property
    def is_online(self) -> bool:
        """Whether the online grant is good: the same at userinfo and at introspection."""
        return self._lives(self.online["access_token"])

    @property
    def is_offline(self) -> bool:
        """Whether the offline grant is good."""
        told = self.portal.introspect(self.offline["refresh_token"])  # its own client alone may ask, and not once that is dead itself
        assert told.get("active", False) == self._lives(self.offline["access_token"])
        return self._lives(self.offline["access_token"])

    def _lives(self, token: str) -> bool:
        told = self.portal.userinfo(token).status == 200
        assert self.resource.introspect(token)["active"] is told, "two endpoints, two truths"
        return bool(told)

    def require_dead(self) -> None:
        """Everything is dead, at every endpoint."""
        assert not self.is_online
        assert not self.is_offline
        refreshed = self.portal.refresh(self.offline["refresh_token"])
        assert refreshed.json["error"] in {"invalid_grant", "invalid_client"}
        redeemed = self.portal.redeem(self.code)
        assert redeemed.json["error"] in {"invalid_grant", "invalid_client"}


@pytest.fixture
def held(op: Provider, portal: Portal, resource: Portal) -> Held:
    return Held(op, portal, resource)


def test_a_living_grant_is_refreshed(held: Held) -> None:
    """The control beside everything below."""
    assert held.portal.refresh(held.offline["refresh_token"]).status == 200
    assert held.portal.redeem(held.code).status == 200


def test_a_locked_account_ends_everything_and_unlocking_brings_nothing_back(op: Provider, held: Held) -> None:
    op.rooms.accounts.lock(held.person.account_id, reason="lost phone", legal_basis="at the holder's request", origin=OPERATOR)
    held.require_dead()
    later(op, seconds=1)
    op.rooms.accounts.unlock(held.person.account_id, origin=OPERATOR)
    assert not held.is_offline
    assert answer_of(held.portal, held.home, prompt="none")["error"] == "login_required"


def test_a_closed_account_ends_everything(op: Provider, held: Held) -> None:
    op.rooms.accounts.close(held.person.account_id, reason="test", origin=OPERATOR)
    held.require_dead()


def test_a_withdrawn_consent_ends_what_was_issued_under_it(op: Provider, held: Held) -> None:
    """ASVS 10.7.3; the person stays signed in, and is asked again."""
    (consent,) = op.rooms.grants.consents(held.person.account_id)
    op.rooms.grants.withdraw_consent(consent.id, held.person.account_id, OPERATOR)
    held.require_dead()
    assert answer_of(held.portal, held.home, prompt="none")["error"] == "consent_required"


def test_the_end_of_a_session_ends_what_is_online_and_not_what_is_offline(op: Provider, held: Held) -> None:
    """Law 1: an online family dies with its session; an offline one does not (OIDC Core §11)."""
    held.home.open("/logout")
    held.home.submit(decision="sign-out")
    assert not held.is_online
    assert held.is_offline
    assert held.portal.refresh(held.offline["refresh_token"]).status == 200


def test_a_lapsed_session_ends_what_is_online(op: Provider, portal: Portal) -> None:
    """ASVS 7.3.1: an access token of an online grant does not outlive the session's idle end."""
    somebody = op.person()
    home = signed_in(op, portal, somebody)
    later(op, minutes=59, seconds=50)
    tokens = bought(portal, home, somebody)
    with op.owner.transaction() as transaction:
        transaction.run(
            "UPDATE session SET idle_until = %(now)s WHERE account_id = %(account_id)s",
            {"now": op.clock.now(), "account_id": somebody.account_id},
        )
    assert portal.userinfo(tokens["access_token"]).status == 401


def test_a_killed_family_is_dead_and_its_neighbour_lives(op: Provider, held: Held) -> None:
    """`idp grants revoke`: one grant, not all."""
    offline = [each for each in op.rooms.grants.families(held.person.account_id) if each.kind == "offline"]
    before = len(offline)
    for each in offline:
        assert op.rooms.grants.kill(each.id, "test", OPERATOR)
        assert not op.rooms.grants.kill(each.id, "test", OPERATOR)
    assert before >= 2
    assert not held.is_offline
    assert held.is_online


def test_a_disabled_client_ends_everything_and_enabling_brings_nothing_back(op: Provider, resource: Portal) -> None:
    """Within the same request, not within the second that configuration may be old."""
    held = Held(op, op.client("dying"), resource)
    op.rooms.clients.disable("dying", "test", origin=OPERATOR)
    held.require_dead()
    later(op, seconds=2)
    op.rooms.clients.enable("dying", origin=OPERATOR)
    later(op, seconds=2)
    assert not held.is_offline
    assert "code" in answer_of(held.portal, held.home, prompt="none")


def test_a_client_past_its_end_date_is_dead(op: Provider, resource: Portal) -> None:
    """Design §5: the profile `legacy` ends on its day."""
    ending = op.client("ending", profile="legacy", legacy_until="2026-06-12", token_endpoint_auth_method="client_secret_post")
    tokens = bought(ending, Browser(op), op.person(), scope=OFFLINE)
    later(op, days=5)
    tokens = ending.refresh(tokens["refresh_token"]).json
    assert ending.introspect(tokens["refresh_token"])["active"] is True
    assert resource.introspect(tokens["access_token"])["active"] is True
    later(op, days=7)
    assert ending.introspect(tokens["refresh_token"])["error"] == "invalid_client"
    assert resource.introspect(tokens["access_token"]) == {"active": False}
    assert ending.refresh(tokens["refresh_token"]).json["error"] == "invalid_client"


BEFORE: dict[str, str] = {
    "account": "UPDATE account SET not_before = %(at)s WHERE id = %(account_id)s",
    "client": "UPDATE client SET not_before = %(at)s WHERE client_id = 'portal'",
    "deployment": "UPDATE deployment SET not_before = %(at)s",
}


@pytest.mark.parametrize("whose", ["account", "client", "deployment"])
def test_nothing_issued_before_an_instant_counts_and_what_comes_after_does(
    op: Provider, portal: Portal, resource: Portal, held: Held, whose: str
) -> None:
    """Account, client, everybody: at userinfo, introspection, refresh and redemption alike."""
    with op.owner.transaction() as transaction:
        transaction.run(
            BEFORE[whose], {"at": op.clock.now(), "account_id": held.person.account_id} if whose == "account" else {"at": op.clock.now()}
        )
    held.require_dead()
    later(op, seconds=1)
    assert Held(op, portal, resource).is_offline


@pytest.mark.parametrize(
    ("earlier", "later_one"), [("deployment", "client"), ("client", "deployment"), ("account", "client"), ("client", "account")]
)
def test_the_latest_of_several_instants_counts(op: Provider, portal: Portal, resource: Portal, earlier: str, later_one: str) -> None:
    """A token between two instants is dead, whichever of them is whose."""
    person_first = op.person()

    def forget(whose: str, account_id: object) -> None:
        with op.owner.transaction() as transaction:
            parameters: dict[str, object] = {"at": op.clock.now()}
            transaction.run(BEFORE[whose], parameters | ({"account_id": account_id} if whose == "account" else {}))

    forget(earlier, person_first.account_id)
    later(op, seconds=1)
    between = Held(op, portal, resource)
    forget(later_one, between.person.account_id)
    between.require_dead()


def test_a_whole_family_dies_for_a_replay_however_far_it_grew(held: Held) -> None:
    """Every access token that came of it."""
    refresh, access = held.offline["refresh_token"], [held.offline["access_token"]]
    for _ in range(5):
        renewed = held.portal.refresh(refresh).json
        refresh, access = renewed["refresh_token"], [*access, renewed["access_token"]]
    assert all(held.portal.userinfo(token).status == 200 for token in access)
    held.portal.refresh(held.offline["refresh_token"])
    assert all(held.portal.userinfo(token).status == 401 for token in access)
    assert held.portal.refresh(refresh).json["error"] == "invalid_grant"


def test_the_database_holds_digests_only(op: Provider, held: Held) -> None:
    """Law 9: a dump of every text and byte column yields no bearer value."""
    values = [held.online["access_token"], held.offline["access_token"], held.offline["refresh_token"], held.code, held.portal.secret]
    values += list(held.home.cookies.values())
    tables = (
        "code",
        "access_token",
        "refresh_token",
        "family",
        "session",
        "client",
        "consent",
        "known_device",
        "session_client",
        "login_event",
    )
    with op.owner.transaction() as transaction:
        dumped = "\n".join(str(row.text) for table in tables for row in transaction.all(f"SELECT t::text AS text FROM {table} t"))
    assert not any(value in dumped or value.encode().hex() in dumped for value in values)


@pytest.mark.parametrize("forgotten", ["account", "deployment"])
def test_a_code_issued_while_its_session_was_being_ended_is_dead(op: Provider, held: Held, forgotten: str) -> None:
    """What ends a session takes the instant before it commits: a code may be issued in between, and has a later one."""
    later(op, seconds=5)
    late = held.portal.redeem(answer_of(held.portal, held.home, scope=OFFLINE)["code"]).json
    assert held.portal.userinfo(late["access_token"]).status == 200
    before = op.clock.now() - timedelta(seconds=2)
    where = {"account": "account SET not_before = %(at)s WHERE id = %(id)s", "deployment": "deployment SET not_before = %(at)s"}[forgotten]
    with op.owner.transaction() as transaction:
        transaction.run(f"UPDATE {where}", {"at": before, "id": held.person.account_id})
    assert held.portal.userinfo(late["access_token"]).status == 401
    assert held.portal.refresh(late["refresh_token"]).json["error"] == "invalid_grant"
    with op.owner.transaction() as transaction:
        transaction.run("UPDATE deployment SET not_before = '-infinity'")


def test_what_a_client_got_while_it_was_being_disabled_is_not_enabled_again(op: Provider) -> None:
    client = op.client("switched")
    home = signed_in(op, client, person := op.person(), scope=OFFLINE)
    later(op, seconds=1)
    op.rooms.clients.disable("switched", "incident", origin=OPERATOR)
    with op.owner.transaction() as transaction:  # as if the code had been issued a moment after the disabling took its instant
        transaction.run(
            "UPDATE client SET disabled_at = disabled_at - interval '5 s', not_before = not_before - interval '5 s' WHERE client_id = 'switched'"
        )
        transaction.run("UPDATE client SET disabled_at = NULL WHERE client_id = 'switched'")
    late = bought(client, home, person, scope=OFFLINE)
    with op.owner.transaction() as transaction:
        transaction.run("UPDATE client SET disabled_at = not_before WHERE client_id = 'switched'")
    later(op, seconds=1)
    op.rooms.clients.enable("switched", origin=OPERATOR)
    later(op, seconds=2)
    assert client.refresh(late["refresh_token"]).json["error"] == "invalid_grant"
    assert client.refresh(bought(client, home, person, scope=OFFLINE)["refresh_token"]).status == 200

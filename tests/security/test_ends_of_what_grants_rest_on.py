"""A session or a grant ends with the first of what it rests on: to the microsecond, at every endpoint (law 8)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from idp.assurance.events import CheckedFact
from tests.support.asking import answer_of, bought, later, signed_in
from tests.support.provider import LEVEL_ONE, OPERATOR, Browser, Person, Portal, Provider

OFFLINE = "openid profile offline_access"
INSTANT = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def resource(op: Provider) -> Portal:
    return op.client("resource", may_introspect=True)


@pytest.fixture
def ends_at(op: Provider, request: pytest.FixtureRequest) -> Iterator[datetime]:
    """An instant ten minutes from now at which every account, or every consent, ends."""
    view, at = request.param, op.clock.now() + timedelta(minutes=10)
    with op.owner.transaction() as transaction:
        defined = transaction.one("SELECT pg_get_viewdef(%(view)s::regclass) AS as_is", {"view": view})
        assert defined is not None
        assert "'infinity'::timestamp with time zone AS until" in defined.as_is
        create = f"CREATE OR REPLACE VIEW {view} WITH (security_invoker = true) AS "
        transaction.run(create + defined.as_is.replace("'infinity'", f"'{at.isoformat()}'").replace("%", "%%"))
    yield at
    with op.owner.transaction() as transaction:
        transaction.run(create + defined.as_is.replace("%", "%%"))


class Held:
    """What a portal holds of one person, and the browser it came from."""

    def __init__(self, op: Provider, portal: Portal, resource: Portal) -> None:
        self.op, self.portal, self.resource = op, portal, resource
        self.person: Person = op.person(second_factor=False)
        self.home: Browser = signed_in(op, portal, self.person, scope=OFFLINE)
        self.offline = bought(portal, self.home, self.person, scope=OFFLINE)

    def stand_at(self, at: datetime) -> None:
        self.op.clock.advance(at - self.op.clock.now())

    @property
    def living(self) -> set[str]:
        """Where the grant lives."""
        token = self.offline["access_token"]
        return {
            name
            for name, lives in {
                "userinfo": self.portal.userinfo(token).status == 200,
                "introspection": self.resource.introspect(token)["active"],
                "introspection of the refresh token": self.portal.introspect(self.offline["refresh_token"])["active"],
            }.items()
            if lives
        }

    def refresh(self) -> bool:
        answered = self.portal.refresh(self.offline["refresh_token"])
        if answered.status == 200:
            self.offline = answered.json
        else:
            assert answered.json["error"] == "invalid_grant"
        return answered.status == 200


EVERYWHERE = {"userinfo", "introspection", "introspection of the refresh token"}


@pytest.mark.parametrize("ends_at", ["account_alive", "consent_alive"], indirect=True)
def test_a_grant_does_not_outlive_what_it_rests_on(op: Provider, portal: Portal, resource: Portal, ends_at: datetime) -> None:
    held = Held(op, portal, resource)
    late = answer_of(portal, held.home, scope=OFFLINE)["code"]
    assert portal.redeem(late).status == 200
    held.stand_at(ends_at - INSTANT)
    late = answer_of(portal, held.home, scope=OFFLINE)["code"]
    assert held.refresh()
    assert held.living == EVERYWHERE
    later(op, microseconds=1)
    assert held.living == set()
    assert portal.redeem(late).json["error"] == "invalid_grant"
    assert not held.refresh()


@pytest.mark.parametrize("ends_at", ["account_alive"], indirect=True)
def test_a_session_does_not_outlive_its_account(op: Provider, portal: Portal, resource: Portal, ends_at: datetime) -> None:
    held = Held(op, portal, resource)
    (session,) = op.rooms.sessions.list_for(held.person.account_id)
    held.stand_at(ends_at - INSTANT)
    assert "code" in answer_of(portal, held.home, scope=OFFLINE, prompt="none")
    later(op, microseconds=1)
    assert answer_of(portal, held.home, scope=OFFLINE, prompt="none")["error"] == "login_required"
    assert op.rooms.sessions.list_for(held.person.account_id) == []
    assert session.expires_at > ends_at


@pytest.mark.parametrize("ends_at", ["consent_alive"], indirect=True)
def test_a_consent_that_ended_is_asked_for_anew(op: Provider, portal: Portal, resource: Portal, ends_at: datetime) -> None:
    held = Held(op, portal, resource)
    held.stand_at(ends_at - INSTANT)
    assert "code" in answer_of(portal, held.home, scope=OFFLINE, prompt="none")
    later(op, microseconds=1)
    assert answer_of(portal, held.home, scope=OFFLINE, prompt="none")["error"] == "consent_required"


# levels --------------------------------------------------------------------------------------------------------------------------------------

ENDPOINTS = ("redemption", "refresh", "introspection", "userinfo")


class Stated:
    """What a portal holds of one person whose level is stated in it, asked at one endpoint."""

    def __init__(self, op: Provider, portal: Portal, resource: Portal, person: Person) -> None:
        self.portal, self.resource = portal, resource
        browser = Browser(op)
        portal.code_for(browser, person, scope=OFFLINE)
        self.tokens = bought(portal, browser, person, scope=OFFLINE)
        self.code = answer_of(portal, browser, scope=OFFLINE)["code"]

    def is_good_at(self, endpoint: str) -> bool:
        match endpoint:
            case "redemption":
                return self.portal.redeem(self.code).status == 200
            case "refresh":
                return self.portal.refresh(self.tokens["refresh_token"]).status == 200
            case "introspection":
                asked = ((self.resource, "access_token"), (self.portal, "refresh_token"))
                told = {bool(by.introspect(self.tokens[kind])["active"]) for by, kind in asked}
                assert len(told) == 1
                return told.pop()
            case _:
                return self.portal.userinfo(self.tokens["access_token"]).status == 200


def checked(op: Provider, ends: datetime | None = None) -> tuple[Person, UUID]:
    """A person of level 1, and the evidence it stands on, which ends by itself or not."""
    person = op.person(ial=0, second_factor=False)
    facts = [CheckedFact(kind, "counter 1", "test procedure", op.clock.now(), ends) for kind in LEVEL_ONE]
    (*_, phone) = [op.rooms.levels.add_evidence(person.holder_id, fact, OPERATOR) for fact in facts]
    assert op.rooms.levels.current(person.holder_id).ial == 1
    return person, phone


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_struck_evidence_ends_what_states_its_level(op: Provider, portal: Portal, resource: Portal, endpoint: str) -> None:
    """Law 4: a grant that says level 1 dies with level 1; a neighbour's lives, and so does one that said less."""
    person, phone = checked(op)
    modest = op.person(ial=0, second_factor=False)
    states_less = Stated(op, portal, resource, modest)
    for kind in LEVEL_ONE:
        struck = op.rooms.levels.add_evidence(modest.holder_id, CheckedFact(kind, "c", "h", op.clock.now()), OPERATOR)
    states_it, good, neighbour = (Stated(op, portal, resource, each) for each in (person, person, checked(op)[0]))
    assert good.is_good_at(endpoint)
    for each in (phone, struck):
        op.rooms.levels.strike(each, by="officer.two", reason="number given up", origin=OPERATOR)
    assert not states_it.is_good_at(endpoint)
    assert neighbour.is_good_at(endpoint)
    assert states_less.is_good_at(endpoint)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_evidence_that_ends_by_itself_ends_what_states_its_level(op: Provider, portal: Portal, resource: Portal, endpoint: str) -> None:
    """Law 4: at `until`, nobody having looked; a neighbour whose evidence goes on lives."""
    until = op.clock.now() + timedelta(seconds=30)
    person, neighbour = checked(op, until)[0], checked(op)[0]
    states_it, good, neighbours = (Stated(op, portal, resource, each) for each in (person, person, neighbour))
    op.clock.advance(until - op.clock.now() - INSTANT)
    assert good.is_good_at(endpoint)
    later(op, microseconds=1)
    assert not states_it.is_good_at(endpoint)
    assert neighbours.is_good_at(endpoint)

"""A changed policy judges anew what stands: every level once, when it comes into force (design law 4; decision 0013)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from idp.assurance.model import Policy
from idp.assurance.policy import load_policy
from idp.assurance.service import Levels
from idp.audit.model import Origin
from tests.support.asking import answer_of, bought, later
from tests.support.audit import Trail
from tests.support.provider import Browser, Person, Portal, Provider
from tests.support.races import at_once

OFFLINE = "openid profile offline_access"
BY = Origin.operated("migrate")


def stricter(version: str) -> Policy:
    """The policy in force but for level 1, which asks for all that level 2 asks."""
    policy = load_policy("vn-2026-1")
    most = {level.person_type: level.requirements for level in policy.levels if level.ial == 2}
    levels = tuple(replace(each, requirements=most.get(each.person_type, each.requirements)) for each in policy.levels)
    return replace(policy, version=version, levels=levels)


def same(version: str) -> Policy:
    return replace(load_policy("vn-2026-1"), version=version)


def under(op: Provider, policy: Policy) -> Levels:
    return Levels(op.owner, policy, op.clock)


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


class Holding:
    """Somebody of a level, and what a portal holds of them."""

    def __init__(self, op: Provider, portal: Portal, ial: int) -> None:
        self.portal, self.browser = portal, Browser(op)
        self.person: Person = op.person(ial=ial, second_factor=False)
        portal.code_for(self.browser, self.person, scope=OFFLINE)
        later(op, seconds=1)
        self.tokens: dict[str, Any] = bought(portal, self.browser, self.person, scope=OFFLINE)
        self.code = answer_of(portal, self.browser, scope=OFFLINE)["code"]

    @property
    def is_alive(self) -> bool:
        told = self.portal.userinfo(self.tokens["access_token"]).status == 200
        assert self.portal.introspect(self.tokens["access_token"])["active"] is told
        assert self.portal.introspect(self.tokens["refresh_token"])["active"] is told
        return bool(told)


def test_under_a_stricter_policy_what_states_too_much_dies_and_the_rest_lives(op: Provider, portal: Portal) -> None:
    """At every endpoint, once everybody was assessed, and without a comparison more on the hot path."""
    nobody, some, much = (Holding(op, portal, ial) for ial in (0, 1, 2))
    assert [each.is_alive for each in (nobody, some, much)] == [True, True, True]
    trail = Trail(op)
    said: list[int] = []
    done = under(op, stricter("vn-2027-1")).assess_under_policy(said.append, BY, batch=2)
    assert said == [*range(2, done, 2), done]
    assert [each.is_alive for each in (nobody, some, much)] == [True, False, True]
    assert portal.redeem(some.code).json["error"] == "invalid_grant"
    assert portal.refresh(some.tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert portal.redeem(much.code).status == 200
    assert portal.refresh(much.tokens["refresh_token"]).status == 200
    assessed = [event for event in trail.new() if event.kind == "assurance.level_assessed"]
    (changed,) = [event for event in assessed if event.account_id in {each.person.account_id for each in (nobody, some, much)}]
    assert (changed.account_id, changed.body["operator"], changed.body["ial"]) == (some.person.account_id, "migrate", 0)
    assert (changed.body["before"], changed.body["policy_version"]) == (1, "vn-2027-1")
    assert under(op, stricter("vn-2027-1")).assess_under_policy(said.append, BY) == 0


def test_a_session_is_judged_anew_at_its_next_code(op: Provider, portal: Portal) -> None:
    """The session stays; what it may say is computed under the policy of the node that answers."""
    some = Holding(op, portal, 1)
    under(op, stricter("vn-2027-2")).assess_under_policy(lambda _: None, BY)
    (session,) = op.rooms.sessions.list_for(some.person.account_id)
    client = op.rooms.clients.show(portal.client_id)
    cookie = some.browser.cookies["motcua-session"]
    for version, ial in (("vn-2027-2", 0), ("vn-2026-1", None)):
        standing = op.rooms.grants.standing(cookie, client.id, client.sector, version)
        assert standing is not None
        assert (standing.session_id, standing.ial) == (session.id, ial)


def test_under_a_policy_that_asks_the_same_everything_lives(op: Provider, portal: Portal) -> None:
    some = Holding(op, portal, 1)
    trail = Trail(op)
    assert under(op, same("vn-2028-1")).assess_under_policy(lambda _: None, BY) >= 1
    assert some.is_alive
    assert portal.refresh(some.tokens["refresh_token"]).status == 200
    assert [event for event in trail.new() if event.kind == "assurance.level_assessed" and event.account_id == some.person.account_id] == []


def test_what_was_assessed_under_another_policy_is_known(op: Provider, portal: Portal) -> None:
    """So that nobody has to trust that the work was done to its end."""
    Holding(op, portal, 1)
    newer = under(op, same("vn-2029-1"))
    newer.assess_under_policy(lambda _: None, BY)
    assert newer.other_policies() == set()
    Holding(op, portal, 1)  # a node of the old policy that still runs
    assert newer.other_policies() == {"vn-2026-1"}
    assert newer.assess_under_policy(lambda _: None, BY) == 1
    assert newer.other_policies() == set()


def test_two_that_assess_at_once_both_end_well(op: Provider, portal: Portal) -> None:
    for _ in range(4):
        Holding(op, portal, 1)
    newer = under(op, same("vn-2030-1"))
    at_once([lambda: newer.assess_under_policy(lambda _: None, BY)] * 2)
    assert newer.other_policies() == set()

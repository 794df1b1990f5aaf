"""The breaker of each origin."""

from __future__ import annotations

import pytest

from idp.egress.breakers import Breakers
from idp.egress.model import NotReachable


def fail(breakers: Breakers, origin: str) -> NotReachable:
    with pytest.raises(NotReachable) as caught, breakers.guard(origin):
        raise NotReachable("timeout")
    return caught.value


def test_the_fourth_call_after_three_failures_is_not_made() -> None:
    """A hanging portal costs waiting only until its breaker opens."""
    breakers = Breakers()
    assert [fail(breakers, "https://slow.example:443").reason for _ in range(3)] == ["timeout", "timeout", "timeout"]
    refused = fail(breakers, "https://slow.example:443")
    assert refused.reason == "busy"
    assert 0 < refused.again_in <= 2.0


def test_an_open_breaker_holds_up_no_other_origin() -> None:
    breakers = Breakers()
    for _ in range(3):
        fail(breakers, "https://slow.example:443")
    with breakers.guard("https://quick.example:443"):
        pass


def test_an_answer_closes_the_breaker() -> None:
    breakers = Breakers()
    fail(breakers, "https://slow.example:443")
    fail(breakers, "https://slow.example:443")
    with breakers.guard("https://slow.example:443"):
        pass
    assert [fail(breakers, "https://slow.example:443").reason for _ in range(3)] == ["timeout", "timeout", "timeout"]


def test_when_its_time_is_over_one_call_tries_and_the_others_wait_for_it() -> None:
    breakers = Breakers()
    for _ in range(3):
        fail(breakers, "https://slow.example:443")
    breakers._states["https://slow.example:443"].open_until = 0.0
    with breakers.guard("https://slow.example:443"):
        assert fail(breakers, "https://slow.example:443").reason == "busy"
    with breakers.guard("https://slow.example:443"):
        pass


def test_a_breaker_that_opens_again_stays_open_longer() -> None:
    breakers = Breakers()
    for _ in range(3):
        fail(breakers, "https://slow.example:443")
    breakers._states["https://slow.example:443"].open_until = 0.0
    fail(breakers, "https://slow.example:443")
    assert 2.0 < fail(breakers, "https://slow.example:443").again_in <= 4.0

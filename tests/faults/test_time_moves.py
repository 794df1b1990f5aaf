"""Time moves on, and keys with it (law 2 of what expired): nothing outlives its time, nothing comes back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from idp.jose import Expected, PublicKeys, verify
from idp.kernel.clock import SystemClock
from idp.web.door import Request
from idp.web.protocol.health import Health
from tests.support.faults import World, own_world
from tests.support.load import Load, under_load, wait_for_more
from tests.support.provider import OPERATOR

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with own_world() as made:
        yield made


class Time:
    """The provider's time, moved through the file that its processes read."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._offset = 0

    def move(self, seconds: int) -> None:
        self._offset += seconds
        fresh = self._world.served.offset_file.with_suffix(".new")
        fresh.write_text(str(self._offset))
        fresh.replace(self._world.served.offset_file)

    def now(self) -> datetime:
        now: datetime = self._world.op.clock.now()
        return now


@pytest.fixture(scope="module")
def hours(world: World) -> Time:
    return Time(world)


class CachingPortal:
    """A portal that keeps the JWK set exactly as long as it may, and verifies every ID token with what it keeps."""

    def __init__(self, world: World, hours: Time) -> None:
        self._world, self._hours = world, hours
        self._keys: PublicKeys | None = None
        self._fresh_until = hours.now()
        self.fetched = 0
        self.verified: set[str] = set()

    def keys(self) -> PublicKeys:
        if self._keys is None or self._hours.now() >= self._fresh_until:
            status, headers, body = self._world.served.get("/jwks")
            assert status == 200
            kept_for = re.search(r"max-age=(\d+)", headers["cache-control"])
            assert kept_for is not None
            self._fresh_until = self._hours.now() + timedelta(seconds=int(kept_for[1]))
            self._keys = PublicKeys.from_jwks(json.loads(body))
            self.fetched += 1
        return self._keys

    def signing_in(self, load: Load) -> Callable[[], None]:
        world = self._world

        def step() -> None:
            keys = self.keys()
            status, _, body = load.timed("token", lambda: world.redeem(world.code()))
            if status == 400:  # time jumped between the code and its redemption
                return
            id_token = json.loads(body)["id_token"]
            expected = Expected(frozenset({"ES256"}), world.served.issuer, "faulty", self._hours.now(), frozenset({"JWT"}))
            assert verify(id_token, keys, expected)["nonce"] == "the-nonce"
            self.verified.add(id_token.split(".")[0])

        return step


def test_every_id_token_verifies_with_a_cached_key_set_while_keys_rotate_under_load(world: World, hours: Time) -> None:
    """A successor is published twice as long as the set may be cached before it signs: no portal ever meets an unknown key."""
    portals = [CachingPortal(world, hours) for _ in range(3)]
    with under_load(*[portal.signing_in for portal in portals]) as load:
        for step in range(18):
            if step % 6 == 1:
                world.op.keeper.rotate_signing(
                    "ES256", publish_for=timedelta(seconds=600), verify_for=timedelta(hours=1), origin=OPERATOR
                )
            hours.move(150)
            if not load.failures:
                wait_for_more(load.seen, 9, within=20)

    assert len(set.union(*[portal.verified for portal in portals])) >= 3, "no successor ever signed"
    assert all(portal.fetched <= 11 for portal in portals)
    assert load.statuses("token")[200] > 100


def test_a_code_is_good_for_a_minute(world: World, hours: Time) -> None:
    """RFC 6749 §4.1.2."""
    world.sign_in_again()
    code = world.code()
    hours.move(61)
    assert world.settled(code) == (400, "invalid_grant")


def test_an_access_token_is_good_for_ten_minutes(world: World, hours: Time) -> None:
    world.sign_in_again()
    token = json.loads(world.redeem(world.code())[2])["access_token"]
    assert world.portal.userinfo(token).status == 200
    hours.move(601)
    assert world.portal.userinfo(token).status == 401
    assert world.portal.introspect(token) == {"active": False}


def test_a_session_ends_an_hour_after_it_was_last_seen(world: World, hours: Time) -> None:
    world.sign_in_again()
    ask = world.portal.ask(scope="openid offline_access")
    hours.move(3590)
    assert "code" in world.browser_beside().send("GET", ask).parameters
    hours.move(3590)
    assert "code" in world.browser_beside().send("GET", ask).parameters
    hours.move(3601)
    assert world.browser_beside().send("GET", ask).location.endswith("/sign-in")


def test_a_refresh_token_that_nobody_uses_is_good_for_fourteen_days(world: World, hours: Time) -> None:
    world.sign_in_again()
    first = json.loads(world.redeem(world.code())[2])["refresh_token"]
    hours.move(13 * 24 * 3600)
    second = world.portal.refresh(first)
    assert second.status == 200
    hours.move(14 * 24 * 3600 + 1)
    assert world.portal.refresh(second.json["refresh_token"]).json["error"] == "invalid_grant"


def test_going_back_revives_nothing(world: World, hours: Time) -> None:
    """A clock never goes backwards, so neither does the end of anything."""
    world.sign_in_again()
    code = world.code()
    tokens = json.loads(world.redeem(world.code())[2])
    hours.move(3601)
    assert world.browser_beside().send("GET", world.portal.ask()).location.endswith("/sign-in")
    for _ in range(24):  # both workers have seen the later time: 24 answers of one alone are one chance in millions
        assert world.portal.userinfo(tokens["access_token"]).status == 401
    hours.move(-3601)
    for _ in range(8):
        assert world.portal.userinfo(tokens["access_token"]).status == 401
        assert world.settled(code) == (400, "invalid_grant")
        assert world.browser_beside().send("GET", world.portal.ask()).location.endswith("/sign-in")


class ClockOfAnotherMachine(SystemClock):
    """A clock on a machine whose wall clock is off, as seen from the database's."""

    def __init__(self, off_by: timedelta) -> None:
        super().__init__()
        self._off_by = off_by

    def learn(self, database_now: datetime, *, asked_at: float, answered_at: float) -> timedelta:
        return super().learn(database_now - self._off_by, asked_at=asked_at, answered_at=answered_at)


@pytest.mark.parametrize(("seconds", "status"), [(-90, 503), (-2.5, 503), (-1.5, 200), (0, 200), (1.5, 200), (2.5, 503), (90, 503)])
def test_a_machine_whose_wall_clock_is_more_than_two_seconds_off_is_not_ready(world: World, seconds: float, status: int) -> None:
    """Design §3: the node says so and stays away; its own clock follows the database's all the same."""
    from dataclasses import replace

    clock = ClockOfAnotherMachine(timedelta(seconds=seconds))
    health = Health(replace(world.op.rooms, clock=clock), lambda: False)
    answer = health.ready(Request("GET", "/health/ready", (), (), {}, {}, "127.0.0.1", "A"))
    assert answer.status == status
    assert ("database" in json.loads(answer.body).get("missing", [])) == (status == 503)
    behind = time.time() - clock.now().timestamp()
    assert abs(behind - seconds) < 0.5

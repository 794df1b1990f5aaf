"""Short-lived values in an engine that may vanish at any moment (law 2)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from idp.demo.engines import Engines, TemporaryEngines
from idp.storage.breaker import EngineAway
from idp.storage.ephemeral import Ephemeral
from tests.support.load import wait_until

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def own() -> Iterator[Engines]:
    with TemporaryEngines() as engines:
        yield engines


@pytest.fixture
def short_lived(own: Engines) -> Iterator[Ephemeral]:
    opened = Ephemeral(own.redis_url)
    yield opened
    opened.close()


def is_away(opened: Ephemeral) -> bool:
    try:
        opened.ping()
    except EngineAway:
        return True
    return False


def test_a_value_is_found_until_it_is_forgotten(short_lived: Ephemeral) -> None:
    short_lived.put("a", b"one", keep_for=MINUTE)
    assert short_lived.find("a") == b"one"
    short_lived.put("a", b"two", keep_for=MINUTE)
    assert short_lived.find("a") == b"two"
    short_lived.forget("a")
    assert short_lived.find("a") is None


def test_a_value_is_gone_after_its_time(short_lived: Ephemeral) -> None:
    short_lived.put("brief", b"one", keep_for=timedelta(milliseconds=50))
    wait_until(lambda: short_lived.find("brief") is None, within=2)


def test_a_count_goes_up_within_its_window_and_begins_anew_after_it(short_lived: Ephemeral) -> None:
    window = timedelta(seconds=2)
    assert short_lived.count("counted", window=window)[0] == 1
    count, left = short_lived.count("counted", window=window)
    assert count == 2
    assert 0 < left <= 2000
    wait_until(lambda: short_lived.find("counted") is None, within=10)
    assert short_lived.count("counted", window=window)[0] == 1


def test_what_begins_alike_can_be_forgotten_together(short_lived: Ephemeral) -> None:
    for key in ("volume:1", "volume:2", "other:1"):
        short_lived.put(key, b"x", keep_for=MINUTE)
    assert short_lived.forget_matching("volume:") == 2
    assert short_lived.find("other:1") == b"x"
    assert short_lived.forget_matching("volume:") == 0


def test_a_restart_between_two_calls_is_not_noticed(own: Engines, short_lived: Ephemeral) -> None:
    """Kept connections and loaded scripts are gone; both come back by themselves."""
    short_lived.count("restarted", window=MINUTE)
    own.restart_valkey()
    assert short_lived.count("restarted", window=MINUTE)[0] == 1
    assert short_lived.find("nothing") is None


def test_a_killed_engine_is_away_at_once_and_back_at_the_first_try(own: Engines, short_lived: Ephemeral) -> None:
    short_lived.ping()
    own.kill_valkey()
    began = time.monotonic()
    for _ in range(10):
        with pytest.raises(EngineAway):
            short_lived.find("a")
    assert time.monotonic() - began < 1
    own.restart_valkey()
    assert wait_until(lambda: not is_away(short_lived), within=10) < 4


def test_a_frozen_engine_costs_a_call_half_a_second_and_nothing_while_the_breaker_is_open(
    own: Engines, short_lived: Ephemeral
) -> None:
    """Socket time-out 100-200 ms, tried twice."""
    short_lived.ping()
    own.freeze_valkey()
    try:
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(EngineAway):
                short_lived.find("a")
            assert time.monotonic() - began < 1.4
        began = time.monotonic()
        with pytest.raises(EngineAway, match="breaker open"):
            short_lived.find("a")
        assert time.monotonic() - began < 0.2
    finally:
        own.thaw_valkey()
    assert wait_until(lambda: not is_away(short_lived), within=10) < 4


def test_an_engine_without_memory_left_is_away_for_who_writes(own: Engines, short_lived: Ephemeral) -> None:
    """With `noeviction` a full engine refuses; it never forgets something else instead."""
    import redis

    operator = redis.Redis.from_url(own.redis_url)
    short_lived.put("large", b"x" * 2_000_000, keep_for=MINUTE)
    operator.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(EngineAway):
            short_lived.put("one more", b"x", keep_for=MINUTE)
    finally:
        operator.config_set("maxmemory", "256mb")
        operator.close()
    assert short_lived.eviction_policy() == "noeviction"
    short_lived.put("again", b"x", keep_for=MINUTE)

"""A breaker keeps threads from waiting for a dead engine, and finds out by one call when it is back (design §3)."""

from __future__ import annotations

import threading

import pytest

from idp.storage.breaker import Breaker, EngineAway
from tests.support.load import wait_until


def is_admitted(breaker: Breaker) -> bool:
    try:
        breaker.admit()
    except EngineAway:
        return False
    return True


def in_another_thread(breaker: Breaker) -> bool:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(is_admitted(breaker)))
    thread.start()
    thread.join()
    return found[0]


def test_two_failures_do_not_open_it_and_the_third_does() -> None:
    breaker = Breaker("engine")
    breaker.failed()
    breaker.failed()
    assert is_admitted(breaker)
    breaker.failed()
    assert not is_admitted(breaker)


def test_a_success_in_between_starts_the_count_anew() -> None:
    breaker = Breaker("engine")
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert is_admitted(breaker)


def test_one_failure_that_took_long_opens_it() -> None:
    breaker = Breaker("engine")
    breaker.failed(3.0)
    assert not is_admitted(breaker)


def test_a_refusal_names_the_engine_and_says_when_to_come_back() -> None:
    breaker = Breaker("engine")
    breaker.failed(3.0)
    with pytest.raises(EngineAway, match="engine: breaker open") as refused:
        breaker.admit()
    assert refused.value.retry_after == 3


def test_after_a_second_one_thread_tries_and_the_others_go_on_being_refused() -> None:
    breaker = Breaker("engine")
    breaker.failed(3.0)
    assert 0.8 < wait_until(lambda: is_admitted(breaker), within=10) < 3
    assert not in_another_thread(breaker)
    breaker.succeeded()
    assert in_another_thread(breaker)


def test_the_thread_that_tries_may_make_more_calls_while_it_does() -> None:
    breaker = Breaker("engine")
    breaker.failed(3.0)
    wait_until(lambda: is_admitted(breaker), within=10)
    assert is_admitted(breaker)
    assert not in_another_thread(breaker)


def test_a_try_that_fails_opens_it_for_another_second() -> None:
    breaker = Breaker("engine")
    breaker.failed(3.0)
    wait_until(lambda: is_admitted(breaker), within=10)
    breaker.failed()
    assert not is_admitted(breaker)
    wait_until(lambda: is_admitted(breaker), within=10)


def test_a_try_that_asked_nothing_leaves_the_trying_to_the_next() -> None:
    breaker = Breaker("engine")
    breaker.failed(3.0)
    wait_until(lambda: is_admitted(breaker), within=10)
    breaker.undecided()
    assert in_another_thread(breaker)


def test_only_the_failures_that_are_named_mean_that_the_engine_is_away() -> None:
    breaker = Breaker("engine")
    for _ in range(5):
        with pytest.raises(KeyError), breaker.guard(OSError):
            raise KeyError
    with pytest.raises(EngineAway, match="engine: ConnectionResetError"), breaker.guard(OSError):
        raise ConnectionResetError
    assert is_admitted(breaker)

"""The harness of races: every call counts, so that a race in which somebody did not run is never taken for one that was won."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.races import at_once


def test_every_call_is_answered_for_in_order() -> None:
    assert at_once([partial(int, n) for n in range(5)]) == [0, 1, 2, 3, 4]


def test_a_call_that_gives_nothing_fails_the_race() -> None:
    with pytest.raises(AssertionError, match="1 of 3 calls gave no answer"):
        at_once([lambda: "won", lambda: None, lambda: "lost"])


def test_what_a_call_raises_is_raised() -> None:
    def breaks() -> str:
        raise KeyError

    with pytest.raises(KeyError):
        at_once([lambda: "won", breaks])

"""Calls that begin at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run every call in a thread of its own, all released by one barrier; return their results in order, or raise what one raised.

    Every call answers: one that gives None took no part in the race, and fails it.
    """
    barrier = threading.Barrier(len(calls))
    results: list[T | None] = [None] * len(calls)
    failures: list[BaseException] = []

    def run(place: int, call: Callable[[], T]) -> None:
        barrier.wait()
        try:
            results[place] = call()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(place, call)) for place, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    answers = [result for result in results if result is not None]
    silent = len(calls) - len(answers)
    assert not silent, f"{silent} of {len(calls)} calls gave no answer"
    return answers

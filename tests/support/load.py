"""Waiting with a deadline, and load that goes on while a test breaks something; what it saw is kept."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field


def wait_until(holds: Callable[[], bool], *, within: float, what: str = "") -> float:
    """Wait until something holds, and return how many seconds that took; fail after `within`."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < within, f"not within {within} s: {what or holds}"
        time.sleep(0.02)
    return time.monotonic() - began


def wait_for_more(counted: Sized, more: int, *, within: float) -> None:
    """Wait until that many more were counted."""
    before = len(counted)
    wait_until(lambda: len(counted) >= before + more, within=within)


@dataclass
class Seen:
    """One answer under load: when it was asked, how long it took, its status (0: the connection broke)."""

    kind: str
    at: float
    took: float
    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Load:
    """Threads that do the same steps again and again until they are told to stop; what they saw is kept."""

    seen: list[Seen] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def add(self, step: Callable[[], None], *, pause: float = 0.02) -> None:
        """Do `step` in a thread of its own, with a pause after each."""

        def run() -> None:
            while not self._stop.is_set():
                try:
                    step()
                except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
                    self.failures.append(error)
                    return
                self._stop.wait(pause)

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()

    def timed(self, kind: str, call: Callable[[], tuple[int, dict[str, str], bytes]]) -> tuple[int, dict[str, str], bytes]:
        """Make a call and keep what was seen."""
        began = time.monotonic()
        try:
            status, headers, body = call()
        except (OSError, http.client.HTTPException):
            status, headers, body = 0, {}, b""
        self.seen.append(Seen(kind, began, time.monotonic() - began, status, headers))
        return status, headers, body

    def since(self, at: float, *kinds: str) -> list[Seen]:
        """Return what was asked since `at`."""
        return [each for each in self.seen if each.at >= at and (not kinds or each.kind in kinds)]

    def statuses(self, *kinds: str) -> Counter[int]:
        """Return how often each status was seen."""
        return Counter(each.status for each in self.seen if not kinds or each.kind in kinds)

    def stop(self) -> None:
        """Have every thread end, and raise what one of them raised."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self.failures:
            raise self.failures[0]


@contextmanager
def under_load(*steps: Callable[[Load], Callable[[], None]], pause: float = 0.02) -> Iterator[Load]:
    """Keep every step going while the block runs."""
    load = Load()
    for step in steps:
        load.add(step(load), pause=pause)
    try:
        yield load
    finally:
        load.stop()


def require_clean(seen: list[Seen], *, within: float) -> None:
    """Every answer was right or a clean 503 that says when to come back, in time."""
    for each in seen:
        assert each.status in {200, 303, 503}, each
        assert each.took < within, each
        if each.status == 503:
            assert 1 <= int(each.headers["retry-after"]) <= 10, each

"""One breaker for each engine and process, so that threads waiting for a dead engine never starve what needs none."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from idp.kernel.refusals import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_FAILURES: Final = 3
_OPEN_FOR: Final = 1.0
_TRIAL_FOR: Final = 6.0
_SLOW: Final = 0.75


class EngineAway(Unavailable):
    """An engine does not answer; the page or endpoint says 503 and when to come back."""

    code = "storage.engine_away"


class Breaker:
    """Opens after three failures in a row, or one that took long; refuses at once for a second; then lets one call try.

    A call that failed slowly opens it by itself: a frozen engine must not hold three calls of one request one after the other,
    nor every thread of the process once a second.
    """

    def __init__(self, name: str) -> None:
        """Guard the engine called `name` (it appears in refusals and logs)."""
        self.name = name
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0
        self._trying = 0

    @property
    def is_troubled(self) -> bool:
        """Whether anything failed since the last success: then a call has to be admitted, and its success told."""
        return self._failures > 0

    def admit(self) -> None:
        """Let a call through, or not; of those that come when the breaker has been open long enough, one.

        Raises:
            EngineAway: the breaker is open, or another call is trying.
        """
        if not self._open_until:
            return
        with self._lock:
            now = time.monotonic()
            if now >= self._open_until:
                if self._open_until:
                    self._open_until, self._trying = now + _TRIAL_FOR, threading.get_ident()  # the others are refused meanwhile
            elif self._trying != threading.get_ident():
                raise EngineAway(f"{self.name}: breaker open", retry_after=3)

    @contextmanager
    def guard(self, *failures: type[BaseException]) -> Iterator[None]:
        """Run a call to the engine; `failures` are the exceptions that mean it is away.

        Raises:
            EngineAway: the breaker is open, or the call failed that way.
        """
        self.admit()
        began = time.monotonic()
        try:
            yield
        except failures as error:
            self.failed(time.monotonic() - began)
            raise EngineAway(f"{self.name}: {type(error).__name__}") from error
        except BaseException:
            self.undecided()
            raise
        if self._failures:
            self.succeeded()

    def failed(self, took: float = 0.0) -> None:
        """Count a failure that took so many seconds; the third in a row, or a slow one, opens the breaker."""
        with self._lock:
            self._failures += 1
            if took >= _SLOW:
                self._failures = max(self._failures, _FAILURES)
            if self._failures >= _FAILURES:
                self._open_until, self._trying = time.monotonic() + _OPEN_FOR, 0

    def succeeded(self) -> None:
        """Close the breaker."""
        with self._lock:
            self._failures, self._trying = 0, 0
            self._open_until = 0.0

    def undecided(self) -> None:
        """Let the next call try: the admitted one ended without asking the engine anything."""
        if self._trying:
            with self._lock:
                if self._trying == threading.get_ident():
                    self._open_until, self._trying = time.monotonic(), 0

"""One breaker for each engine and process, so that threads waiting for a dead engine never starve what needs none."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from idp.kernel.refusals import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

from contextlib import contextmanager

_FAILURES: Final = 3
_OPEN_FOR: Final = 1.0


class EngineAway(Unavailable):
    """An engine does not answer; the page or endpoint says 503 and when to come back."""

    code = "storage.engine_away"


class Breaker:
    """Opens after three failures in a row, refuses at once for a second, then lets one call try."""

    def __init__(self, name: str) -> None:
        """Guard the engine called `name` (it appears in refusals and logs)."""
        self.name = name
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are refused right now."""
        return time.monotonic() < self._open_until

    @contextmanager
    def guard(self, *failures: type[BaseException]) -> Iterator[None]:
        """Run a call to the engine; `failures` are the exceptions that mean it is away.

        Raises:
            EngineAway: the breaker is open, or the call failed that way.
        """
        if self._open_until and self.is_open:
            raise EngineAway(f"{self.name}: breaker open", retry_after=3)
        try:
            yield
        except failures as error:
            self.failed()
            raise EngineAway(f"{self.name}: {type(error).__name__}") from error
        if self._failures:
            self.succeeded()

    def failed(self) -> None:
        """Count a failure; the third in a row opens the breaker."""
        with self._lock:
            self._failures += 1
            if self._failures >= _FAILURES:
                self._open_until = time.monotonic() + _OPEN_FOR

    def succeeded(self) -> None:
        """Close the breaker."""
        with self._lock:
            self._failures = 0
            self._open_until = 0.0

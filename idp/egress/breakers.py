"""One breaker for each origin, so that a portal that does not answer costs one waiting call, not every one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from idp.egress.model import NotReachable

_FAILURES: Final = 3
_OPEN_FOR: Final = 2.0
_OPEN_AT_MOST: Final = 300.0
_PROBE_FOR: Final = 10.0
_MOST_ORIGINS: Final = 10_000


@dataclass(slots=True)
class _State:
    failures: int = 0
    open_until: float = 0.0


class Breakers:
    """Opens for an origin after three failures in a row, for 2 s, doubling up to 5 min; then lets one call try."""

    def __init__(self) -> None:
        """Every origin starts closed."""
        self._lock = threading.Lock()
        self._states: dict[str, _State] = {}

    @contextmanager
    def guard(self, origin: str) -> Iterator[None]:
        """Run a call to `origin`; a `NotReachable` that it raises counts as a failure, any answer closes the breaker.

        Raises:
            NotReachable: `busy`, with the seconds for which the breaker stays open; or what the call raised.
        """
        self._enter(origin)
        try:
            yield
        except NotReachable:
            self._failed(origin)
            raise
        if origin in self._states:
            with self._lock:
                self._states.pop(origin, None)

    def _enter(self, origin: str) -> None:
        with self._lock:
            state = self._states.get(origin)
            if state is None or state.failures < _FAILURES:
                return
            now = time.monotonic()
            if now < state.open_until:
                raise NotReachable("busy", "breaker open", again_in=state.open_until - now)
            state.open_until = now + _PROBE_FOR  # this call tries; the others wait for what becomes of it

    def _failed(self, origin: str) -> None:
        with self._lock:
            if origin not in self._states and len(self._states) >= _MOST_ORIGINS:
                self._states.pop(next(iter(self._states)))
            state = self._states.setdefault(origin, _State())
            state.failures += 1
            if state.failures >= _FAILURES:
                doublings = min(state.failures - _FAILURES, 16)
                state.open_until = time.monotonic() + min(_OPEN_FOR * 2**doublings, _OPEN_AT_MOST)

"""The one door to the time of day.

Owns how this process tells time: monotonic, never backwards, corrected by an offset learnt from the database, so that nodes
agree. Every statement takes the instant as a bound parameter; nothing else in the house asks an operating system for the time.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

MAX_SKEW = timedelta(seconds=2)
"""A wall clock further than this from the database's makes the node not ready."""


class Clock(Protocol):
    """Tells the instant. Implementations never go backwards."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...


class SystemClock:
    """The process clock: the wall at start, moved on by the monotonic counter, plus what was learnt from the database."""

    def __init__(self, offset_file: Path | None = None) -> None:
        """Start from the wall clock. `offset_file` (test mode only) holds whole seconds to add, read afresh when it changes."""
        self._base = time.time() - time.monotonic()
        self._learnt = 0.0
        self._offset_file = offset_file
        self._offset_seen = 0
        self._offset = 0.0
        self._latest = 0.0

    def now(self) -> datetime:
        """Return the present instant; never earlier than an instant it returned before."""
        seconds = self._base + time.monotonic() + self._learnt
        if self._offset_file is not None:
            seconds += self._read_offset(self._offset_file)
        self._latest = seconds = max(seconds, self._latest)
        return datetime.fromtimestamp(seconds, UTC)

    def learn(self, database_now: datetime, *, asked_at: float, answered_at: float) -> timedelta:
        """Correct this clock by the database's, as seen half-way between asking and answering (monotonic seconds).

        Returns how far the operating system's wall clock is from the database's: the caller judges it against `MAX_SKEW`.
        """
        middle = (asked_at + answered_at) / 2
        self._learnt = database_now.timestamp() - (self._base + middle)
        wall_then = time.time() - (time.monotonic() - middle)
        return timedelta(seconds=wall_then - database_now.timestamp())

    def _read_offset(self, path: Path) -> float:
        try:
            changed = path.stat().st_mtime_ns
        except FileNotFoundError:
            return self._offset
        if changed != self._offset_seen:
            self._offset = float(path.read_text(encoding="ascii").strip() or 0)
            self._offset_seen = changed  # last: another thread that finds it seen finds the offset too
        return self._offset


class FixedClock:
    """A clock for tests: stands still until it is advanced."""

    def __init__(self, start: datetime) -> None:
        """Stand at `start` (aware)."""
        self._now = start

    def now(self) -> datetime:
        """Return the instant it stands at."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move forward by `by`; going back is refused, as for every clock."""
        if by < timedelta(0):
            message = "a clock never goes backwards"
            raise ValueError(message)
        self._now += by


def microseconds(at: datetime) -> int:
    """Return `at` as whole microseconds since 1970: the form in which audit leaves hash an instant."""
    return (at - _EPOCH) // _MICROSECOND


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

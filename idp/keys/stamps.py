"""What a process remembers of the configuration: read again, lazily, at most one second after it changed.

Owns the table `configuration_stamp`. Who changes keys or clients calls `bump` in the transaction of the change; who remembers
them compares the stamp by one prepared statement a second, and loads again only when it moved.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from idp.kernel.refusals import Refusal
from idp.storage.breaker import EngineAway

if TYPE_CHECKING:
    from collections.abc import Callable

    from idp.kernel.clock import Clock
    from idp.storage.postgres import Database, Transaction

T = TypeVar("T")

FRESH_FOR: Final = timedelta(seconds=1)
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)

_STAMP: Final = "SELECT version FROM configuration_stamp WHERE kind = %(kind)s"
_HOLD: Final = "SELECT version FROM configuration_stamp WHERE kind = %(kind)s FOR NO KEY UPDATE"
_BUMP: Final = "UPDATE configuration_stamp SET version = version + 1 WHERE kind = %(kind)s"


class NotMigrated(Refusal):
    """The database has no configuration stamp of this kind: it was not migrated."""

    code = "keys.not_migrated"


def hold(transaction: Transaction, kind: str) -> None:
    """Keep every other change of this kind of configuration out until the transaction ends."""
    transaction.one(_HOLD, {"kind": kind})


def bump(transaction: Transaction, kind: str) -> None:
    """Tell every process, within a second of the commit, to load this kind of configuration again."""
    transaction.run(_BUMP, {"kind": kind})


class Remembered(Generic[T]):
    """One kind of configuration as this process remembers it. Threads share it."""

    def __init__(self, database: Database, kind: str, clock: Clock, load: Callable[[], T]) -> None:
        """Remember what `load` returns, for as long as the stamp of `kind` stands."""
        self._database = database
        self._kind = kind
        self._clock = clock
        self._load = load
        self._lock = threading.Lock()
        self._value: T | None = None
        self._version: int | None = None
        self._fresh_until = _LONG_AGO

    def get(self, now: datetime | None = None) -> T:
        """Return the configuration, at most a second old; older only while the database is away.

        One thread looks; the others go on meanwhile with what is remembered.

        Raises:
            EngineAway: the database is away and nothing is remembered yet.
        """
        value = self._value
        if value is not None:
            if (now or self._clock.now()) < self._fresh_until or not self._lock.acquire(blocking=False):
                return value
        else:
            self._lock.acquire()
        try:
            return self._look()
        finally:
            self._lock.release()

    def again(self) -> T:
        """Look at once, whatever is remembered, and even if the stamp has not moved."""
        with self._lock:
            self._version = None
            return self._look()

    def expire(self) -> None:
        """Have the next reader look: this process has just changed the configuration itself."""
        self._fresh_until = _LONG_AGO

    def _look(self) -> T:
        asked_at = self._clock.now()
        if self._value is not None and self._version is not None and asked_at < self._fresh_until:
            return self._value  # another thread has just looked
        try:
            row = self._database.step(_STAMP, {"kind": self._kind})
            if row is None:
                raise NotMigrated(self._kind)
            if self._value is None or row.version != self._version:
                # The stamp was read first: a change between the two reads is looked at once more, never missed.
                self._value, self._version = self._load(), row.version
            self._fresh_until = asked_at + FRESH_FOR
        except EngineAway:
            if self._value is None:
                raise
            self._fresh_until = self._clock.now() + FRESH_FOR
        return self._value

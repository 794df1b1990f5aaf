"""Work that is done after the answer: procrastinate behind one door. The only importer of that library.

A job is deferred by name in the transaction of the change that causes it; its handler lives in the room that owns the work and is
registered in `app.py`. Knows no room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from procrastinate import sql
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from idp.storage.postgres import Transaction

_DEFER: Final = sql.queries["defer_jobs"]
_PRIORITY: Final = 0

Handler = Callable[[Mapping[str, Any]], object]
"""Does one job, given what was deferred. A job is done at least once, so doing it twice must change nothing the second time."""


@dataclass(frozen=True, slots=True)
class Later:
    """What is to be done: a handler's name, the queue it waits in, and what it is given (plain JSON values)."""

    task: str
    queue: str
    given: dict[str, Any]


class Again(Exception):
    """A handler asks to be given its job again."""

    def __init__(self, after: timedelta) -> None:
        """Ask for it in `after`."""
        super().__init__(f"again in {after.total_seconds():.1f} s")
        self.after = after


class Jobs:
    """Defers jobs in other rooms' transactions."""

    def defer(self, transaction: Transaction, later: Later) -> None:
        """Have `later` done once `transaction` has committed; never if it does not.

        The queue's own statement, run by the transaction like every other: so it is watched, and fails, as every other does.
        """
        job = (later.queue, later.task, _PRIORITY, None, None, Jsonb(later.given), None)
        transaction.all(_DEFER, {"jobs": [job]})

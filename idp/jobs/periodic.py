"""Work that is done again and again, by whichever worker comes first.

Owns the table `periodic_work`: one row for each work, whose `due_at` a worker moves on before it begins (one statement, so two
never begin together) and sets when it has ended. A worker killed meanwhile holds the work up for no longer than its lease.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from idp.kernel.clock import Clock
    from idp.storage.postgres import Database

log = logging.getLogger(__name__)

_LEASE: Final = timedelta(seconds=30)
_DAYS_AHEAD: Final = 7

_TAKE: Final = """
INSERT INTO periodic_work AS w (name, due_at) VALUES (%(name)s, %(leased_until)s)
ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at
WHERE w.due_at <= %(now)s OR (%(is_start)s AND w.due_at > %(leased_until)s)
RETURNING w.name
"""
"""At a worker's start, work that is not due is taken too, unless it is under way."""

_ENDED: Final = "UPDATE periodic_work SET due_at = %(due_at)s WHERE name = %(name)s"

_MAKE_PARTITIONS: Final = "SELECT make_partitions_ahead(%(today)s, %(days)s) AS made"


@dataclass(frozen=True, slots=True)
class Every:
    """A work and how often it is due; with `at_start`, also whenever a worker starts."""

    interval: timedelta
    do: Callable[[], object]
    at_start: bool = False


class PeriodicWork:
    """The periodic work of one worker."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Share the work with every other worker on `database`."""
        self._database = database
        self._clock = clock

    def run_if_due(self, name: str, every: Every, *, is_start: bool = False) -> bool:
        """Do the work if it is due and no other worker has taken it; return whether it was done here.

        What the work raises is logged by its type, and the work is tried again within a lease.
        """
        began_at = self._clock.now()
        taken = {"name": name, "now": began_at, "leased_until": began_at + _LEASE, "is_start": is_start and every.at_start}
        with self._database.transaction() as transaction:
            if transaction.one(_TAKE, taken) is None:
                return False
        try:
            every.do()
        except Exception as error:  # noqa: BLE001 - one work that fails stops neither the others nor its next time
            log.error("periodic work %s failed: %s", name, type(error).__name__)  # noqa: TRY400 - messages may hold values of rows
            due_at = began_at + min(every.interval, _LEASE)
        else:
            due_at = began_at + every.interval
        with self._database.transaction() as transaction:
            transaction.run(_ENDED, {"name": name, "due_at": due_at})
        return True


def make_partitions_ahead(database: Database, clock: Clock) -> int:
    """Make the time partitions of the next seven days that are not there yet; return how many were made."""
    with database.transaction() as transaction:
        row = transaction.one(_MAKE_PARTITIONS, {"today": clock.now().date(), "days": _DAYS_AHEAD})
    return int(row.made) if row is not None else 0

"""Taking away what has passed: access tokens, codes, refresh tokens and families, in batches, each in a transaction of its own.

Nothing depends on it: every statement of the room looks at `expires_at`. What shows a replay is kept as long as the replay can still
do good: a code for a day, a used refresh token for as long as a family that it could belong to. A family that died of a replay is
kept for as long as its person is told.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from idp.grants.model import TOLD_FOR
from idp.storage.batches import run_in_batches

if TYPE_CHECKING:
    from idp.kernel.clock import Clock
    from idp.storage.postgres import Database

KEPT_FOR: Final = timedelta(days=1)
"""Beyond its end: for a question that comes late."""


def _of(table: str) -> str:
    return f"""
DELETE FROM {table}
WHERE digest IN (
    SELECT t.digest FROM {table} t
    WHERE t.issued_at < %(issued_before)s AND t.expires_at < %(ended_before)s
    LIMIT %(at_most)s
    FOR UPDATE SKIP LOCKED
)
"""


ACCESS_TOKENS: Final = _of("access_token")
CODES: Final = _of("code")
REFRESH_TOKENS: Final = _of("refresh_token")

FAMILIES: Final = """
DELETE FROM family
WHERE id IN (
    SELECT f.id FROM family f
    WHERE f.expires_at < %(ended_before)s
      AND (f.kill_reason IS DISTINCT FROM 'refresh_replayed' OR f.killed_at < %(told_before)s)
    LIMIT %(at_most)s
)
"""


class Purge:
    """Takes away what has passed. Two may run at once: they take different rows, or wait for each other's."""

    def __init__(self, database: Database, clock: Clock, *, longest_family: timedelta) -> None:
        """`longest_family` is how long a family lives at most: a session's longest life and the longest refreshing after it."""
        self._database = database
        self._clock = clock
        self._longest_family = longest_family

    def purge(self, *, at_most: int = 2000, batches: int = 25) -> int:
        """Remove up to `batches` times `at_most` rows of each kind; return how many there were."""
        ended_before = self._clock.now() - KEPT_FOR
        ended = {"issued_before": ended_before, "ended_before": ended_before}
        families = {"ended_before": ended_before, "told_before": self._clock.now() - TOLD_FOR}
        used = ended | {"issued_before": ended_before - self._longest_family}
        run = partial(run_in_batches, self._database, at_most=at_most, batches=batches)
        return run(ACCESS_TOKENS, ended) + run(CODES, ended) + run(REFRESH_TOKENS, used) + run(FAMILIES, families)

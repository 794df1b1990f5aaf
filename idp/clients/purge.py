"""Taking away what has passed: the `jti` of client assertions that no clock accepts any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from idp.storage.batches import run_in_batches

if TYPE_CHECKING:
    from idp.kernel.clock import Clock
    from idp.storage.postgres import Database

ASSERTIONS: Final = """
DELETE FROM client_assertion
WHERE (client_id, jti_digest) IN (
    SELECT a.client_id, a.jti_digest FROM client_assertion a
    WHERE a.expires_at < %(now)s
    LIMIT %(at_most)s
    FOR UPDATE SKIP LOCKED
)
"""


def purge(database: Database, clock: Clock, *, at_most: int = 2000, batches: int = 25) -> int:
    """Remove up to `batches` times `at_most` of them, each batch in its transaction; return how many there were.

    The margin beyond an assertion's own end is in `expires_at`.
    """
    return run_in_batches(database, ASSERTIONS, {"now": clock.now()}, at_most=at_most, batches=batches)

"""Taking away what has passed: the private halves of keys that sign no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idp.keys import store

if TYPE_CHECKING:
    from idp.kernel.clock import Clock
    from idp.storage.postgres import Database


def purge(database: Database, clock: Clock) -> int:
    """Destroy them a minute after they signed last, while the public halves go on verifying; return how many there were."""
    with database.transaction() as transaction:
        return store.erase_private_halves(transaction, clock.now())

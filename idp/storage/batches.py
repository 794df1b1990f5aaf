"""Changing many rows by little: in batches, each in a transaction of its own, so that nobody waits long for any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.storage.postgres import Database


def run_in_batches(database: Database, statement: str, parameters: Mapping[str, object], *, at_most: int, batches: int) -> int:
    """Run a statement that changes up to `%(at_most)s` rows until it finds fewer, `batches` times at most; return how many there were."""
    changed = 0
    for _ in range(batches):
        with database.transaction() as transaction:
            rows = transaction.run(statement, {**parameters, "at_most": at_most})
        changed += rows
        if rows < at_most:
            break
    return changed

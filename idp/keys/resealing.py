"""Bringing sealed values and blind indexes under the keys in force, in batches beside the running service."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from idp.audit.store import record
from idp.keys import store
from idp.keys.model import Progress, RegistryIncomplete, ValuesResealed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from idp.audit.model import Origin
    from idp.kernel.clock import Clock
    from idp.kernel.sealing import Sealer, SealingKeys
    from idp.keys.model import IndexColumn, SealedColumn, SealingKey
    from idp.storage.postgres import Database, Transaction

Column = TypeVar("Column", bound="SealedColumn | IndexColumn")

_PASSES = 3
"""How often rows are asked for again that others held."""


class Resealing:
    """One re-encryption towards `keys`."""

    def __init__(self, database: Database, sealer: Sealer, keys: SealingKeys, clock: Clock, *, batch: int) -> None:
        """Move values in transactions of `batch` rows."""
        self._database = database
        self._sealer = sealer
        self._keys = keys
        self._clock = clock
        self._batch = batch

    def require_complete(self, sealed: Sequence[SealedColumn], indexes: Sequence[IndexColumn]) -> None:
        """Go on only if the registry names exactly the sealed columns and indexes that the database has.

        Raises:
            RegistryIncomplete: it does not.
        """
        columns: list[SealedColumn | IndexColumn] = [*sealed, *indexes]
        registered = {(each.table, each.column) for each in columns}
        with self._database.transaction() as transaction:
            present = store.catalogue(transaction)
        wrong = sorted(".".join(each) for each in registered ^ present)
        if wrong:
            raise RegistryIncomplete(f"registry and database differ in {', '.join(wrong)}")

    def run(
        self,
        sealed: Sequence[SealedColumn],
        indexes: Sequence[IndexColumn],
        progress: Callable[[Progress], None],
        origin: Origin,
    ) -> int:
        """Move every value and index that can be moved; return how many were."""
        moved: int = sum(self._move(column, self._keys.seal_with, self._reseal_batch, progress, origin) for column in sealed)
        return moved + sum(
            self._move(index, self._keys.index_with, self._reindex_batch, progress, origin) for index in indexes if index.source
        )

    def count_left(self, sealed: Sequence[SealedColumn], indexes: Sequence[IndexColumn]) -> int:
        """Return how many values and indexes that still matter are not under the keys in force."""
        with self._database.transaction() as transaction:
            left = sum(store.count_stale(transaction, column, self._keys.seal_with) for column in sealed)
            return left + sum(store.count_stale(transaction, index, self._keys.index_with) for index in indexes)

    def is_needed(self, transaction: Transaction, key: SealingKey, sealed: Sequence[SealedColumn], indexes: Sequence[IndexColumn]) -> bool:
        """Tell whether anything that still matters is under `key`."""
        columns: Sequence[SealedColumn | IndexColumn] = sealed if key.purpose == "seal" else indexes
        return any(store.count_under(transaction, column, key.id) for column in columns)

    def _move(
        self,
        column: Column,
        current: int,
        move_batch: Callable[[Transaction, Column, object], tuple[int, object]],
        progress: Callable[[Progress], None],
        origin: Origin,
    ) -> int:
        with self._database.transaction() as transaction:
            total = store.count_stale(transaction, column, current)
        done, after, passes = 0, None, 0
        while total and passes < _PASSES:
            with self._database.transaction() as transaction:
                count, after = move_batch(transaction, column, after)
                if count:
                    record(transaction, ValuesResealed(origin, column.table, column.column, count), self._clock.now())
            done += count
            if count:
                progress(Progress(column.table, column.column, done, max(total, done)))
            if count < self._batch:
                passes, after = passes + 1, None
                if done >= total:
                    break
        return done

    def _reseal_batch(self, transaction: Transaction, column: SealedColumn, after: object) -> tuple[int, object]:
        rows = store.take_stale(transaction, column, self._keys.seal_with, after=after, limit=self._batch)
        for row in rows:
            place = column.place(row.row)
            store.put_sealed(transaction, column, row.row, self._sealer.seal(self._sealer.open(row.sealed, place), place))
        return len(rows), rows[-1].row if rows else None

    def _reindex_batch(self, transaction: Transaction, index: IndexColumn, after: object) -> tuple[int, object]:
        source = index.source
        if source is None:
            return 0, None
        rows = store.take_stale_indexes(transaction, index, source, self._keys.index_with, after=after, limit=self._batch)
        for row in rows:
            value = self._sealer.open(row.sealed, source.place(row.row)).decode()
            store.put_index(transaction, index, source, row.row, self._sealer.index(index.kind, index.canonical(value)))
        return len(rows), rows[-1].row if rows else None

"""Tables `signing_key` and `sealing_key`, and the statements that bring other rooms' sealed columns under new keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from idp.keys.model import IndexColumn, SealedColumn, SealingKey, SigningKey

if TYPE_CHECKING:
    from datetime import datetime

    from idp.storage.postgres import Row, Transaction

KIND: Final = "keys"
"""The kind under which changes of keys are stamped."""

_SIGNING: Final = """
    SELECT kid, alg, public_jwk, private_wrapped, wrapped_with, created_at, signs_from, signs_until, verifies_until
    FROM signing_key
    ORDER BY created_at, kid"""

_ADD_SIGNING: Final = """
    INSERT INTO signing_key (kid, alg, public_jwk, private_wrapped, wrapped_with, created_at, signs_from)
    VALUES (%(kid)s, %(alg)s, %(public_jwk)s::jsonb, %(private_wrapped)s, %(wrapped_with)s, %(now)s, %(signs_from)s)"""

_END_SIGNING: Final = """
    UPDATE signing_key SET signs_until = %(signs_until)s, verifies_until = %(verifies_until)s
    WHERE kid = %(kid)s"""

_REVOKE_SIGNING: Final = """
    UPDATE signing_key
    SET signs_until = least(signs_until, %(now)s), verifies_until = %(now)s, private_wrapped = ''::bytea
    WHERE kid = %(kid)s"""

_BEGIN_SIGNING: Final = """
    UPDATE signing_key SET signs_from = %(signs_from)s
    WHERE kid = %(kid)s"""

# A key that signs no more needs its private half no more. The function leaves a minute for a process that is about to look.
_ERASE_PRIVATE: Final = "SELECT erase_private_halves(%(now)s) AS erased"

_SEALING: Final = """
    SELECT id, purpose, wrapped, wrapped_with, created_at, active_at, retired_at
    FROM sealing_key
    ORDER BY id"""

_ADD_SEALING: Final = """
    INSERT INTO sealing_key (id, purpose, wrapped, wrapped_with, created_at, active_at)
    SELECT coalesce(max(id), 0) + 1, %(purpose)s, ''::bytea, '', %(now)s, %(active_at)s
    FROM sealing_key
    RETURNING id"""

_WRAP_SEALING: Final = """
    UPDATE sealing_key SET wrapped = %(wrapped)s, wrapped_with = %(wrapped_with)s
    WHERE id = %(id)s"""

_WRAP_SIGNING: Final = """
    UPDATE signing_key SET private_wrapped = %(wrapped)s, wrapped_with = %(wrapped_with)s
    WHERE kid = %(kid)s"""

_RETIRE_SEALING: Final = """
    UPDATE sealing_key SET retired_at = %(now)s, wrapped = ''::bytea
    WHERE id = %(id)s AND retired_at IS NULL"""

_CATALOGUE: Final = """
    SELECT c.table_name, c.column_name
    FROM information_schema.columns c
    JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.data_type = 'bytea'
      AND (c.column_name LIKE '%%\\_sealed' OR c.column_name LIKE '%%\\_index')
    ORDER BY c.table_name, c.column_name"""


def read_signing(row: Row) -> SigningKey:
    """Return a row of `signing_key` without its private half."""
    return SigningKey(row.kid, row.alg, row.public_jwk, row.created_at, row.signs_from, row.signs_until, row.verifies_until)


def read_sealing(row: Row) -> SealingKey:
    """Return a row of `sealing_key` without its key."""
    return SealingKey(row.id, row.purpose, row.created_at, row.active_at, row.retired_at)


def all_signing(transaction: Transaction) -> list[Row]:
    """Return every signing key ever made, the oldest first."""
    return transaction.all(_SIGNING)


def all_sealing(transaction: Transaction) -> list[Row]:
    """Return every sealing and index key ever made."""
    return transaction.all(_SEALING)


def add_signing(transaction: Transaction, key: SigningKey, *, private_wrapped: bytes, wrapped_with: str) -> None:
    """Store a signing key, staged or signing by its instants."""
    transaction.run(
        _ADD_SIGNING,
        {
            "kid": key.kid,
            "alg": key.alg,
            "public_jwk": json.dumps(dict(key.public_jwk), sort_keys=True),
            "private_wrapped": private_wrapped,
            "wrapped_with": wrapped_with,
            "now": key.created_at,
            "signs_from": key.signs_from,
        },
    )


def end_signing(transaction: Transaction, kid: str, *, signs_until: datetime, verifies_until: datetime) -> None:
    """Set until when a key signs and verifies."""
    transaction.run(_END_SIGNING, {"kid": kid, "signs_until": signs_until, "verifies_until": verifies_until})


def begin_signing(transaction: Transaction, kid: str, signs_from: datetime) -> None:
    """Set from when a staged key signs."""
    transaction.run(_BEGIN_SIGNING, {"kid": kid, "signs_from": signs_from})


def revoke_signing(transaction: Transaction, kid: str, now: datetime) -> None:
    """Retire a key at once and destroy its private half."""
    transaction.run(_REVOKE_SIGNING, {"kid": kid, "now": now})


def erase_private_halves(transaction: Transaction, now: datetime) -> int:
    """Destroy the private half of every key that signs no more; return how many."""
    row = transaction.one(_ERASE_PRIVATE, {"now": now})
    return 0 if row is None else int(row.erased)


def add_sealing(transaction: Transaction, purpose: str, *, now: datetime, active_at: datetime) -> int:
    """Reserve the next id for a sealing or index key, not wrapped yet; return it."""
    row = transaction.one(_ADD_SEALING, {"purpose": purpose, "now": now, "active_at": active_at})
    return 0 if row is None else int(row.id)


def wrap_sealing(transaction: Transaction, key_id: int, *, wrapped: bytes, wrapped_with: str) -> None:
    """Store a sealing key as it was wrapped."""
    transaction.run(_WRAP_SEALING, {"id": key_id, "wrapped": wrapped, "wrapped_with": wrapped_with})


def wrap_signing(transaction: Transaction, kid: str, *, wrapped: bytes, wrapped_with: str) -> None:
    """Store a private signing key as it was wrapped anew."""
    transaction.run(_WRAP_SIGNING, {"kid": kid, "wrapped": wrapped, "wrapped_with": wrapped_with})


def retire_sealing(transaction: Transaction, key_id: int, now: datetime) -> None:
    """Mark a sealing key retired and destroy it."""
    transaction.run(_RETIRE_SEALING, {"id": key_id, "now": now})


# the sealed columns of other rooms ----------------------------------------------------------------------------------------------


def catalogue(transaction: Transaction) -> set[tuple[str, str]]:
    """Return every column (table, column) that holds sealed values or blind indexes, as the database knows them."""
    return {(row.table_name, row.column_name) for row in transaction.all(_CATALOGUE)}


def count_stale(transaction: Transaction, column: SealedColumn | IndexColumn, current: int) -> int:
    """Return how many values of `column` are not under key `current`."""
    while_ = column.while_ if isinstance(column, IndexColumn) else "true"
    row = transaction.one(
        f"SELECT count(*) AS stale FROM {column.table}"
        f" WHERE {column.column} IS NOT NULL AND substring({column.column} FOR 2) <> %(current)s AND {while_}",
        {"current": _prefix(current)},
    )
    return 0 if row is None else int(row.stale)


def count_under(transaction: Transaction, column: SealedColumn | IndexColumn, key_id: int) -> int:
    """Return how many values of `column` that still matter are under key `key_id`."""
    while_ = column.while_ if isinstance(column, IndexColumn) else "true"
    row = transaction.one(
        f"SELECT count(*) AS under FROM {column.table} WHERE substring({column.column} FOR 2) = %(key)s AND {while_}",
        {"key": _prefix(key_id)},
    )
    return 0 if row is None else int(row.under)


def take_stale(transaction: Transaction, column: SealedColumn, current: int, *, after: object, limit: int) -> list[Row]:
    """Lock and return (row, sealed) of up to `limit` values that are not under key `current`, in the order of their rows.

    `after` is the last row of the batch before, or None; rows that others hold are left for another pass.
    """
    return transaction.all(
        f"SELECT {column.key} AS row, {column.column} AS sealed FROM {column.table}"
        f" WHERE {column.column} IS NOT NULL AND substring({column.column} FOR 2) <> %(current)s{_following(column, after)}"
        f" ORDER BY {column.key} LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED",
        {"current": _prefix(current), "limit": limit, "after": after},
    )


def put_sealed(transaction: Transaction, column: SealedColumn, row: object, sealed: bytes) -> None:
    """Replace the value of a locked row."""
    transaction.run(f"UPDATE {column.table} SET {column.column} = %(sealed)s WHERE {column.key} = %(row)s", {"sealed": sealed, "row": row})


def take_stale_indexes(
    transaction: Transaction, index: IndexColumn, source: SealedColumn, current: int, *, after: object, limit: int
) -> list[Row]:
    """Lock and return (row, sealed source) of up to `limit` indexes that are not under key `current`; see `take_stale`."""
    return transaction.all(
        f"SELECT {source.key} AS row, {source.column} AS sealed FROM {index.table}"
        f" WHERE {index.column} IS NOT NULL AND {source.column} IS NOT NULL AND substring({index.column} FOR 2) <> %(current)s"
        f"{_following(source, after)} ORDER BY {source.key} LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED",
        {"current": _prefix(current), "limit": limit, "after": after},
    )


def put_index(transaction: Transaction, index: IndexColumn, source: SealedColumn, row: object, value: bytes) -> None:
    """Replace the index of a locked row."""
    transaction.run(f"UPDATE {index.table} SET {index.column} = %(value)s WHERE {source.key} = %(row)s", {"value": value, "row": row})


def _following(column: SealedColumn, after: object) -> str:
    return "" if after is None else f" AND {column.key} > %(after)s"


def _prefix(key_id: int) -> bytes:
    return key_id.to_bytes(2, "big")

"""Reading the record back, and proving of each row that it is what was written (law 10).

The leaf is computed here anew, in another language than the statement that wrote it. Knows no event of any room.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

from idp.audit.store import RELATED
from idp.kernel.clock import microseconds
from idp.kernel.ids import first_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from idp.storage.postgres import Database, Row

State = Literal["intact", "erased", "altered"]

_LAST_ID: Final = UUID(int=(1 << 128) - 1)

_PAGE: Final = 5000
"""Rows of the record that one statement reads: each is short, however long the record is (decision 0002)."""

_COLUMNS: Final = "id, at, kind, account_id, client_id, session_id, family_id, object_id, body, salt, leaf"
_OF_KIND: Final = "(%(kind)s::text IS NULL OR kind = %(kind)s OR starts_with(kind, %(kind)s || '.'))"

LATEST_OF_ACCOUNT: Final = f"""
SELECT {_COLUMNS} FROM audit_event
WHERE account_id = %(account_id)s AND (%(client_id)s::uuid IS NULL OR client_id = %(client_id)s) AND {_OF_KIND}
ORDER BY at DESC, id DESC LIMIT %(most)s
"""

# One row at least where the page holds any: `reached` says where the next page begins, whether or not something in it is wanted.
_WANTED_OF_PAGE: Final = f"""
LEFT JOIN page p ON (%(account_id)s::uuid IS NULL OR p.account_id = %(account_id)s)
    AND (%(client_id)s::uuid IS NULL OR p.client_id = %(client_id)s) AND {_OF_KIND}"""

PAGE_BEFORE: Final = f"""
WITH page AS MATERIALIZED (
    SELECT {_COLUMNS} FROM audit_event WHERE id < %(before)s ORDER BY id DESC LIMIT {_PAGE}
)
SELECT last.reached, p.*
FROM (SELECT page.id AS reached FROM page ORDER BY page.id LIMIT 1) last {_WANTED_OF_PAGE}
ORDER BY p.id DESC LIMIT %(most)s
"""

PAGE_AFTER: Final = f"""
WITH page AS MATERIALIZED (
    SELECT {_COLUMNS} FROM audit_event WHERE id > %(after)s ORDER BY id LIMIT {_PAGE}
)
SELECT last.reached, p.*
FROM (SELECT page.id AS reached FROM page ORDER BY page.id DESC LIMIT 1) last {_WANTED_OF_PAGE}
ORDER BY p.id
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are asked for: all that are of this account, of this client, of this kind or room (None: any)."""

    account_id: UUID | None = None
    client_id: UUID | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event as it lies in the record. `body` is None when it was erased or cannot be read."""

    id: UUID
    at: datetime
    kind: str
    related: Mapping[str, UUID]
    body: Mapping[str, Any] | None
    state: State
    """`intact`: the leaf matches; `erased`: body and salt were taken away by a rule; `altered`: somebody changed the row."""


def latest(database: Database, wanted: Wanted, *, most: int) -> list[Recorded]:
    """Return the last `most` events that are wanted, the oldest first.

    An account's are found by its index. What is rare is looked for through the whole record, a page at a time.
    """
    asked = _parameters(wanted) | {"most": most}
    if wanted.account_id is not None:
        with database.transaction() as transaction:
            return [_recorded(row) for row in reversed(transaction.all(LATEST_OF_ACCOUNT, asked))]
    found: list[Row] = []
    before = _LAST_ID
    while len(found) < most:
        with database.transaction() as transaction:
            rows = transaction.all(PAGE_BEFORE, asked | {"before": before, "most": most - len(found)})
        if not rows:
            break
        found += [row for row in rows if row.id is not None]
        before = rows[0].reached
    return [_recorded(row) for row in reversed(found)]


def since(database: Database, wanted: Wanted, at: datetime) -> Iterator[Recorded]:
    """Yield every wanted event from the millisecond of `at` on, in the order of their ids, which is that of their instants."""
    after = first_id(at)
    while True:
        with database.transaction() as transaction:
            rows = transaction.all(PAGE_AFTER, _parameters(wanted) | {"after": after})
        if not rows:
            return
        yield from (_recorded(row) for row in rows if row.id is not None)
        after = rows[0].reached


def _parameters(wanted: Wanted) -> dict[str, object]:
    return {"account_id": wanted.account_id, "client_id": wanted.client_id, "kind": wanted.kind}


def _recorded(row: Row) -> Recorded:
    related = {name: UUID(str(value)) for name in RELATED if (value := getattr(row, name)) is not None}
    event_id = UUID(str(row.id))
    if row.body is None and row.salt is None:
        return Recorded(event_id, row.at, row.kind, related, None, "erased")
    body = _read(bytes(row.body or b""))
    is_intact = (
        row.body is not None
        and row.salt is not None
        and body is not None
        and body.get("kind") == row.kind
        and leaf_of(bytes(row.salt), event_id, row.at, related, bytes(row.body)) == bytes(row.leaf)
    )
    return Recorded(event_id, row.at, row.kind, related, body, "intact" if is_intact else "altered")


def leaf_of(salt: bytes, event_id: UUID, at: datetime, related: Mapping[str, UUID], body: bytes) -> bytes:
    """Return `sha256(0x00 || salt || id || at || related ids || sha256(body))`; an absent id is sixteen zero bytes."""
    ids = b"".join(related[name].bytes if name in related else bytes(16) for name in RELATED)
    instant = microseconds(at).to_bytes(8, "big", signed=True)
    return hashlib.sha256(b"\x00" + salt + event_id.bytes + instant + ids + hashlib.sha256(body).digest()).digest()


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        read = json.loads(body)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None

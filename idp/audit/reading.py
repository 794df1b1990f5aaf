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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.storage.postgres import Row, Transaction

State = Literal["intact", "erased", "altered"]

_COLUMNS: Final = "id, at, kind, account_id, client_id, session_id, family_id, object_id, body, salt, leaf"
_WANTED: Final = """
    (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
    AND (%(client_id)s::uuid IS NULL OR client_id = %(client_id)s)
    AND (%(kind)s::text IS NULL OR kind = %(kind)s OR starts_with(kind, %(kind)s || '.'))"""

LATEST: Final = f"""
SELECT {_COLUMNS} FROM audit_event WHERE {_WANTED}
ORDER BY id DESC LIMIT %(most)s
"""

SINCE: Final = f"""
SELECT {_COLUMNS} FROM audit_event WHERE at >= %(since)s AND {_WANTED}
ORDER BY at, id LIMIT %(most)s
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


def latest(transaction: Transaction, wanted: Wanted, *, most: int) -> list[Recorded]:
    """Return the last `most` events that are wanted, the oldest first."""
    rows = transaction.all(LATEST, _parameters(wanted) | {"most": most})
    return [_recorded(row) for row in reversed(rows)]


def since(transaction: Transaction, wanted: Wanted, at: datetime, *, most: int) -> list[Recorded]:
    """Return up to `most` wanted events from `at` on, the oldest first."""
    return [_recorded(row) for row in transaction.all(SINCE, _parameters(wanted) | {"since": at, "most": most})]


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

"""What was recorded: audit events as an auditor reads them, each leaf computed again from what it covers (law 10)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tests.support.provider import Provider

READ = """
SELECT e.id, e.at, e.kind, e.account_id, e.client_id, e.session_id, e.family_id, e.object_id, e.body, e.salt, e.leaf
FROM audit_event e
ORDER BY e.id
"""
_RELATED = ("account_id", "client_id", "session_id", "family_id", "object_id")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Recorded:
    """One event of the record."""

    kind: str
    at: datetime
    account_id: UUID | None
    client_id: UUID | None
    session_id: UUID | None
    family_id: UUID | None
    object_id: UUID | None
    body: dict[str, Any]


class Trail:
    """What is recorded from here on."""

    def __init__(self, op: Provider) -> None:
        self._op = op
        self._seen: set[UUID] = set()
        self.new()

    @classmethod
    def from_the_beginning(cls, op: Provider) -> Trail:
        """Return the whole record."""
        trail = cls(op)
        trail._seen.clear()
        return trail

    def new(self) -> list[Recorded]:
        """Return what was recorded since the last look. Every leaf has been computed again and was right."""
        with self._op.owner.transaction() as transaction:
            rows = [row for row in transaction.all(READ) if row.id not in self._seen]
        for row in rows:
            self._seen.add(row.id)
            assert bytes(row.leaf) == leaf_of(row), f"the leaf of {row.kind} {row.id} does not cover what the row says"
        return [
            Recorded(kind=row.kind, at=row.at, body=json.loads(bytes(row.body)), **{name: getattr(row, name) for name in _RELATED})
            for row in rows
        ]

    def kinds(self) -> list[str]:
        """Return the kinds of what was recorded since the last look, sorted."""
        return sorted(event.kind for event in self.new())

    def one(self, kind: str) -> Recorded:
        """Return the only event of `kind` since the last look; there has to be exactly one."""
        found = [event for event in self.new() if event.kind == kind]
        assert len(found) == 1, f"{kind} was recorded {len(found)} times"
        return found[0]


def leaf_of(row: Any) -> bytes:
    """Return `sha256(0x00 || salt || id || at || related ids || sha256(body))`, an absent id as sixteen zero bytes."""
    at = (row.at - _EPOCH) // timedelta(microseconds=1)
    related = b"".join(each.bytes if (each := getattr(row, name)) is not None else bytes(16) for name in _RELATED)
    body = hashlib.sha256(bytes(row.body)).digest()
    return hashlib.sha256(b"\x00" + bytes(row.salt) + row.id.bytes + at.to_bytes(8, "big", signed=True) + related + body).digest()

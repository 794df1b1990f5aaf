"""What an audit event is (law 10)."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a step was asked for: which request, from which address, by whom when it was an operator or a job."""

    request_id: str
    address: str = ""
    operator: str = ""

    @classmethod
    def operated(cls, by: str) -> Origin:
        """Return the origin of something done at the command line or by a job."""
        return cls(request_id="-", operator=by)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, as the auditor reads it. Subclasses add fields; none may hold a secret or a personal number.

    The related ids (`account_id`, `client_id`, `session_id`, `family_id`, `object_id`) are columns of the record, given by the
    statement that writes it; the fields of an event are its body.
    """

    kind: ClassVar[str] = ""
    """`room.what_happened`; never reused for another meaning."""

    origin: Origin

    def encode(self) -> bytes:
        """Return the body: canonical JSON, UTF-8, keys sorted, absent fields left out."""
        members = {"kind": _text(self.kind), "request": _text(self.origin.request_id)}
        if self.origin.address:
            members["address"] = _text(self.origin.address)
        if self.origin.operator:
            members["operator"] = _text(self.origin.operator)
        for name in _names(type(self)):
            value = getattr(self, name)
            if value is not None:
                members[name] = _text(value) if isinstance(value, str) else _any(value)
        return ("{" + ",".join(f'"{name}":{members[name]}' for name in sorted(members)) + "}").encode()


_FIELDS: dict[type[Event], tuple[str, ...]] = {}


def _names(event: type[Event]) -> tuple[str, ...]:
    known = _FIELDS.get(event)
    if known is None:
        known = _FIELDS[event] = tuple(field.name for field in fields(event) if field.name != "origin")
    return known


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    message = f"an event cannot hold a {type(value).__name__}"
    raise TypeError(message)


_text = json.encoder.encode_basestring
_any = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain).encode


def event_classes(base: type[Event] = Event) -> Iterator[type[Event]]:
    """Yield every class of event that has been imported."""
    for event in base.__subclasses__():
        yield event
        yield from event_classes(event)

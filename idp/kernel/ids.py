"""Identifiers of rows: UUID version 7, made by the process, so that no sequence is a bottleneck and order follows time."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id(now: datetime) -> UUID:
    """Return a fresh UUIDv7 for the instant `now` (RFC 9562 §5.7): 48 bits of milliseconds, 74 random bits."""
    milliseconds = _milliseconds(now)
    random = int.from_bytes(os.urandom(10), "big")
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64
    return UUID(int=high | 0b10 << 62 | random & 0x3FFF_FFFF_FFFF_FFFF)


def first_id(at: datetime) -> UUID:
    """Return what no id made at `at` or later is smaller than: for reading rows by time through the index of their ids."""
    return UUID(int=(_milliseconds(at) & 0xFFFF_FFFF_FFFF) << 80)


def _milliseconds(at: datetime) -> int:
    return int((at - _EPOCH).total_seconds() * 1000)

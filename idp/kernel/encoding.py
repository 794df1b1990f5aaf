"""How answers are written as JSON: in UTF-8, without a blank that nobody reads. How what is kept for a while is read again."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, Final, TypeVar

K = TypeVar("K")

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""Made once: `json.dumps` makes an encoder for each call that wants other separators."""


def encode_json(value: Any) -> bytes:
    """Return `value` as JSON."""
    return _ENCODER.encode(value).encode()


def decode_kept(kind: type[K], stored: bytes) -> K:
    """Return the `kind` (a dataclass) that was kept as JSON, without what only a newer version put there: nodes are upgraded one by one.

    Raises:
        ValueError: this version cannot read it.
    """
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]  # a dataclass, which no type says
    try:
        return kind(**{name: value for name, value in json.loads(stored).items() if name in known})
    except (AttributeError, TypeError):  # no object, or something is missing that this version needs
        raise ValueError(kind.__name__) from None

"""How answers are written as JSON: in UTF-8, without a blank that nobody reads."""

from __future__ import annotations

import json
from typing import Any, Final

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""Made once: `json.dumps` makes an encoder for each call that wants other separators."""


def encode_json(value: Any) -> bytes:
    """Return `value` as JSON."""
    return _ENCODER.encode(value).encode()

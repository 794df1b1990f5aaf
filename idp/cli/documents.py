"""Reading what an operator hands in as a file: JSON in UTF-8, each member once, nested no deeper than anybody writes by hand."""

from __future__ import annotations

import json
from typing import Any


def read_json(text: str) -> Any:
    """Return what `text` spells.

    Raises:
        ValueError: it is no JSON, or an object has a member twice; the words say which.
    """
    try:
        return json.loads(text, object_pairs_hook=_once_each)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON (line {error.lineno})") from None
    except RecursionError:
        raise ValueError("is not JSON that anybody can read: too deeply nested") from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"has {twice!a} twice in one object")
    return read

"""Reading what an operator hands in as a file: JSON in UTF-8, as strict as what strangers send, in words that name the place."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from idp.jose import Unacceptable, depth_of, read_finite, require_storable

_DEEPEST: Final = 32


def read_json(text: str) -> Any:
    """Return what `text` spells.

    Raises:
        ValueError: it is no JSON, an object has a member twice, or a text or number could not be stored; the words say which.
    """
    if depth_of(text) > _DEEPEST:
        raise ValueError("is too deeply nested for anybody to read")
    try:
        read = json.loads(
            text, object_pairs_hook=_once_each, parse_constant=_refuse_constant, parse_float=read_finite, parse_int=_read_number
        )
        require_storable(read)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON (line {error.lineno})") from None
    except Unacceptable as refusal:
        raise ValueError(refusal.detail) from None
    return read


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"has {twice!a} twice in one object")
    return read


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"is not JSON: {name} is no number")


def _read_number(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise ValueError("holds a number of too many digits") from None

"""Reading what a stranger wrote: bounded, strict, and refusing in one way only.

JSON as RFC 8259 and RFC 7493 (I-JSON) want it: no member twice, no NaN, no number that is not finite, no lone surrogate, no NUL
(the database holds none), no deep nesting. Base64url as RFC 7515 §2 wants it: one spelling for one value.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from idp.kernel.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST: Final = 8192
"""Characters of a compact JWS; nothing we accept is longer."""

_MOST_BRACKETS: Final = 256
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)", re.ASCII)
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
"""One in JSON, or the rest, where nobody closed it."""


class Unacceptable(Refusal):
    """A signed statement is malformed, not signed by a fitting key, or does not say what was expected.

    The detail is for logs only: whoever sent it learns that it was refused, not why.
    """

    code = "jose.unacceptable"


class Compact(NamedTuple):
    """The parts of a compact JWS, decoded but not yet judged."""

    header: dict[str, object]
    claims: dict[str, object]
    signing_input: bytes
    signature: bytes


def split(compact: str) -> Compact:
    """Return the parts of `compact`.

    Raises:
        Unacceptable: it is no compact JWS of two JSON objects, or too long.
    """
    if not isinstance(compact, str) or len(compact) > LONGEST:
        raise Unacceptable("not a text, or too long")
    match = _COMPACT.fullmatch(compact)
    if match is None:
        raise Unacceptable("not three parts of base64url")
    head, body, signature = match.groups()
    return Compact(
        read_object(decode(head)),
        read_object(decode(body)),
        compact[: match.end(2)].encode("ascii"),
        decode(signature),
    )


def decode(text: str) -> bytes:
    """Return the bytes that `text` spells in base64url without padding.

    Raises:
        Unacceptable: it is not base64url, or not the one spelling of these bytes.
    """
    if _BASE64URL.fullmatch(text) is None or len(text) % 4 == 1:
        raise Unacceptable("not base64url")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise Unacceptable("not base64url") from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != text.encode("ascii"):
        raise Unacceptable("not the one spelling of these bytes in base64url")
    return raw


def read_object(raw: bytes) -> dict[str, object]:
    """Return the JSON object that `raw` spells in UTF-8.

    Raises:
        Unacceptable: it is anything else, or breaks a rule of this module.
    """
    if raw.count(b"{") + raw.count(b"[") > _MOST_BRACKETS:
        raise Unacceptable("too many lists and objects")
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_once_each, parse_constant=_refuse_constant, parse_float=read_finite)
    except (ValueError, RecursionError):  # UnicodeDecodeError, JSONDecodeError and too many digits are all ValueErrors
        raise Unacceptable("not JSON") from None
    if not isinstance(value, dict):
        raise Unacceptable("not a JSON object")
    if b"\\u" in raw:
        require_storable(value)
    return value


def peek_claims(compact: str) -> dict[str, object] | None:
    """Return what `compact` claims, UNVERIFIED, or None when it cannot be read: only for finding whose keys must verify it."""
    try:
        return split(compact).claims
    except Unacceptable:
        return None


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Unacceptable("a member stands twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise Unacceptable(f"{name} is no JSON")


def read_finite(text: str) -> float:
    """Return the number that `text` spells, as `json.loads` asks for it.

    Raises:
        Unacceptable: it is beyond all numbers.
    """
    number = float(text)
    if not math.isfinite(number):
        raise Unacceptable("a number is not finite")
    return number


def require_storable(value: object) -> None:
    """Return when every text in `value`, as JSON spells it, is one that the database holds and that can be written out.

    Raises:
        Unacceptable: one is not.
    """
    for text in _texts(value):
        if "\x00" in text or any("\ud800" <= each <= "\udfff" for each in text):
            raise Unacceptable("a text holds NUL or half a surrogate pair")


def depth_of(text: str) -> int:
    """Return how deeply lists and objects nest in a JSON text, without parsing it; brackets within its texts are none."""
    depth = deepest = 0
    for character in _TEXT.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts(member)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)

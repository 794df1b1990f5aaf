"""Verifying: algorithm, key, type and claims judged together, in one call, with one kind of refusal.

What a header says about keys (`jwk`, `jku`, `x5c`, `x5u`) is never looked at: keys come from where they were registered
(ASVS 9.1.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from idp.jose.reading import Compact, Unacceptable, split

if TYPE_CHECKING:
    from idp.jose.keys import PublicKeys

_LATEST: Final = 253_402_300_799
"""The last second of the year 9999: instants beyond it are no instants."""

_LONGEST_SKEW: Final = timedelta(seconds=60)
_TEXTS: Final = ("iss", "sub", "jti")
_UNUNDERSTOOD: Final = ("crit", "b64", "zip", "enc")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a signed statement must say to be accepted. Every field is a decision of the caller; None means: not looked at."""

    algs: frozenset[str]
    issuer: str | None
    audience: str | None
    """`aud` must be exactly this text; a list, even of one, is refused unless `audience_in_list`."""
    now: datetime
    types: frozenset[str | None]
    """Accepted `typ` values, in any case and with or without `application/`; None among them accepts an absent one."""
    required: frozenset[str] = frozenset({"exp"})
    subject: str | None = None
    skew: timedelta = timedelta(seconds=10)
    longest_life: timedelta | None = None
    """`exp` may lie no further than this (and the skew) ahead: it bounds how long a `jti` must be remembered."""
    audience_in_list: bool = False
    allow_expired: bool = False
    """For `id_token_hint`, which is welcome when it is old (OIDC RP-Initiated Logout §2)."""

    def __post_init__(self) -> None:
        """Refuse a programmer's mistake at once: no algorithm, `none`, or a skew beyond a minute."""
        if not self.algs or any(alg.lower() == "none" or alg.startswith("HS") for alg in self.algs):
            message = "expected algorithms are asymmetric ones, at least one"
            raise ValueError(message)
        if not timedelta(0) <= self.skew <= _LONGEST_SKEW:
            message = "the skew is at most a minute"
            raise ValueError(message)


def verify(compact: str, keys: PublicKeys, expected: Expected) -> dict[str, object]:
    """Return the claims of `compact`, which one of `keys` signed and which says what is `expected`.

    Raises:
        Unacceptable: anything else, whatever it is; nothing a stranger sends raises another exception.
    """
    parts = split(compact)
    alg = _judge_header(parts.header, expected)
    _require_signature(parts, alg, keys)
    _judge_parties(parts.claims, expected)
    _judge_times(parts.claims, expected)
    return parts.claims


def _judge_header(header: dict[str, object], expected: Expected) -> str:
    alg, typ = header.get("alg"), header.get("typ")
    if not isinstance(alg, str) or alg not in expected.algs:
        raise Unacceptable("alg is not accepted here")
    if typ is not None and not isinstance(typ, str):
        raise Unacceptable("typ is not a text")
    if _plain_type(typ) not in {_plain_type(each) for each in expected.types}:
        raise Unacceptable("typ is not accepted here")
    if any(name in header for name in _UNUNDERSTOOD):
        raise Unacceptable("the header asks for an extension (RFC 7515 §4.1.11)")
    return alg


def _plain_type(typ: str | None) -> str | None:
    return None if typ is None else typ.lower().removeprefix("application/")


def _require_signature(parts: Compact, alg: str, keys: PublicKeys) -> None:
    kid = parts.header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise Unacceptable("kid is not a text")
    fitting = keys.fitting(alg, kid)
    if not fitting:
        raise Unacceptable("no key fits alg and kid")
    algorithm: Any = JWSRegistry.algorithms[alg]
    for key in fitting:
        try:
            if algorithm.verify(parts.signing_input, parts.signature, key):
                return
        except (JoseError, ValueError, TypeError, OverflowError):
            continue
    raise Unacceptable("the signature does not verify")


def _judge_parties(claims: dict[str, object], expected: Expected) -> None:
    missing = sorted(name for name in expected.required if claims.get(name) is None)
    if missing:
        raise Unacceptable(f"missing {', '.join(missing)}")
    if any(name in claims and not isinstance(claims[name], str) for name in _TEXTS):
        raise Unacceptable("iss, sub or jti is not a text")
    if expected.issuer is not None and claims.get("iss") != expected.issuer:
        raise Unacceptable("iss is another")
    if expected.subject is not None and claims.get("sub") != expected.subject:
        raise Unacceptable("sub is another")
    if expected.audience is not None and not _is_for(claims.get("aud"), expected.audience, in_list=expected.audience_in_list):
        raise Unacceptable("aud is another")


def _is_for(aud: object, audience: str, *, in_list: bool) -> bool:
    if isinstance(aud, list):
        return in_list and all(isinstance(each, str) for each in aud) and audience in aud
    return aud == audience


def _judge_times(claims: dict[str, object], expected: Expected) -> None:
    exp, nbf, iat = (_instant(claims, name) for name in ("exp", "nbf", "iat"))
    now, skew = expected.now.timestamp(), expected.skew.total_seconds()
    if exp is not None:
        if now >= exp + skew and not expected.allow_expired:
            raise Unacceptable("expired")
        if expected.longest_life is not None and exp > now + expected.longest_life.total_seconds() + skew:
            raise Unacceptable("exp is too far ahead")
    if nbf is not None and nbf > now + skew:
        raise Unacceptable("nbf is ahead")
    if iat is not None and iat > now + skew:
        raise Unacceptable("iat is ahead")


def _instant(claims: dict[str, object], name: str) -> float | None:
    """Return a NumericDate (RFC 7519 §2), or None where there is none."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise Unacceptable(f"{name} is no instant")
    return float(value)

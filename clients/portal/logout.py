"""Reading a logout token (OpenID Connect Back-Channel Logout 1.0 §2.4 and §2.6).

Pure: keys, names and the time come in, a notice or a refusal goes out. Replays are the store's to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jws import JWSRegistry

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from joserfc.jwk import KeySet

EVENT = "http://schemas.openid.net/event/backchannel-logout"
LONGEST_TOKEN = 8192
LEEWAY = timedelta(seconds=60)
FRESH_FOR = timedelta(minutes=10)
"""How old an `iat` may be: a provider that retries signs anew."""


class LogoutRefused(Exception):
    """The token is not one this portal may act on; `reason` goes to the log and, short, to the provider."""

    def __init__(self, reason: str) -> None:
        """Keep `reason`: a closed set of sentences that never repeats what was sent."""
        super().__init__(reason)
        self.reason = reason


class LogoutKeyUnknown(LogoutRefused):
    """The token names a key that the known key set does not have; fetch it anew, once, and try again."""


@dataclass(frozen=True)
class LogoutNotice:
    """What a good logout token says."""

    jti: str
    sid: str | None
    sub: str | None
    until: datetime
    """When the token expires by itself, the leeway included: so long its `jti` must be remembered."""


def read_logout_token(
    compact: str, keys: KeySet, *, issuer: str, client_id: str, algorithms: Collection[str], now: datetime
) -> LogoutNotice:
    """Return what `compact` asks for, after every check of Back-Channel Logout §2.6.

    Raises:
        LogoutRefused: any check failed; nothing may be ended.
        LogoutKeyUnknown: the one refusal that a fresh key set may cure.
    """
    if not compact or len(compact) > LONGEST_TOKEN:
        reason = "no logout token, or one too long"
        raise LogoutRefused(reason)
    try:
        token = jwt.decode(compact, keys, registry=JWSRegistry(algorithms=list(algorithms)))
    except InvalidKeyIdError:
        reason = "unknown key"
        raise LogoutKeyUnknown(reason) from None
    except (JoseError, ValueError, TypeError, KeyError):
        # The library raises plain ValueErrors for some malformed input.
        reason = "signature or form not acceptable"
        raise LogoutRefused(reason) from None
    _check_kind(token.header)
    _check_parties(token.claims, issuer=issuer, client_id=client_id)
    until = _check_times(token.claims, now)
    _check_event(token.claims)
    sid, sub = _text(token.claims, "sid"), _text(token.claims, "sub")
    if sid is None and sub is None:
        reason = "neither sid nor sub"
        raise LogoutRefused(reason)
    jti = _text(token.claims, "jti")
    if jti is None:
        reason = "no jti"
        raise LogoutRefused(reason)
    return LogoutNotice(jti=jti, sid=sid, sub=sub, until=until)


def _check_kind(header: Mapping[str, Any]) -> None:
    """`typ` keeps an ID token or a client assertion from being taken for a logout token (RFC 8725 §3.11)."""
    kind = header.get("typ")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") != "logout+jwt":
        reason = "typ is not logout+jwt"
        raise LogoutRefused(reason)


def _check_parties(claims: Mapping[str, Any], *, issuer: str, client_id: str) -> None:
    if claims.get("iss") != issuer:
        reason = "another issuer"
        raise LogoutRefused(reason)
    audience = claims.get("aud")
    if client_id not in (audience if isinstance(audience, list) else [audience]):
        reason = "another audience"
        raise LogoutRefused(reason)


def _check_times(claims: Mapping[str, Any], now: datetime) -> datetime:
    issued_at, expires_at = _instant(claims, "iat"), _instant(claims, "exp")
    if not now - FRESH_FOR <= issued_at <= now + LEEWAY:
        reason = "iat too old, or in the future"
        raise LogoutRefused(reason)
    if expires_at + LEEWAY <= now:
        reason = "expired"
        raise LogoutRefused(reason)
    return min(expires_at, now + FRESH_FOR) + 2 * LEEWAY


def _check_event(claims: Mapping[str, Any]) -> None:
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        reason = "no back-channel logout event"
        raise LogoutRefused(reason)
    if "nonce" in claims:
        reason = "a nonce, which a logout token must not have"
        raise LogoutRefused(reason)


def _instant(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        reason = f"{name} is not a time"
        raise LogoutRefused(reason)
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        reason = f"{name} is not a time"
        raise LogoutRefused(reason) from None


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        reason = f"{name} is not a text"
        raise LogoutRefused(reason)
    return value

"""`id_token_hint` (OIDC Core §3.1.2.1, RP-Initiated Logout §2): an ID token of ours, perhaps expired, and nothing else of ours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from idp.interactions.model import Refuse
from idp.jose import Expected, Unacceptable, peek_claims, verify
from idp.keys.model import SIGNING_ALGS

if TYPE_CHECKING:
    from datetime import datetime

    from idp.keys.ring import KeyRing
    from idp.oidc.request import AuthorizationRequest

_SKEW: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Hint:
    """What a good hint says: whose ID token it was, and for which client."""

    client_id: str
    sub: str


def read_hint(compact: str, keys: KeyRing, *, issuer: str, client_id: str | None, now: datetime) -> Hint | None:
    """Return what the hint says, or None when it is not an ID token of this provider (for `client_id`, if given).

    An access token, a logout token or a statement signed by somebody else is no hint.
    """
    audience = client_id
    if audience is None:
        claimed = (peek_claims(compact) or {}).get("aud")
        if not isinstance(claimed, str):
            return None
        audience = claimed
    try:
        claims = verify(
            compact,
            keys.verifying(),
            Expected(
                algs=frozenset(SIGNING_ALGS),
                issuer=issuer,
                audience=audience,
                now=now,
                skew=_SKEW,
                types=frozenset({"JWT"}),
                required=frozenset({"iss", "aud", "sub", "sid", "iat", "exp", "auth_time"}),
                allow_expired=True,
            ),
        )
    except Unacceptable:
        return None
    sub = claims["sub"]
    return Hint(audience, sub) if isinstance(sub, str) else None


def read_hinted_sub(asked: AuthorizationRequest, keys: KeyRing, *, issuer: str, now: datetime) -> str | Refuse | None:
    """Return whom an authorization request hints at, None where it does not, or the refusal that the hint gives rise to.

    A hint that is none is a mistake of the client. One that names somebody else than the claims request for `sub` does (§5.5.1)
    can be met by nobody, whoever is signed in.
    """
    if asked.id_token_hint is None:
        return None
    hint = read_hint(asked.id_token_hint, keys, issuer=issuer, client_id=asked.client.client_id, now=now)
    if hint is None:
        return Refuse("invalid_request")
    return hint.sub if asked.claims.sub in {None, hint.sub} else Refuse("login_required")

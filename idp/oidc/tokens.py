"""ID tokens and logout tokens: what they say, and the key they are signed with."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from idp.jose import half_hash
from idp.kernel.digests import new_bearer

if TYPE_CHECKING:
    from idp.clients.model import Client
    from idp.grants.model import Redeemed
    from idp.keys.service import KeyRing

ID_TOKEN_FOR: Final = timedelta(minutes=10)
LOGOUT_TOKEN_FOR: Final = timedelta(minutes=2)
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


def id_token(
    issued: Redeemed, client: Client, keys: KeyRing, *, issuer: str, now: datetime, attributes: dict[str, object], fresh: bool
) -> str:
    """Return the signed ID token of what was redeemed (OIDC Core §2).

    It says both scales as they are (`ial`, `aal`) beside the class in `acr`. `fresh` is true for a code: the token of a refresh
    has no `nonce` (§12.2) and keeps the `auth_time` of the sign-in.
    """
    signer = keys.signer(client.id_token_alg)
    at = int(now.timestamp())
    claims: dict[str, object] = {
        "iss": issuer,
        "sub": issued.sub,
        "aud": client.client_id,
        "exp": at + int(ID_TOKEN_FOR.total_seconds()),
        "iat": at,
        "auth_time": int(issued.auth_time.timestamp()),
        "acr": issued.acr,
        "ial": issued.ial,
        "aal": issued.aal,
        "amr": list(issued.amr),
        "sid": issued.sid,
        "at_hash": half_hash(issued.access_token, client.id_token_alg),
    }
    if fresh and issued.nonce is not None:
        claims["nonce"] = issued.nonce
    return signer.sign(attributes | claims)


def logout_token(client: Client, keys: KeyRing, *, issuer: str, now: datetime, sub: str, sid: str) -> str:
    """Return a logout token for one try (OIDC Back-Channel Logout 1.0 §2.4): typed, short-lived, with a `jti` of its own, no nonce."""
    at = int(now.timestamp())
    claims: dict[str, object] = {
        "iss": issuer,
        "aud": client.client_id,
        "iat": at,
        "exp": at + int(LOGOUT_TOKEN_FOR.total_seconds()),
        "jti": new_bearer(""),
        "events": {LOGOUT_EVENT: {}},
        "sub": sub,
        "sid": sid,
    }
    return keys.signer(client.id_token_alg).sign(claims, typ="logout+jwt")

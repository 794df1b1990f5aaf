"""Userinfo (OIDC Core §5.3): what an access token discloses about its person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from idp.oidc.claims import CLAIMS_OF_SCOPE, Attributes
from idp.oidc.errors import BearerError

if TYPE_CHECKING:
    from idp.kernel.sealing import Sealer


def disclosed(row: Any, sealer: Sealer, zone: str) -> dict[str, object]:
    """Return the claims that the token of `row` is good for (None: of no live token): those of its scopes, and those asked for.

    Raises:
        BearerError: the token is not good, or not for this (RFC 6750 §3.1).
    """
    if row is None:
        raise BearerError("invalid_token", "The access token is not good, or not any more.", status=401)
    if "openid" not in row.scopes:
        raise BearerError("insufficient_scope", "The access token has no scope openid.", status=403)
    wanted = {claim for scope in row.scopes for claim in CLAIMS_OF_SCOPE.get(scope, ())}
    asked = (row.claims or {}).get("userinfo") or []
    return {"sub": row.sub, **Attributes(row, sealer, zone).claims(wanted | set(asked)), "ial": row.ial}

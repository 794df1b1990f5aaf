"""The grants of the token endpoint, on Authlib's primitives: code, refresh, client credentials (RFC 6749 §4.1.3, §6, §4.4).

Their gate is one statement of `idp.grants`, which Authlib's own grants would split into query, save and delete.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from authlib.oauth2.rfc6749 import BaseGrant, TokenEndpointMixin

from idp.grants.model import ClientDead, NotRedeemed, ScopeExceeded
from idp.kernel.digests import s256
from idp.oidc.claims import CLAIMS_OF_SCOPE
from idp.oidc.errors import InvalidClient, TokenError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.clients.model import Client
    from idp.grants.model import Redeemed
    from idp.oidc.engine.records import EngineRequest

_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class _Grant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]  # the library has no complete types
    """What the grants share: the client is authenticated, and was registered for this grant."""

    request: EngineRequest

    def validate_token_request(self) -> None:
        """Authenticate the client and check that it may use this grant."""
        self.request.client = self.server.authenticate(self.request)
        if not self.request.client.check_grant_type(self.GRANT_TYPE):
            raise TokenError("unauthorized_client", "The client was not registered for this grant type.")

    @property
    def registered(self) -> Client:
        """The authenticated client."""
        client: Client = self.request.client.client
        return client

    def required(self, name: str) -> str:
        """Return a parameter that has to be there."""
        value = self.request.form.get(name)
        if not value:
            raise TokenError("invalid_request", f"The {name} is missing.")
        return str(value)

    def asked_scopes(self) -> tuple[str, ...] | None:
        """Return the scopes asked for, or None when the parameter is absent."""
        text = self.request.form.get("scope")
        return tuple(dict.fromkeys(scope for scope in text.split(" ") if scope)) if text else None

    def tokens(self, issued: Redeemed, *, fresh: bool) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Return the answer for what was redeemed (OIDC Core §3.1.3.3)."""
        payload: dict[str, Any] = {
            "access_token": issued.access_token,
            "token_type": "Bearer",
            "expires_in": int(issued.access_for.total_seconds()),
            "scope": " ".join(issued.scopes),
        }
        if issued.refresh_token is not None:
            payload["refresh_token"] = issued.refresh_token
        if "openid" in issued.scopes:
            payload["id_token"] = self.server.id_token(issued, self.registered, self.request.origin, fresh=fresh)
        return 200, payload, []


class CodeGrant(_Grant):
    """`authorization_code`: the code, the redirect URI and the verifier, judged together and spent together."""

    GRANT_TYPE = "authorization_code"

    def create_token_response(self) -> tuple[int, Mapping[str, Any], list[tuple[str, str]]]:
        """Spend the code and answer with what it bought."""
        code = self.required("code")
        redirect_uri = self.required("redirect_uri")
        verifier = self.request.form.get("code_verifier")
        if verifier is None and self.registered.requires_pkce:
            raise TokenError("invalid_request", "The code_verifier is missing (PKCE).")
        if verifier is not None and not _VERIFIER.fullmatch(verifier):
            raise TokenError("invalid_request", "The code_verifier is malformed.")
        try:
            issued = self.server.grants.redeem(
                code, self.registered.id, redirect_uri, s256(verifier) if verifier is not None else None, self.request.origin
            )
        except NotRedeemed as refusal:
            raise TokenError("invalid_grant", "The code is not good, or not any more.", detail=refusal.outcome) from None
        return self.tokens(issued, fresh=True)


class RefreshGrant(_Grant):
    """`refresh_token`: replaced with every use; a second use kills the family."""

    GRANT_TYPE = "refresh_token"

    def create_token_response(self) -> tuple[int, Mapping[str, Any], list[tuple[str, str]]]:
        """Replace the refresh token and answer with its successor."""
        presented = self.required("refresh_token")
        try:
            issued = self.server.grants.refresh(presented, self.registered.id, self.asked_scopes(), self.request.origin)
        except ScopeExceeded:
            raise TokenError("invalid_scope", "More scope was asked for than was granted.") from None
        except NotRedeemed as refusal:
            raise TokenError("invalid_grant", "The refresh token is not good, or not any more.", detail=refusal.outcome) from None
        return self.tokens(issued, fresh=False)


class ClientGrant(_Grant):
    """`client_credentials`: a confidential client acting for itself. No refresh token, no identity."""

    GRANT_TYPE = "client_credentials"

    def create_token_response(self) -> tuple[int, Mapping[str, Any], list[tuple[str, str]]]:
        """Issue an access token to the client itself."""
        client = self.registered
        if not client.is_confidential:
            raise TokenError("unauthorized_client", "A public client cannot act for itself.")
        offered = client.scopes - frozenset(CLAIMS_OF_SCOPE)  # scopes about people are nobody's to have without a person
        asked = self.asked_scopes()
        if asked is not None and not offered.issuperset(asked):
            raise TokenError("invalid_scope", "A scope was asked for that the client was not assigned.")
        scopes = asked or tuple(sorted(offered))
        try:
            access = self.server.grants.issue_to_client(client.id, scopes, self.request.origin)
        except ClientDead:
            raise InvalidClient("disabled meanwhile") from None
        return (
            200,
            {
                "access_token": access,
                "token_type": "Bearer",
                "expires_in": int(self.server.grants.lifetimes.access_for.total_seconds()),
                **({"scope": " ".join(scopes)} if scopes else {}),
            },
            [],
        )

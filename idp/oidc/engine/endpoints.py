"""Introspection (RFC 7662) and revocation (RFC 7009) on Authlib's walk through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from idp.grants.model import ClientDead
from idp.oidc.errors import InvalidClient, TokenError

if TYPE_CHECKING:
    from idp.oidc.engine.records import ClientRecord, EngineRequest


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]  # the library has no complete types
    """Tells a client what a token is good for: its own, or, if it is registered to ask, anybody's."""

    def authenticate_endpoint_client(self, request: EngineRequest) -> ClientRecord:
        """Authenticate as at the token endpoint; public clients may not ask."""
        record: ClientRecord = self.server.authenticate(request)
        if not record.client.is_confidential:
            raise TokenError("invalid_client", "A public client cannot introspect.", status=401)
        request.client = record
        return record

    def authenticate_token(self, request: EngineRequest, client: ClientRecord) -> Any:
        """Return the row of a live token that the client may ask about; every hint is as good as none (RFC 7662 §2.1)."""
        token = request.form.get("token")
        if not token:
            raise TokenError("invalid_request", "The token is missing.")
        return self.server.grants.introspect(token, client.client.id, may_ask_all=client.client.may_introspect)

    def create_introspection_payload(self, token: Any) -> dict[str, Any]:
        """Return what is told of it; of a dead or foreign one only that it is not active."""
        if token is None:
            return {"active": False}
        payload = {
            "active": True,
            "iss": self.server.issuer,
            "client_id": token.client_id,
            "token_type": token.token_type,
            "scope": " ".join(token.scopes),
            "iat": int(token.issued_at.timestamp()),
            "exp": int(token.expires_at.timestamp()),
        }
        if token.sub is not None:
            payload |= {
                "sub": token.sub,
                "acr": token.acr,
                "ial": token.ial,
                "aal": token.aal,
                "amr": list(token.amr),
                "auth_time": int(token.auth_time.timestamp()),
            }
        return payload


class Revocation(RevocationEndpoint):  # type: ignore[misc]  # the library has no complete types
    """Takes back a client's own token; what is unknown or another's answers 200 all the same (RFC 7009 §2.2)."""

    def create_endpoint_response(self, request: EngineRequest) -> tuple[int, Any, list[tuple[str, str]]]:
        """Authenticate the client and kill the token if it is its own."""
        record: ClientRecord = self.server.authenticate(request)
        token = request.form.get("token")
        if not token:
            raise TokenError("invalid_request", "The token is missing.")
        try:
            self.server.grants.revoke(token, record.client.id, request.origin)
        except ClientDead:
            raise InvalidClient("disabled meanwhile", challenge=request.headers.get("Authorization") is not None) from None
        return 200, None, []

"""Authlib's core server with our rooms behind it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidClientError

from idp.jose import peek_claims
from idp.kernel.encoding import encode_json
from idp.oidc import tokens
from idp.oidc.claims import Attributes
from idp.oidc.engine.authentication import Assertion, authenticate_basic, presented_method, read_basic
from idp.oidc.engine.endpoints import Introspection, Revocation
from idp.oidc.engine.grants import ClientGrant, CodeGrant, RefreshGrant
from idp.oidc.engine.records import ClientRecord, EngineRequest
from idp.oidc.errors import InvalidClient, TokenError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.audit.model import Origin
    from idp.clients.assertions import Assertions
    from idp.clients.model import Client
    from idp.clients.service import Clients
    from idp.grants.model import Redeemed
    from idp.grants.service import Grants
    from idp.kernel.clock import Clock
    from idp.keys.service import KeyRing

logging.getLogger("authlib").setLevel(logging.WARNING)  # below it, the library writes what was presented to it


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """What a client is answered: JSON bytes, or nothing."""

    status: int
    body: bytes
    challenge: bool = False
    """Whether WWW-Authenticate goes with it."""
    error: str = ""
    """The error code in it, for who counts them."""


class Engine(AuthorizationServer):  # type: ignore[misc]  # the library has no complete types
    """The endpoints that clients call directly: token, introspection, revocation."""

    def __init__(
        self, *, issuer: str, clients: Clients, assertions: Assertions, grants: Grants, keys: KeyRing, clock: Clock, zone: str
    ) -> None:
        super().__init__()
        self.issuer = issuer
        self.grants = grants
        self._clients = clients
        self._keys = keys
        self._clock = clock
        self._zone = zone
        self.register_client_auth_method("client_secret_basic", authenticate_basic)
        self.register_client_auth_method("private_key_jwt", Assertion(issuer, clock, assertions))
        for grant in (CodeGrant, RefreshGrant, ClientGrant):
            self.register_grant(grant)
        self.register_endpoint(Introspection)
        self.register_endpoint(Revocation)

    # what the endpoints are called by -----------------------------------------------------------------------------------------------

    def token(self, form: Mapping[str, str], authorization: str | None, origin: Origin) -> EngineAnswer:
        """Answer a token request whose form was read strictly."""
        if not form.get("grant_type"):
            return self._refused(TokenError("invalid_request", "The grant_type is missing."))
        return self._answer(self.create_token_response, form, authorization, origin)

    def introspect(self, form: Mapping[str, str], authorization: str | None, origin: Origin) -> EngineAnswer:
        """Answer an introspection request."""
        return self._answer(lambda request: self.create_endpoint_response("introspection", request), form, authorization, origin)

    def revoke(self, form: Mapping[str, str], authorization: str | None, origin: Origin) -> EngineAnswer:
        """Answer a revocation request."""
        return self._answer(lambda request: self.create_endpoint_response("revocation", request), form, authorization, origin)

    def presented(self, form: Mapping[str, str], authorization: str | None) -> str:
        """Return the `client_id` of the registered client that a request names, proved or not; empty for one that nobody registered."""
        named: object = form.get("client_id")
        if authorization is not None:
            try:
                named = read_basic(authorization)[0]
            except InvalidClient:
                return ""
        elif named is None:
            named = (peek_claims(form.get("client_assertion", "")) or {}).get("sub")
        return named if isinstance(named, str) and self._clients.find(named) is not None else ""

    def _answer(self, run: Any, form: Mapping[str, str], authorization: str | None, origin: Origin) -> EngineAnswer:
        try:
            answer: EngineAnswer = run(EngineRequest(form, authorization, origin))
        except TokenError as error:
            return self._refused(error)
        return answer

    @staticmethod
    def _refused(error: TokenError) -> EngineAnswer:
        body = encode_json({"error": error.error, "error_description": error.description})
        challenge = isinstance(error, InvalidClient) and error.challenge
        return EngineAnswer(error.status, body, challenge=challenge, error=error.error)

    # what the grants and endpoints ask ------------------------------------------------------------------------------------------------

    def authenticate(self, request: EngineRequest) -> ClientRecord:
        """Return the client that authenticated, by the one method it presented.

        Raises:
            InvalidClient: whatever was wrong, in one and the same words.
        """
        authorization = request.headers.get("Authorization")
        method = presented_method(request.form, authorization)
        try:
            record: ClientRecord = self.authenticate_client(request, [method])
        except InvalidClientError:
            raise InvalidClient(f"by {method}", challenge=authorization is not None) from None
        if record.client.is_dead(self._clock.now()):
            raise InvalidClient("disabled, or past its end", challenge=authorization is not None)
        return record

    def id_token(self, issued: Redeemed, client: Client, origin: Origin, *, fresh: bool) -> str:
        """Return the ID token of what was redeemed, with the attributes that the `claims` parameter asked for in it."""
        attributes: dict[str, object] = {}
        wanted = (issued.claims or {}).get("id_token")
        if isinstance(wanted, list) and wanted:
            row = self.grants.disclose_in_id_token(issued, client.id, origin)
            if row is not None:
                attributes = Attributes(row, self._keys.sealer, self._zone).claims(set(wanted))
        return tokens.id_token(
            issued, client, self._keys, issuer=self.issuer, now=self._clock.now(), attributes=attributes, fresh=fresh
        )

    # Authlib's callbacks ----------------------------------------------------------------------------------------------------------------

    def query_client(self, client_id: str) -> ClientRecord | None:
        """Return what the library is shown of a client."""
        client = self._clients.find(client_id)
        return ClientRecord(client) if client is not None else None

    def create_oauth2_request(self, request: EngineRequest) -> EngineRequest:
        """Return the request, which is ours already."""
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> EngineAnswer:  # noqa: ARG002 - ours are set by the door
        """Return the answer, encoded."""
        if isinstance(body, dict) and "error" in body:  # the library's own words may echo what was sent
            return self._refused(TokenError(body["error"], _WORDS.get(body["error"], "The request was refused."), status=status))
        return EngineAnswer(status, b"" if body is None else encode_json(body))

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens: what happened is written by the step itself."""


_WORDS = {
    "unsupported_grant_type": "The grant_type is not offered.",
    "invalid_request": "The request is malformed.",
}

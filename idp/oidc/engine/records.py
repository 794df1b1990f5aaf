"""What Authlib is shown of our nouns: a client that answers its questions, and a request it can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from idp.kernel.digests import digest, same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.audit.model import Origin
    from idp.clients.model import Client


class ClientRecord:
    """A client, as Authlib asks about it while authenticating."""

    __slots__ = ("client",)

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def client_id(self) -> str:
        """The identifier the client sends."""
        return self.client.client_id

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:  # noqa: ARG002 - one policy for every endpoint
        """Whether the client registered `method`: one policy for every endpoint (ASVS 10.4.10)."""
        return self.client.token_endpoint_auth_method == method

    def check_client_secret(self, secret: str) -> bool:
        """Whether `secret` is the client's: digests are compared in constant time, and no digest means no secret is right."""
        stored = self.client.secret_digest
        return stored is not None and bool(secret) and same(stored, digest(secret))

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the client was registered for `grant_type`."""
        return grant_type in self.client.grant_types


class EngineRequest(OAuth2Request):  # type: ignore[misc]  # the library has no complete types
    """A request that was read strictly already: the form as single values, and the Authorization header."""

    def __init__(self, form: Mapping[str, str], authorization: str | None, origin: Origin) -> None:
        # The library wants to see https; whether the transport is safe is decided by settings and the proxy, not by a request.
        super().__init__("POST", "https://issuer.invalid/")
        self.headers = {"Authorization": authorization} if authorization is not None else {}
        self.payload = BasicOAuth2Payload(form)
        self._form = form
        self.origin = origin

    @property
    def form(self) -> Mapping[str, str]:
        """The form body; the query string is never part of it."""
        return self._form

    @property
    def args(self) -> Mapping[str, Any]:
        """Nothing: parameters of these endpoints are never taken from the address."""
        return {}

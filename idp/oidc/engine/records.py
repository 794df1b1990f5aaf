"""What Authlib is shown of our nouns: a client that answers its questions, and a request it can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import OAuth2Request
from authlib.oauth2.rfc6749.requests import OAuth2Payload

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
        """Whether `secret` is the client's."""
        return self.client.is_secret(secret)

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the client was registered for `grant_type`."""
        return grant_type in self.client.grant_types


class Form(OAuth2Payload):  # type: ignore[misc]  # the library has no types
    """A form that was read strictly already: each parameter once."""

    __slots__ = ("_form",)

    def __init__(self, form: Mapping[str, str]) -> None:
        self._form = form

    @property
    def data(self) -> Mapping[str, str]:
        """The parameters."""
        return self._form

    @property
    def datalist(self) -> Mapping[str, list[str]]:
        """The parameters as lists, of one each."""
        return {name: [value] for name, value in self._form.items()}


class EngineRequest(OAuth2Request):  # type: ignore[misc]  # the library has no types
    """A request that was read strictly already: the form as single values, and the Authorization header.

    The library's own constructor is left out: it judges an address, and whether the transport is safe is decided by settings and the
    proxy, never by a request.
    """

    def __init__(self, form: Mapping[str, str], authorization: str | None, origin: Origin) -> None:
        self.method = "POST"
        self.headers = {"Authorization": authorization} if authorization is not None else {}
        self.payload = Form(form)
        self.client: Any = None
        self.auth_method = None
        self._scope = None
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

"""Authorization endpoint (RFC 6749 §3.1, OIDC Core §3.1.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idp.oidc.errors import AnswerWithError
from idp.oidc.request import AuthorizationRequest, Unreadable, prove_client, read_authorization_request, response_mode_of
from idp.oidc.respond import answer
from idp.web.protocol.answers import to_client

if TYPE_CHECKING:
    from idp.web.door import Answer, PageAnswer, Request
    from idp.web.flow import Flow


class Authorize:
    """Reads the request; whoever may be answered is led by the flow."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def get(self, request: Request) -> Answer | PageAnswer:
        """Begin with a request in the address.

        Raises:
            NotRedirectable: client or redirect URI are not proved; the door shows a page.
        """
        asked = self._read(request.query)
        return self._flow.begin(request, asked) if isinstance(asked, AuthorizationRequest) else asked

    def post(self, request: Request) -> Answer | PageAnswer:
        """Begin with a request in a form body. No cookie is read: a cross-site POST carries none."""
        asked = self._read(request.form)
        return self._flow.keep(request, asked) if isinstance(asked, AuthorizationRequest) else asked

    def _read(self, pairs: tuple[tuple[str, str], ...]) -> AuthorizationRequest | Answer | PageAnswer:
        rooms = self._flow.rooms
        try:
            client, redirect_uri, parameters = prove_client(pairs, rooms.clients.find, rooms.clock.now())
        except Unreadable as error:
            client, redirect_uri, parameters = error.client, error.redirect_uri, error.parameters
            return self._refused(error, redirect_uri, parameters, client.response_modes)
        try:
            return read_authorization_request(client, redirect_uri, parameters)
        except AnswerWithError as error:
            return self._refused(error, redirect_uri, parameters, client.response_modes)

    def _refused(
        self, error: AnswerWithError, redirect_uri: str, parameters: dict[str, str], modes: frozenset[str]
    ) -> Answer | PageAnswer:
        mode = response_mode_of(parameters)
        refused = {"error": error.error, "error_description": error.description}
        return to_client(
            answer(
                redirect_uri,
                mode if mode in modes else "query",
                issuer=self._flow.rooms.issuer,
                state=parameters.get("state"),
                parameters=refused,
            ),
            parameters.get("ui_locales", ""),
        )

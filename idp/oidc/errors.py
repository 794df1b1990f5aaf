"""How the protocol refuses (RFC 6749 §4.1.2.1 and §5.2, OIDC Core §3.1.2.6).

An error found before client and redirect URI are proved is `NotRedirectable` by type: it becomes a page, never a Location header.
Descriptions come from a closed set, are ASCII, and never echo what was sent.
"""

from __future__ import annotations

from typing import Final


class ProtocolError(Exception):
    """An error with the code and description that a specification gives it."""

    def __init__(self, error: str, description: str, *, detail: str = "", status: int = 400) -> None:
        """`detail` is for the log; `status` is what a direct answer has (RFC 6749 §5.2)."""
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.detail = detail
        self.status = status


class NotRedirectable(ProtocolError):
    """Client or redirect URI are not proved: the person sees a page, and nothing is sent anywhere."""


class ClientNotKnown(NotRedirectable):
    """No client has this identifier."""

    def __init__(self) -> None:
        super().__init__("unauthorized_client", "The client is not registered here.")


class ClientOver(NotRedirectable):
    """The client was disabled, or the end date of a legacy one has passed."""

    def __init__(self) -> None:
        super().__init__("unauthorized_client", "The client is switched off, or its end date has passed.")


class AddressNotKnown(NotRedirectable):
    """The redirect URI is none of the client's own."""

    def __init__(self) -> None:
        super().__init__("invalid_request", "The redirect_uri is not registered for this client.")


class AnswerWithError(ProtocolError):
    """Client and redirect URI are proved: the error goes to the client."""


class TokenError(ProtocolError):
    """An error of an endpoint that a client calls directly."""


class InvalidClient(TokenError):
    """Client authentication failed; one description for every reason (RFC 6749 §5.2)."""

    def __init__(self, detail: str = "", *, challenge: bool = False) -> None:
        """`challenge`: the client tried the Authorization header, and is answered with WWW-Authenticate."""
        super().__init__("invalid_client", "Client authentication failed.", detail=detail, status=401)
        self.challenge = challenge


class BearerError(ProtocolError):
    """An error of a resource that takes a bearer token (RFC 6750 §3)."""


DESCRIPTIONS: Final = {
    "invalid_request": "The id_token_hint is no ID token that this provider gave this client.",
    "access_denied": "The person did not allow it, or went back.",
    "consent_required": "The person has to be asked first.",
    "login_required": "The person has to sign in.",
    "unmet_authentication_requirements": "The required level of assurance was not met.",
    "temporarily_unavailable": "The provider is busy; try again shortly.",
}
"""What goes with an error that a step, not the request, gave rise to."""

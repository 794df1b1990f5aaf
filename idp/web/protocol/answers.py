"""What protocol endpoints answer with: JSON that is not stored, redirects, and errors in the words of the specification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from idp.kernel.encoding import encode_json
from idp.kernel.refusals import Unavailable
from idp.oidc.discovery import DISCOVERY, PATHS
from idp.oidc.errors import BearerError, ProtocolError
from idp.web.door import Answer, PageAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.oidc.respond import AuthorizationAnswer

NOT_STORED: Final = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))
ANY_ORIGIN: Final = (("Access-Control-Allow-Origin", "*"),)
OF_SCRIPTS: Final = frozenset({DISCOVERY, PATHS["jwks_uri"], PATHS["token_endpoint"], PATHS["userinfo_endpoint"]})
"""Addresses whose answers scripts of any origin may read, whatever they say (design §4)."""
JSON: Final = (("Content-Type", "application/json"),)
REALM: Final = 'realm="motcua"'


def json_answer(status: int, payload: Mapping[str, Any], *headers: tuple[str, str]) -> Answer:
    """Return a JSON answer that no cache keeps."""
    return Answer(status, (*JSON, *NOT_STORED, *headers), encode_json(payload))


def see_other(location: str, *headers: tuple[str, str]) -> Answer:
    """Return a redirect that is followed by GET (RFC 9700 §4.12)."""
    return Answer(303, (("Location", location), *NOT_STORED, ("Referrer-Policy", "no-referrer"), *headers))


def to_client(answer: AuthorizationAnswer, ui_locales: str, *headers: tuple[str, str]) -> Answer | PageAnswer:
    """Return an authorization answer on its way to the client: in the query, or by a form that posts itself, in a language asked for."""
    if answer.response_mode == "form_post":
        return PageAnswer(
            "form_post.html",
            values={"action": answer.redirect_uri, "fields": answer.parameters, "ui_locales": ui_locales},
            headers=headers,
            form_targets=(origin_of(answer.redirect_uri),),
        )
    return see_other(answer.location, *headers)


def error_answer(error: ProtocolError, *headers: tuple[str, str]) -> Answer:
    """Return the JSON form of an error (RFC 6749 §5.2), for endpoints that clients call directly."""
    return json_answer(error.status, {"error": error.error, "error_description": error.description}, *headers)


def bearer_error(error: BearerError) -> Answer:
    """Return the error of a resource that takes bearer tokens (RFC 6750 §3): in WWW-Authenticate, with the body saying the same."""
    said = f'Bearer {REALM}, error="{error.error}", error_description="{error.description}"' if error.error else f"Bearer {REALM}"
    body = {"error": error.error, "error_description": error.description} if error.error else {}
    return json_answer(error.status, body, ("WWW-Authenticate", said), *ANY_ORIGIN)


def unavailable(refusal: Unavailable) -> Answer:
    """Return 503 for a client: nothing is lost, and when to come back."""
    payload = {"error": "temporarily_unavailable", "error_description": "The provider is busy; try again shortly."}
    return json_answer(503, payload, ("Retry-After", str(refusal.retry_after)))


def origin_of(address: str) -> str:
    """Return the origin of an address, as a source of Content-Security-Policy."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"

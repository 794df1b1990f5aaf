"""The authorization request, read strictly (RFC 6749 §4.1.1, OIDC Core §3.1.2.1, RFC 7636, RFC 9700 §2.1).

`CHECKS` is the order of validation on one screen. Each check takes the parameters and the proved client, and returns what it read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from idp.assurance.levels import LevelClass
from idp.interactions.model import Asked
from idp.jose import peek_claims
from idp.oidc.claims import CLAIMS_OF_SCOPE, ClaimsRequest, read_claims_request
from idp.oidc.errors import AddressNotKnown, AnswerWithError, ClientNotKnown, ClientOver, NotRedirectable

if TYPE_CHECKING:
    from idp.clients.model import Client

PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})

_LIMITS: Final = {"state": 1024, "nonce": 256, "scope": 1024, "redirect_uri": 2048, "claims": 4096, "id_token_hint": 8192}
_LIMIT: Final = 2048
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")
_MOST_SCOPES: Final = 50
_MOST_CLASSES: Final = 10


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request whose every parameter was read and found good."""

    client: Client
    parameters: dict[str, str]
    """As sent: what an interaction keeps, and is read again from."""
    redirect_uri: str
    state: str | None
    response_mode: str
    scopes: tuple[str, ...]
    challenge: str | None
    nonce: str | None
    prompts: frozenset[str]
    max_age: timedelta | None
    claims: ClaimsRequest
    acr_values: tuple[LevelClass, ...]
    login_hint: str
    id_token_hint: str | None
    ui_locales: tuple[str, ...]

    def asked(self, begun_at: datetime, hinted_sub: str | None) -> Asked:
        """Return what the dispatcher needs to know of it; `hinted_sub` is what a good `id_token_hint` names."""
        essential = self.claims.essential_classes
        return Asked(
            minimum=self.client.minimum,
            begun_at=begun_at,
            classes=essential or self.acr_values or self.claims.voluntary_classes,
            essential=bool(essential),
            prompts=self.prompts,
            max_age=self.max_age,
            scopes=frozenset(self.scopes),
            claims=self.claims.names_beyond(self.scopes),
            sub=self.claims.sub or hinted_sub,
        )


def prove_client(
    pairs: Sequence[tuple[str, str]], find: Callable[[str], Client | None], now: datetime
) -> tuple[Client, str, dict[str, str]]:
    """Return the client, the redirect URI, and the parameters, once the first two are proved: only then may anything be redirected.

    Raises:
        NotRedirectable: the client is unknown or dead, or the redirect URI is not one of its own, character by character.
        Unreadable: both are proved, but another parameter was repeated; it brings what can be read all the same.
    """
    parameters: dict[str, str] = {}
    repeated: set[str] = set()
    for name, value in pairs:
        if name in parameters:
            repeated.add(name)
        elif value:
            parameters[name] = value
    if repeated & {"client_id", "redirect_uri"}:
        raise NotRedirectable("invalid_request", "A parameter was sent more than once.")
    client = find(parameters.get("client_id", ""))
    if client is None:
        raise ClientNotKnown
    if client.is_dead(now):
        raise ClientOver
    redirect_uri = parameters.get("redirect_uri")
    if redirect_uri is None:
        raise NotRedirectable("invalid_request", "The redirect_uri is missing.")
    if not client.is_redirect_uri(redirect_uri):
        raise AddressNotKnown
    if repeated:
        # Which state to give back is in doubt when it is itself repeated.
        raise Unreadable(client, redirect_uri, {name: text for name, text in parameters.items() if name not in repeated})
    return client, redirect_uri, parameters


class Unreadable(AnswerWithError):
    """Parameters were repeated: the client is told, with whatever can be read without doubt."""

    def __init__(self, client: Client, redirect_uri: str, parameters: dict[str, str]) -> None:
        super().__init__("invalid_request", "A parameter was sent more than once.")
        self.client = client
        self.redirect_uri = redirect_uri
        self.parameters = parameters


Parameters = Mapping[str, str]


def response_mode_of(parameters: Parameters) -> str:
    """Return the way in which an error is to be answered: what was asked for, in the address or in a request object.

    A request object is refused unread in every other respect (OIDC Core §6.1); but whoever put the way of the answer into it waits
    for the refusal there.
    """
    asked: object = parameters.get("response_mode")
    if asked is None and "request" in parameters:
        asked = (peek_claims(parameters["request"]) or {}).get("response_mode")
    return asked if isinstance(asked, str) else "query"


def _no_oversize(parameters: Parameters, _client: Client) -> None:
    if any(len(value) > _LIMITS.get(name, _LIMIT) for name, value in parameters.items()):
        raise AnswerWithError("invalid_request", "A parameter is too long.")


def _no_request_object(parameters: Parameters, _client: Client) -> None:
    if "request" in parameters:
        raise AnswerWithError("request_not_supported", "Request objects are not supported.")
    if "request_uri" in parameters:
        raise AnswerWithError("request_uri_not_supported", "Request URIs are not supported.")
    if "registration" in parameters:
        raise AnswerWithError("registration_not_supported", "The registration parameter is not supported.")


def _response_type(parameters: Parameters, _client: Client) -> None:
    if "response_type" not in parameters:
        raise AnswerWithError("invalid_request", "The response_type is missing.")
    if parameters["response_type"] != "code":
        raise AnswerWithError("unsupported_response_type", "Only response_type=code is offered.")


def _response_mode(parameters: Parameters, client: Client) -> str:
    mode = parameters.get("response_mode", "query")
    if mode not in client.response_modes:
        raise AnswerWithError("invalid_request", "The response_mode is not offered to this client.")
    return mode


def _scopes(parameters: Parameters, client: Client) -> tuple[str, ...]:
    asked = parameters.get("scope", "").split(" ")
    scopes = tuple(dict.fromkeys(scope for scope in asked if scope))
    if len(scopes) > _MOST_SCOPES or not all(_SCOPE.fullmatch(scope) for scope in scopes):
        raise AnswerWithError("invalid_scope", "The scope is malformed.")
    if "openid" not in scopes:
        raise AnswerWithError("invalid_scope", "The scope has to contain openid.")
    # Scopes that the client was not assigned are dropped (RFC 6749 §3.3; the answer to the token request names what was granted).
    return tuple(scope for scope in scopes if scope in client.scopes and scope in CLAIMS_OF_SCOPE)


def _challenge(parameters: Parameters, client: Client) -> str | None:
    challenge, method = parameters.get("code_challenge"), parameters.get("code_challenge_method")
    if challenge is None and method is None and not client.requires_pkce:
        return None
    if challenge is None:
        raise AnswerWithError("invalid_request", "A code_challenge is required (PKCE).")
    if method != "S256":
        raise AnswerWithError("invalid_request", "The code_challenge_method has to be S256.")
    if not _CHALLENGE.fullmatch(challenge):
        raise AnswerWithError("invalid_request", "The code_challenge is malformed.")
    return challenge


def _prompts(parameters: Parameters, _client: Client) -> frozenset[str]:
    prompts = frozenset(prompt for prompt in parameters.get("prompt", "").split(" ") if prompt)
    if not prompts <= PROMPTS:
        raise AnswerWithError("invalid_request", "A value of prompt is not offered.")
    if "none" in prompts and len(prompts) > 1:
        raise AnswerWithError("invalid_request", "The value none of prompt stands alone.")
    return prompts


def _max_age(parameters: Parameters, client: Client) -> timedelta | None:
    text = parameters.get("max_age")
    if text is None:
        return None if client.default_max_age is None else timedelta(seconds=client.default_max_age)
    if not _SECONDS.fullmatch(text):
        raise AnswerWithError("invalid_request", "The max_age is not a number of seconds.")
    return timedelta(seconds=int(text))


def _claims(parameters: Parameters, client: Client) -> ClaimsRequest:
    text = parameters.get("claims")
    if text is None:
        return ClaimsRequest()
    try:
        return read_claims_request(text).within(client.scopes)
    except (ValueError, RecursionError):
        raise AnswerWithError("invalid_request", "The claims parameter is malformed.") from None


def _acr_values(parameters: Parameters, client: Client) -> tuple[LevelClass, ...]:
    asked = parameters.get("acr_values", "").split(" ")[:_MOST_CLASSES]
    found = tuple(level for level in map(LevelClass.find, asked) if level)
    return found or tuple(client.default_acr_values)


CHECKS: Final[Mapping[str, Callable[[Parameters, Client], Any]]] = {
    "oversize": _no_oversize,
    "request_object": _no_request_object,
    "response_type": _response_type,
    "response_mode": _response_mode,
    "scopes": _scopes,
    "challenge": _challenge,
    "prompts": _prompts,
    "max_age": _max_age,
    "claims": _claims,
    "acr_values": _acr_values,
}
"""Every check of an authorization request after client and redirect URI are proved, in order; the first that fails answers."""


def read_authorization_request(client: Client, redirect_uri: str, parameters: dict[str, str]) -> AuthorizationRequest:
    """Return the request, every parameter checked.

    Raises:
        AnswerWithError: a check failed; the client is told.
    """
    read = {name: check(parameters, client) for name, check in CHECKS.items()}
    return AuthorizationRequest(
        client=client,
        parameters=parameters,
        redirect_uri=redirect_uri,
        state=parameters.get("state"),
        response_mode=read["response_mode"],
        scopes=read["scopes"],
        challenge=read["challenge"],
        nonce=parameters.get("nonce"),
        prompts=read["prompts"],
        max_age=read["max_age"],
        claims=read["claims"],
        acr_values=read["acr_values"],
        login_hint=parameters.get("login_hint", ""),
        id_token_hint=parameters.get("id_token_hint"),
        ui_locales=tuple(parameters.get("ui_locales", "").split(" ")[:_MOST_CLASSES]),
    )

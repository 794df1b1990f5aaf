"""Client authentication (RFC 6749 §2.3, RFC 7523 §3, OIDC Core §9): exactly one method a request, the same at every endpoint."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import InvalidClientError
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion

from idp.clients.model import ASSERTION_ALGS
from idp.jose import Expected, Unacceptable, peek_claims, verify
from idp.oidc.errors import InvalidClient, TokenError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from idp.clients.assertions import Assertions
    from idp.kernel.clock import Clock
    from idp.oidc.engine.records import ClientRecord, EngineRequest

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ALGS: Final = frozenset(ASSERTION_ALGS)
_LONGEST_LIFE: Final = timedelta(minutes=10)
_SKEW: Final = timedelta(seconds=10)


def presented_method(form: Mapping[str, str], authorization: str | None) -> str:
    """Return the one method with which a client presents itself.

    Raises:
        TokenError: two methods at once.
        InvalidClient: an assertion of another type.
    """
    methods = []
    if authorization is not None:
        methods.append("client_secret_basic")
    if "client_secret" in form:
        methods.append("client_secret_post")
    if "client_assertion" in form or "client_assertion_type" in form:
        if form.get("client_assertion_type") != ASSERTION_TYPE or "client_assertion" not in form:
            raise InvalidClient("assertion of an unknown type")
        methods.append("private_key_jwt")
    if len(methods) > 1:
        raise TokenError("invalid_request", "More than one way of client authentication was used.")
    return methods[0] if methods else "none"


def read_basic(authorization: str) -> tuple[str, str]:
    """Return the identifier and secret of a Basic header, form-decoded (RFC 6749 §2.3.1).

    Raises:
        InvalidClient: it is not readable as such.
    """
    scheme, _, encoded = authorization.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError(scheme)
        identifier, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        if not (colon and identifier and secret):
            raise ValueError("empty")
        return unquote_plus(identifier, errors="strict"), unquote_plus(secret, errors="strict")
    except (ValueError, binascii.Error):
        raise InvalidClient("unreadable Basic", challenge=True) from None


def authenticate_basic(find: Callable[[str], ClientRecord | None], request: EngineRequest) -> ClientRecord | None:
    """Authenticate by HTTP Basic; a `client_id` in the body has to be the same client."""
    authorization = request.headers.get("Authorization")
    if authorization is None:
        return None
    identifier, secret = read_basic(authorization)
    client = find(identifier)
    if request.form.get("client_id", identifier) != identifier:
        raise InvalidClientError
    return client if client is not None and client.check_client_secret(secret) else None


class Assertion(JWTBearerClientAssertion):  # type: ignore[misc]  # the library has no complete types
    """`private_key_jwt`: a statement signed by a registered key, meant for this issuer alone, used once."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def __init__(self, issuer: str, clock: Clock, assertions: Assertions) -> None:
        super().__init__(validate_jti=True)
        self._issuer = issuer
        self._clock = clock
        self._assertions = assertions

    def __call__(self, query_client: Callable[[str], ClientRecord | None], request: EngineRequest) -> ClientRecord | None:
        """Return the client whose good, unused assertion this is; the library's own reading is too lenient (decision 0003)."""
        compact = request.form.get("client_assertion", "")
        claims = peek_claims(compact) or {}
        subject = claims.get("sub")
        record = query_client(subject) if isinstance(subject, str) else None
        if record is None or record.client.keys is None:
            return None
        if request.form.get("client_id", subject) != subject:
            return None
        now = self._clock.now()
        try:
            good = verify(
                compact,
                record.client.keys,
                Expected(
                    algs=_algs_of(record),
                    issuer=record.client_id,
                    audience=self._issuer,
                    subject=record.client_id,
                    now=now,
                    skew=_SKEW,
                    types=frozenset({None, "JWT", "jwt", "client-authentication+jwt"}),
                    required=frozenset({"iss", "sub", "aud", "exp", "jti"}),
                    longest_life=_LONGEST_LIFE,
                ),
            )
        except Unacceptable as refusal:
            raise InvalidClient(refusal.detail) from None
        if not self._take(record, good):
            raise InvalidClient("jti used before")
        return self.authenticate_client(record)  # type: ignore[no-any-return]  # the library has no complete types

    def _take(self, record: ClientRecord, claims: Mapping[str, Any]) -> bool:
        jti = claims["jti"]
        if not isinstance(jti, str) or not jti:
            raise InvalidClient("jti is no text")
        return self._assertions.take(record.client.id, jti, expires=float(claims["exp"]))


def _algs_of(record: ClientRecord) -> frozenset[str]:
    """Return the algorithms a client may sign its assertions with: the one it registered, or every one that is offered."""
    registered = record.client.token_endpoint_auth_signing_alg
    return _ALGS if registered is None else _ALGS & {registered}

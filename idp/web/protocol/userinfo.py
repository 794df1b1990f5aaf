"""Userinfo (OIDC Core §5.3): by GET or POST, the token in the header or in a form body, never in the address (RFC 6750 §2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from idp.audit.model import Origin
from idp.oidc.errors import BearerError
from idp.oidc.userinfo import disclosed
from idp.web.door import Answer, Request
from idp.web.protocol.answers import ANY_ORIGIN, bearer_error, json_answer

if TYPE_CHECKING:
    from idp.grants.service import Grants
    from idp.kernel.sealing import Sealer

_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")


class Userinfo:
    """Answers with the claims that an access token is good for."""

    def __init__(self, grants: Grants, sealer: Sealer, zone: str) -> None:
        self._grants = grants
        self._sealer = sealer
        self._zone = zone

    def __call__(self, request: Request) -> Answer:
        """Answer with the claims, or say what is wrong with the token."""
        try:
            token = read_bearer(request)
            row = self._grants.disclose(token, Origin(request.request_id, request.address))
            claims = disclosed(row, self._sealer, self._zone)
        except BearerError as error:
            return bearer_error(error)
        return json_answer(200, claims, *ANY_ORIGIN)


def read_bearer(request: Request) -> str:
    """Return the access token of a request.

    Raises:
        BearerError: without a code where there is no token, or none where we take one (RFC 6750 §3.1: no authentication, or by an
            unsupported method); `invalid_request` where it came in two ways at once, or cannot be read.
    """
    authorization = request.headers.get("authorization")
    in_address = any(name == "access_token" for name, _ in request.query)
    in_form = [value for name, value in request.form if name == "access_token"]
    if in_address + (authorization is not None) + len(in_form) > 1:
        raise BearerError("invalid_request", "The access token was sent in more than one way.")
    if in_form:
        return in_form[0]
    if authorization is None or authorization.partition(" ")[0].lower() != "bearer":
        raise BearerError("", "", status=401)
    match = _BEARER.fullmatch(authorization)
    if match is None:
        raise BearerError("invalid_request", "The Authorization header is not readable as Bearer.")
    return match[1]

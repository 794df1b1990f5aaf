"""The endpoints that clients call directly: token, introspection, revocation. The form body only, each parameter once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from idp.audit.model import Origin
from idp.oidc.errors import TokenError
from idp.throttle.model import TooMuchVolume, VolumeKind
from idp.web.door import Answer, Request
from idp.web.protocol.answers import ANY_ORIGIN, JSON, NOT_STORED, REALM, error_answer, json_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from idp.oidc.engine import Engine, EngineAnswer
    from idp.throttle.service import Volumes

_CHALLENGE: Final = ("WWW-Authenticate", f"Basic {REALM}")
_COUNTED: Final = {"invalid_client": VolumeKind.CLIENT_REFUSED, "invalid_grant": VolumeKind.CODE_REFUSED}
"""Errors of which one client at one address may cause so many."""


class Direct:
    """Reads the form strictly, lets the engine answer, and counts who fails to authenticate or brings codes that are none."""

    def __init__(self, engine: Engine, volumes: Volumes) -> None:
        self._engine = engine
        self._volumes = volumes

    def token(self, request: Request) -> Answer:
        """Token endpoint (RFC 6749 §3.2)."""
        return self._run(self._engine.token, request, *ANY_ORIGIN)

    def introspect(self, request: Request) -> Answer:
        """Introspection endpoint (RFC 7662)."""
        return self._run(self._engine.introspect, request)

    def revoke(self, request: Request) -> Answer:
        """Revocation endpoint (RFC 7009)."""
        return self._run(self._engine.revoke, request)

    def _run(
        self,
        endpoint: Callable[[Mapping[str, str], str | None, Origin], EngineAnswer],
        request: Request,
        *headers: tuple[str, str],
    ) -> Answer:
        try:
            form = read_form(request)
            answer = endpoint(form, request.headers.get("authorization"), Origin(request.request_id, request.address))
        except TokenError as error:
            return error_answer(error, *headers)
        if answer.error in _COUNTED:
            refused = self._count_failure(answer.error, request, form, *headers)
            if refused is not None:
                return refused
        if answer.challenge:
            headers = (*headers, _CHALLENGE)
        return Answer(answer.status, (*(JSON if answer.body else ()), *NOT_STORED, *headers), answer.body)

    def _count_failure(self, error: str, request: Request, form: Mapping[str, str], *headers: tuple[str, str]) -> Answer | None:
        """Count a failure by client and address; the client itself is never locked out."""
        named = self._engine.presented(form, request.headers.get("authorization"))
        try:
            self._volumes.reserve(_COUNTED[error], request.address, named)
        except TooMuchVolume as refusal:
            payload = {"error": error, "error_description": "Too many failures; try again later."}
            return json_answer(429, payload, ("Retry-After", str(math.ceil(refusal.retry_after.total_seconds()))), *headers)
        return None


def read_form(request: Request) -> dict[str, str]:
    """Return the form as single values; what is empty counts as absent (RFC 6749 §3.2).

    Raises:
        TokenError: a parameter was repeated, or parameters were sent in the address.
    """
    if request.query:
        raise TokenError("invalid_request", "Parameters belong into the body.")
    form: dict[str, str] = {}
    for name, value in request.form:
        if name in form:
            raise TokenError("invalid_request", "A parameter was sent more than once.")
        form[name] = value
    return {name: value for name, value in form.items() if value}

"""Signing in at the provider itself, for a person's own page: the same flow and the same dispatcher, with nobody to answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from idp.assurance.levels import LevelClass
from idp.clients.model import Client
from idp.oidc.claims import ClaimsRequest
from idp.oidc.request import AuthorizationRequest

OWN_PAGE: Final = ""
"""What stands for a client identifier in an interaction that no client began; no registered client can have it."""

_NOBODY: Final = Client(
    id=UUID(int=0),
    client_id=OWN_PAGE,
    profile="baseline",
    names={"": "Một Cửa"},
    application_type="web",
    redirect_uris=frozenset(),
    origin="",
    post_logout_redirect_uris=frozenset(),
    backchannel_logout_uri=None,
    token_endpoint_auth_method="none",  # noqa: S106 - a method, no secret
    token_endpoint_auth_signing_alg=None,
    secret_digest=None,
    keys=None,
    sector="",
    scopes=frozenset(),
    grant_types=frozenset(),
    response_modes=frozenset({"query"}),
    minimum=LevelClass(0, 1),
    default_acr_values=(),
    default_max_age=None,
    id_token_alg="ES256",  # noqa: S106 - an algorithm, no secret
    purposes={},
    may_introspect=False,
    expires_at=None,
    disabled_at=None,
    disabled_reason=None,
    updated_at=datetime(1970, 1, 1, tzinfo=UTC),
    metadata={},
)

OWN_REQUEST: Final = AuthorizationRequest(
    client=_NOBODY,
    parameters={},
    redirect_uri="/",
    state=None,
    response_mode="query",
    scopes=(),
    challenge=None,
    nonce=None,
    prompts=frozenset(),
    max_age=None,
    claims=ClaimsRequest(),
    acr_values=(),
    login_hint="",
    id_token_hint=None,
    ui_locales=(),
)
"""What somebody asks who wants to see their own page: to be signed in, and nothing shared with anybody."""


OWN_CHANGE: Final = replace(OWN_REQUEST, max_age=timedelta(minutes=10))
"""What changing something there asks: a proof given not long ago (ASVS 7.5.2)."""


def is_own(asked: AuthorizationRequest) -> bool:
    """Whether nobody but the person asked."""
    return asked.client is _NOBODY

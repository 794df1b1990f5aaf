"""`id_token_hint` (OIDC Core §3.1.2.1): whom a request hints at, and the refusals a hint gives rise to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

import pytest

from idp.interactions.model import Refuse
from idp.jose import PrivateJwk, PublicKeys, Signer, new_private_key
from idp.keys.ring import KeyRing
from idp.oidc.claims import ClaimsRequest
from idp.oidc.hints import read_hinted_sub
from idp.oidc.request import AuthorizationRequest
from idp.web.own_page import OWN_REQUEST

NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
ISSUER = "https://id.example"
CLAIMS = {"iss": ISSUER, "aud": "portal", "sub": "anna", "sid": "one", "iat": AT, "exp": AT + 600, "auth_time": AT}


@dataclass
class Ring:
    """The keys that verify, and no more of a key ring."""

    private: PrivateJwk

    def verifying(self) -> PublicKeys:
        return PublicKeys.from_jwks({"keys": [self.private.public]})


@pytest.fixture(scope="module")
def private() -> PrivateJwk:
    return new_private_key("ES256")


def asking(hint: str | None, sub: str | None = None) -> AuthorizationRequest:
    client = replace(OWN_REQUEST.client, client_id="portal")
    return replace(OWN_REQUEST, client=client, id_token_hint=hint, claims=ClaimsRequest(sub=sub))


def hinted(private: PrivateJwk, asked: AuthorizationRequest) -> str | Refuse | None:
    return read_hinted_sub(asked, cast("KeyRing", Ring(private)), issuer=ISSUER, now=NOW)


def test_a_hint_names_its_person(private: PrivateJwk) -> None:
    hint = Signer(private).sign(CLAIMS)
    assert hinted(private, asking(hint)) == "anna"
    assert hinted(private, asking(hint, sub="anna")) == "anna"
    assert hinted(private, asking(None)) is None


def test_a_hint_that_is_none_is_the_clients_mistake(private: PrivateJwk) -> None:
    others = Signer(new_private_key("ES256")).sign(CLAIMS)
    for hint in ("", "x", others, Signer(private).sign(CLAIMS | {"aud": "another"}), Signer(private).sign(CLAIMS, "logout+jwt")):
        assert hinted(private, asking(hint)) == Refuse("invalid_request")


def test_a_hint_and_a_claim_of_two_people_are_met_by_nobody(private: PrivateJwk) -> None:
    """OIDC Core §5.5.1: neither overrides the other."""
    assert hinted(private, asking(Signer(private).sign(CLAIMS), sub="binh")) == Refuse("login_required")

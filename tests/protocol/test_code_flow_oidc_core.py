"""The main job: sign in, share, and buy tokens (OIDC Core §3.1)."""

from __future__ import annotations

import pytest

from tests.support.provider import Browser, Person, Portal, Provider, claims_of


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person(ial=2)


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal", minimum_acr="urn:motcua:acr:ial1.aal2")


def test_a_citizen_signs_in_shares_and_the_portal_gets_what_was_asked(
    op: Provider, portal: Portal, citizen: Person, browser: Browser
) -> None:
    code = portal.code_for(browser, citizen, scope="openid profile identity offline_access")
    bought = portal.redeem(code).json

    claims = claims_of(bought["id_token"])
    assert claims["iss"] == "http://localhost:8000"
    assert claims["aud"] == "portal"
    assert claims["nonce"] == "the-nonce"
    assert claims["ial"] == 2
    assert claims["aal"] == 2
    assert claims["amr"] == ["mfa", "otp", "pwd"]
    shared = portal.userinfo(bought["access_token"]).json
    assert shared["sub"] == claims["sub"]
    assert shared["name"] == citizen.name
    assert shared["personal_number"] == citizen.username
    refreshed = portal.refresh(bought["refresh_token"]).json
    assert claims_of(refreshed["id_token"])["auth_time"] == claims["auth_time"]
    assert portal.introspect(refreshed["access_token"])["active"] is True

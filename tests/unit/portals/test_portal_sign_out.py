"""A portal's half of signing out: from here, and from the provider."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc.jwk import ECKey

from tests.unit.portals.toy_provider import PortalUnderTest, ToyProvider, portal_of, running_provider


@pytest.fixture
def provider() -> Iterator[ToyProvider]:
    with running_provider() as toy:
        yield toy


@pytest.fixture
def portal(provider: ToyProvider, tmp_path: Path) -> PortalUnderTest:
    return portal_of(provider, tmp_path / "portal")


def test_signing_out_ends_the_session_here_and_names_it_there(portal: PortalUnderTest, provider: ToyProvider) -> None:
    """RP-Initiated Logout §2 and §3."""
    portal.sign_in(provider)
    answer = portal.post("/sign-out", form_token=portal.form_token("/identity"))
    assert answer.status_code == 303
    asked = dict(parse_qsl(urlsplit(answer.location).query))
    assert answer.location.startswith(f"{provider.issuer}/logout?")
    assert asked["id_token_hint"].count(".") == 2
    assert asked["client_id"] == "national-portal"
    assert asked["post_logout_redirect_uri"] == "http://localhost:18349/signed-out"
    assert portal.get("/identity").status_code == 303
    assert 'id="message-signed_out"' in portal.get(f"/signed-out?state={asked['state']}").text
    assert portal.get(f"/signed-out?state={asked['state']}").status_code == 303


@pytest.mark.parametrize("form_token", ["", "wrong", "Ω"])
def test_a_foreign_form_signs_nobody_out(portal: PortalUnderTest, provider: ToyProvider, form_token: str) -> None:
    portal.sign_in(provider)
    assert portal.post("/sign-out", form_token=form_token).status_code == 400
    assert portal.get("/identity").status_code == 200


def test_a_logout_token_ends_the_session_and_the_browser_is_told(portal: PortalUnderTest, provider: ToyProvider) -> None:
    """Back-Channel Logout §2.5 to §2.8."""
    portal.sign_in(provider)
    answer = portal.post("/backchannel-logout", logout_token=provider.logout_token())
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Cache-Control"] == "no-store"
    assert portal.get("/identity").status_code == 303
    page = portal.get("/").text
    assert 'id="ended-provider"' in page
    assert "Bạn đã được Một Cửa đăng xuất khỏi cổng này lúc" in page


@pytest.mark.parametrize("wrong", [{"sid": "sid-2"}, {"sub": "sub-2"}])
def test_a_logout_token_for_another_session_leaves_this_one(
    portal: PortalUnderTest, provider: ToyProvider, wrong: dict[str, str]
) -> None:
    portal.sign_in(provider)
    assert portal.post("/backchannel-logout", logout_token=provider.logout_token(**wrong)).status_code == 200
    assert portal.get("/identity").status_code == 200


def test_a_bad_logout_token_changes_nothing(portal: PortalUnderTest, provider: ToyProvider) -> None:
    portal.sign_in(provider)
    answer = portal.post("/backchannel-logout", logout_token=provider.logout_token(aud="provincial-portal"))
    assert answer.status_code == 400
    assert answer.json == {"error": "invalid_request", "error_description": "another audience"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert portal.post("/backchannel-logout").status_code == 400
    assert portal.get("/identity").status_code == 200


def test_a_replayed_logout_token_is_refused(portal: PortalUnderTest, provider: ToyProvider) -> None:
    told = provider.logout_token()
    assert portal.post("/backchannel-logout", logout_token=told).status_code == 200
    assert portal.post("/backchannel-logout", logout_token=told).status_code == 400


def test_a_key_that_the_provider_made_since_is_fetched(portal: PortalUnderTest, provider: ToyProvider) -> None:
    portal.sign_in(provider)
    provider.key = ECKey.generate_key("P-256", {"kid": "k2", "alg": "ES256"}, private=True)
    assert portal.post("/backchannel-logout", logout_token=provider.logout_token()).status_code == 200
    assert portal.get("/identity").status_code == 303


def test_unknown_keys_do_not_make_the_portal_fetch_each_time(portal: PortalUnderTest, provider: ToyProvider) -> None:
    """Anybody may post here: one fetch in half a minute is enough."""
    known = provider.key
    portal.sign_in(provider)
    for kid in ("k2", "k3"):
        provider.key = ECKey.generate_key("P-256", {"kid": kid, "alg": "ES256"}, private=True)
        told = provider.logout_token()
        provider.key = known
        assert portal.post("/backchannel-logout", logout_token=told).status_code == 400
    assert portal.get("/identity").status_code == 200


def test_a_logout_that_overtakes_the_sign_in_wins(portal: PortalUnderTest, provider: ToyProvider) -> None:
    callback = provider.answer(portal.get("/sign-in").location)
    portal.post("/backchannel-logout", logout_token=provider.logout_token())
    answer = portal.get(callback)
    assert answer.status_code == 400
    assert 'id="message-ended_meanwhile"' in answer.text

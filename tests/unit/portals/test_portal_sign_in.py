"""A portal's half of the sign-in: what it sends, and which answers it believes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from clients.portal.app import create_app
from clients.portal.settings import PortalSettings
from idp.oidc.claims import ATTRIBUTE_CLAIMS, TRUTH_CLAIMS
from tests.unit.portals.toy_provider import PortalUnderTest, ToyProvider, portal_of, running_provider

AAL1 = {"acr": "urn:motcua:acr:ial1.aal1", "aal": 1}


@pytest.fixture
def provider() -> Iterator[ToyProvider]:
    with running_provider() as toy:
        yield toy


@pytest.fixture
def portal(provider: ToyProvider, tmp_path: Path) -> PortalUnderTest:
    return portal_of(provider, tmp_path / "portal")


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def test_the_request_carries_pkce_state_and_nonce(portal: PortalUnderTest) -> None:
    """RFC 9700 §2.1.1; OIDC Core §3.1.2.1."""
    asked = query_of(portal.get("/sign-in").location)
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert len(asked["state"]) >= 22
    assert len(asked["nonce"]) >= 20
    assert asked["redirect_uri"] == "http://localhost:18349/signed-in"
    assert asked["acr_values"] == "urn:motcua:acr:ial1.aal2"


def test_a_good_answer_signs_in_and_shows_the_identity(portal: PortalUnderTest, provider: ToyProvider) -> None:
    answer = portal.sign_in(provider)
    assert (answer.status_code, answer.location) == (303, "/identity")
    page = portal.get("/identity").text
    assert "Trần Thị Hồng Nhung" in page
    assert "20/05/1990" in page
    assert "•••••••••123" in page
    assert "001190000123" not in page


TOLD = {
    "name": "Trần Thị Hồng Nhung",
    "birthdate": "1990-05-20",
    "gender": "female",
    "locale": "vi",
    "zoneinfo": "Asia/Ho_Chi_Minh",
    "updated_at": 1767225600,
    "email": "nhung@example.com",
    "email_verified": True,
    "phone_number": "+84912345678",
    "phone_number_verified": False,
    "address": {"formatted": "12 Hoa Ban Mẫu"},
    "personal_number": "001190000123",
    "person_type": "citizen",
    "nationality": "VN",
}


def test_every_claim_that_was_told_is_shown_in_words_of_both_languages(
    portal: PortalUnderTest, provider: ToyProvider
) -> None:
    assert set(TOLD) == ATTRIBUTE_CLAIMS
    provider.userinfo = TOLD
    portal.sign_in(provider)
    shown = set(re.findall(r'id="claim-([a-z_]+)"', portal.get("/identity").text))
    assert shown == ATTRIBUTE_CLAIMS | set(TRUTH_CLAIMS)
    vietnamese = portal.get("/identity").text
    portal.get("/language?to=en")
    english = portal.get("/identity").text
    for name, *words in (
        ("gender", "Nữ", "Female"),
        ("person_type", "Công dân Việt Nam", "Citizen of Vietnam"),
        ("nationality", "Việt Nam", "Vietnam"),
        ("email_verified", "Rồi", "Yes"),
        ("phone_number_verified", "Chưa", "No"),
    ):
        for page, word in zip((vietnamese, english), words, strict=True):
            assert f'<dd id="claim-{name}">{word}</dd>' in page


def test_a_code_without_words_is_shown_as_it_was_told(portal: PortalUnderTest, provider: ToyProvider) -> None:
    provider.userinfo = {"nationality": "LA"}
    portal.sign_in(provider)
    assert '<dd id="claim-nationality">LA</dd>' in portal.get("/identity").text


def test_the_portal_authenticates_with_its_key_for_the_issuer_alone(
    portal: PortalUnderTest, provider: ToyProvider, tmp_path: Path
) -> None:
    """RFC 7523 §3: issuer, subject, audience, a short life and a `jti` of its own."""
    portal.sign_in(provider)
    exported = json.loads((tmp_path / "portal" / "jwks.json").read_text(encoding="utf-8"))["keys"][0]
    assert "d" not in exported
    sent = provider.seen[0]
    read = jwt.decode(sent["client_assertion"], ECKey.import_key(exported), algorithms=["ES256"])
    assert read.header["kid"] == exported["kid"]
    claims = read.claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("national-portal", "national-portal", provider.issuer)
    assert claims["exp"] - claims["iat"] == 60
    assert len(claims["jti"]) >= 36
    assert "client_secret" not in sent


def test_the_cookie_changes_at_the_sign_in(portal: PortalUnderTest, provider: ToyProvider) -> None:
    """A cookie planted before the sign-in opens nothing afterwards."""
    started = portal.get("/sign-in").location
    before = portal.cookie()
    portal.get(provider.answer(started))
    assert portal.cookie() != before
    portal.browser.set_cookie("portal_national", before, domain="localhost")
    assert portal.get("/identity").status_code == 303


def test_an_answer_is_followed_once(portal: PortalUnderTest, provider: ToyProvider) -> None:
    callback = provider.answer(portal.get("/sign-in").location)
    assert portal.get(callback).status_code == 303
    assert portal.get(callback).status_code == 400
    assert len(provider.seen) == 1


def test_an_answer_for_another_browser_is_not_followed(portal: PortalUnderTest, provider: ToyProvider) -> None:
    """RFC 9700 §4.7: nobody can be signed in as somebody else by a link."""
    callback = provider.answer(portal.get("/sign-in").location)
    portal.browser.delete_cookie("portal_national", domain="localhost")
    assert portal.get(callback).status_code == 400
    assert provider.seen == []


@pytest.mark.parametrize("iss", ["https://evil.example", "", None])
def test_an_answer_of_another_issuer_reaches_no_token_endpoint(
    portal: PortalUnderTest, provider: ToyProvider, iss: str | None
) -> None:
    """RFC 9207 §2.4: mix-up."""
    answer = portal.sign_in(provider, iss=iss)
    assert answer.status_code == 502
    assert 'id="message-answer_refused"' in answer.text
    assert provider.seen == []


def test_a_repeated_parameter_is_refused(portal: PortalUnderTest, provider: ToyProvider) -> None:
    callback = provider.answer(portal.get("/sign-in").location)
    assert portal.get(callback + "&code=code-2").status_code == 400
    assert provider.seen == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://evil.example"},
        {"aud": "provincial-portal"},
        {"aud": ["national-portal", "provincial-portal"]},
        {"exp": 1},
        {"sub": None},
        {"iat": None},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
    ids=json.dumps,
)
def test_a_wrong_id_token_signs_nobody_in(portal: PortalUnderTest, provider: ToyProvider, wrong: dict[str, Any]) -> None:
    """OIDC Core §3.1.3.7."""
    provider.id_token = wrong
    assert portal.sign_in(provider).status_code == 502
    assert portal.get("/identity").status_code == 303


def test_userinfo_of_somebody_else_signs_nobody_in(portal: PortalUnderTest, provider: ToyProvider) -> None:
    """OIDC Core §5.3.2."""
    provider.userinfo = {"sub": "sub-2"}
    assert portal.sign_in(provider).status_code == 502


def test_userinfo_cannot_raise_a_level(portal: PortalUnderTest, provider: ToyProvider) -> None:
    provider.id_token = AAL1
    provider.userinfo = {"acr": "urn:motcua:acr:ial2.aal4", "ial": 2, "aal": 4}
    answer = portal.sign_in(provider)
    assert answer.status_code == 403
    assert 'id="message-below_minimum"' in answer.text


def test_a_demanded_class_is_asked_as_essential_and_the_answer_is_checked(
    portal: PortalUnderTest, provider: ToyProvider
) -> None:
    """OIDC Core §5.5.1.1: `acr_values` and an essential `acr` are never sent together."""
    asked = query_of(portal.get("/sign-in?MaTTHC=9.000003").location)
    demanded = {"essential": True, "values": ["urn:motcua:acr:ial2.aal2"]}
    assert json.loads(asked["claims"]) == {"id_token": {"acr": demanded}}
    assert "acr_values" not in asked

    portal.sign_in(provider, "/sign-in?MaTTHC=9.000003")
    assert 'id="step-up"' in portal.get("/apply?MaTTHC=9.000003").text
    assert "Xem cách nâng mức" in portal.get("/apply?MaTTHC=9.000003").text  # what is missing is a level, not a proof
    provider.id_token = {"acr": "urn:motcua:acr:ial2.aal2", "ial": 2}
    portal.sign_in(provider, "/sign-in?MaTTHC=9.000003")
    assert 'id="ready"' in portal.get("/apply?MaTTHC=9.000003").text


def test_a_deep_link_survives_the_round_trip(portal: PortalUnderTest, provider: ToyProvider) -> None:
    started = portal.get("/apply?MaTTHC=9.000002&MaCoQuanThucHien=H55.242&vneid=1&next=//evil.example")
    answer = portal.get(provider.answer(started.location))
    assert answer.location == "/apply?MaTTHC=9.000002&MaCoQuanThucHien=H55.242&vneid=1"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        ("access_denied", 403, "access_denied"),
        ("login_required", 401, "login_required"),
        ("consent_required", 401, "login_required"),
        ("unmet_authentication_requirements", 403, "unmet_authentication_requirements"),
        ("temporarily_unavailable", 503, "temporarily_unavailable"),
        ("server_error", 502, "temporarily_unavailable"),
        ("invalid_scope", 400, "refused_request"),
        ("<script>", 400, "refused_request"),
        ("identity", 400, "refused_request"),
    ],
)
def test_every_error_has_a_page_with_a_next_step(
    portal: PortalUnderTest, provider: ToyProvider, error: str, status: int, kind: str
) -> None:
    """OIDC Core §3.1.2.6."""
    answer = portal.sign_in(provider, code=None, error=error)
    assert answer.status_code == status
    assert f'id="message-{kind}"' in answer.text
    assert 'id="reference"' in answer.text
    assert "<script" not in answer.text


def test_who_came_back_from_a_service_is_led_to_it_again(portal: PortalUnderTest, provider: ToyProvider) -> None:
    """Whoever is signed in stays so, and reads it; whoever is not begins anew for the same service."""
    refused = portal.sign_in(provider, "/sign-in?MaTTHC=9.000002&vneid=1", code=None, error="access_denied")
    assert 'id="sign-in" href="/sign-in?MaTTHC=9.000002&amp;vneid=1"' in refused.text
    assert 'id="still-signed-in"' not in refused.text
    portal.sign_in(provider)
    refused = portal.sign_in(provider, "/sign-in?MaTTHC=9.000003", code=None, error="access_denied")
    assert 'id="still-signed-in"' in refused.text
    assert 'id="back" href="/apply?MaTTHC=9.000003"' in refused.text
    assert "/sign-in" not in refused.text


def test_a_second_window_that_comes_too_late_is_told_that_the_first_has_signed_in(portal: PortalUnderTest, provider: ToyProvider) -> None:
    """The first one changed the cookie, so what began before it is not followed; nobody is asked to begin again for nothing."""
    first, second = portal.get("/sign-in"), portal.get("/sign-in")
    portal.get(provider.answer(first.location))
    late = portal.get(provider.answer(second.location))
    assert late.status_code == 400
    assert 'id="message-unknown_state"' in late.text
    assert 'id="still-signed-in"' in late.text
    assert 'id="home"' in late.text


def test_a_provider_that_is_away_gives_a_page(tmp_path: Path) -> None:
    settings = PortalSettings.from_environment({"PORTAL_ISSUER": "http://127.0.0.1:1", "PORTAL_VAR": str(tmp_path)})
    browser = create_app(settings).test_client()
    answer = browser.get("/sign-in")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "30"
    assert browser.get("/").status_code == 200


def test_a_token_endpoint_in_trouble_gives_a_page(portal: PortalUnderTest, provider: ToyProvider) -> None:
    provider.token_error, provider.token_status = "server_error", 503
    assert portal.sign_in(provider).status_code == 503


def test_a_token_is_refreshed_shortly_before_it_ends_and_not_earlier(
    portal: PortalUnderTest, provider: ToyProvider
) -> None:
    portal.sign_in(provider)
    portal.get("/identity")
    assert len(provider.seen) == 1
    portal.offset = timedelta(seconds=241)
    provider.nonce = ""
    assert portal.get("/identity").status_code == 200
    assert (provider.seen[1]["grant_type"], provider.seen[1]["refresh_token"]) == ("refresh_token", "refresh-1")
    portal.get("/identity")
    assert len(provider.seen) == 2


def test_a_refused_refresh_ends_the_session_here(portal: PortalUnderTest, provider: ToyProvider) -> None:
    portal.sign_in(provider)
    portal.offset = timedelta(seconds=241)
    provider.token_error = "invalid_grant"
    assert portal.get("/identity").status_code == 303
    assert 'id="ended-provider"' in portal.get("/").text


def test_a_refresh_that_speaks_of_somebody_else_is_not_believed(portal: PortalUnderTest, provider: ToyProvider) -> None:
    """OIDC Core §12.2."""
    portal.sign_in(provider)
    portal.offset = timedelta(seconds=241)
    provider.id_token, provider.userinfo = {"sub": "sub-2"}, {"sub": "sub-2", "name": "Lê Văn Khác"}
    assert portal.get("/identity").status_code == 502
    portal.offset = timedelta()
    assert "Lê Văn Khác" not in portal.get("/identity").text


@pytest.mark.parametrize("target", ["https://evil.example/apply?MaTTHC=9.000001", "//evil.example/", "/apply"])
def test_a_foreign_target_is_dropped_from_an_initiated_login(
    portal: PortalUnderTest, provider: ToyProvider, target: str
) -> None:
    """OIDC Core §4: no open redirector."""
    started = portal.post("/initiate-login", iss=provider.issuer, target_link_uri=target)
    assert portal.get(provider.answer(started.location)).location == "/identity"


def test_an_initiated_login_names_our_issuer_or_does_not_begin(portal: PortalUnderTest, provider: ToyProvider) -> None:
    assert portal.get("/initiate-login?iss=https://evil.example").status_code == 400
    own = "http://localhost:18349/apply?MaTTHC=9.000001"
    started = portal.get(f"/initiate-login?iss={provider.issuer}&target_link_uri={own}")
    assert portal.get(provider.answer(started.location)).location == "/apply?MaTTHC=9.000001"


@pytest.mark.parametrize("back", ["//evil.example", "/\\evil.example", "https://evil.example", "/\r\nX: y"])
def test_the_language_link_leads_nowhere_else(portal: PortalUnderTest, back: str) -> None:
    answer = portal.browser.get("/language", query_string={"to": "en", "back": back}, base_url="http://localhost:18349")
    assert answer.location == "/"
    assert "Public services online" in portal.get("/").text

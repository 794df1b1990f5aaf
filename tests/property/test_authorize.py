"""Any parameters at the authorization endpoint: the specification's error, a page, or a code that was earned (law 3)."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idp.kernel.digests import s256
from tests.support.asking import later, part, signed_in
from tests.support.provider import Answered, Browser, Portal, Provider

BOUNDED = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
ERRORS = {
    "invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope", "server_error",
    "temporarily_unavailable", "interaction_required", "login_required", "account_selection_required", "consent_required",
    "invalid_request_uri", "invalid_request_object", "request_not_supported", "request_uri_not_supported", "registration_not_supported",
    "unmet_authentication_requirements",
}  # fmt: skip
"""RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6, and the error of an unmet `acr`."""

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES: dict[str, list[str]] = {
    "response_type": ["code", "token", "code code", ""],
    "client_id": ["portal", "nobody", "PORTAL", ""],
    "redirect_uri": ["https://portal.example/cb", "https://evil.test/", "https://portal.example/cb2", ""],
    "scope": ["openid", "openid profile", "openid profile email offline_access", "profile", "openid \t", ""],
    "state": ["s", "&iss=x", "\r\nX: y", ""],
    "nonce": ["n", ""],
    "code_challenge": [s256("v" * 43), "x", ""],
    "code_challenge_method": ["S256", "plain", ""],
    "response_mode": ["query", "form_post", "fragment", ""],
    "prompt": ["none", "login", "consent", "select_account", "login consent", "none login", ""],
    "max_age": ["0", "1", "100000", "-1", "9" * 40, ""],
    "acr_values": ["urn:motcua:acr:ial2.aal2", "urn:motcua:acr:ial0.aal1", "LoA3", "0", ""],
    "claims": ["{}", '{"id_token":{"acr":{"essential":true,"value":"urn:motcua:acr:ial2.aal2"}}}', '{"userinfo":{"name":null}}', "[", ""],
    "id_token_hint": ["x", "a.b.c", ""],
    "login_hint": ["001088000001", '"><script>', ""],
    "ui_locales": ["vi", "en", "xx", ""],
    "display": ["page", "wap", "x", ""],
    "request": ["x", ""],
    "request_uri": ["urn:x", ""],
}
PAIRS = st.sampled_from(list(VALUES)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(VALUES[name]) | TEXT))
CHANGES = st.lists(PAIRS, max_size=4).map(dict)
REMOVED = st.lists(st.sampled_from(list(VALUES)), max_size=2)


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def home(op: Provider, portal: Portal) -> Browser:
    browser = signed_in(op, portal, op.person())
    later(op, minutes=1)  # so that a sign-in of a second ago does not satisfy `max_age=1`
    return browser


def target(portal: Portal, changes: dict[str, str], removed: list[str], repeated: list[tuple[str, str]]) -> str:
    good = dict(parse_qsl(urlsplit(portal.ask()).query))
    parameters = {name: value for name, value in (good | changes).items() if name not in removed}
    return "/authorize?" + urlencode([*parameters.items(), *repeated])


def require_lawful(answered: Answered, state: str | None) -> dict[str, str]:
    """A page here, or an answer at the registered address that carries `iss` and the `state`; return its parameters."""
    assert answered.status in {200, 303, 400}, answered.text[:300]
    location = answered.header("location")
    if location is None:
        assert "text/html" in (answered.header("content-type") or "")
        return {}
    if location.startswith("/i/"):
        return {}
    assert location.startswith("https://portal.example/cb?")
    said = parse_qsl(urlsplit(location).query, keep_blank_values=True)
    assert len(dict(said)) == len(said)
    assert dict(said)["iss"] == "http://localhost:8000"
    if state is not None:
        assert dict(said)["state"] == state
    assert ("code" in dict(said)) != (dict(said).get("error") in ERRORS)
    return dict(said)


@BOUNDED
@given(changes=CHANGES, removed=REMOVED, repeated=st.lists(PAIRS, max_size=1))
def test_any_parameters_of_a_stranger_lead_to_an_error_or_a_page(
    op: Provider, portal: Portal, changes: dict[str, str], removed: list[str], repeated: list[tuple[str, str]]
) -> None:
    """A stranger never gets a code; with `prompt=none` never a page either."""
    asked = target(portal, changes, removed, repeated)
    state = (changes.get("state", "the-state") or None) if "state" not in [*removed, *(name for name, _ in repeated)] else None
    said = require_lawful(op.call("GET", asked), None if "\0" in asked or "%00" in asked else state)
    assert "code" not in said


@BOUNDED
@given(changes=CHANGES, removed=REMOVED)
def test_whoever_is_signed_in_gets_a_code_for_a_sound_request_only(
    op: Provider, portal: Portal, home: Browser, changes: dict[str, str], removed: list[str]
) -> None:
    """A code came of: our client, its address, `code`, openid, S256, no prompt that asks, no `max_age` that has passed."""
    said = require_lawful(home.send("GET", target(portal, changes, removed, [])), None)
    if "code" not in said:
        return
    sent = {
        name: value for name, value in ({"response_type": "code", "code_challenge_method": "S256"} | changes).items() if name not in removed
    }
    assert sent["response_type"] == "code"
    assert sent["code_challenge_method"] == "S256"
    assert not {"login", "consent", "select_account"} & set(sent.get("prompt", "").split(" "))
    assert sent.get("max_age", "") not in {"0", "1"}
    assert not {"request", "request_uri"} & {name for name, value in sent.items() if value}


@BOUNDED
@given(changes=CHANGES, removed=REMOVED)
def test_silence_is_kept_by_get_and_by_post(
    op: Provider, portal: Portal, home: Browser, changes: dict[str, str], removed: list[str]
) -> None:
    """OIDC Core §3.1.2.1: `prompt=none` shows no page of the provider's, unless client or address are in doubt."""
    asked = target(portal, changes | {"prompt": "none"}, [name for name in removed if name != "prompt"], [])
    query = dict(parse_qsl(urlsplit(asked).query))
    if query.get("client_id") != "portal" or query.get("redirect_uri") != "https://portal.example/cb" or "%00" in asked:
        return
    for answered in (home.send("GET", asked), home._follow(op.call("POST", "/authorize", parse_qsl(urlsplit(asked).query)))):
        if answered.status == 200:
            assert 'action="https://portal.example/cb"' in answered.text, "a form_post page posts itself; it asks nothing"
        else:
            assert answered.location.startswith("https://portal.example/cb?")


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
SEGMENT = (
    st.text(LETTERS, max_size=40)
    | st.binary(max_size=40).map(part)
    | st.sampled_from(
        [
            part({"alg": "none"}),
            part({"alg": "ES256"}),
            part({"alg": "ES256", "typ": "JWT", "kid": "x"}),
            part({"sub": "x", "aud": "portal"}),
            part([]),
            "",
        ]
    )
)
LIKE_JWT = st.lists(SEGMENT, min_size=1, max_size=6).map(".".join) | TEXT


@BOUNDED
@given(hint=LIKE_JWT)
def test_nothing_that_looks_like_a_token_is_a_hint(op: Provider, portal: Portal, home: Browser, hint: str) -> None:
    """Refused as `invalid_request`, silent or not, signed in or not; empty counts as absent."""
    if not hint or "\0" in hint:
        return
    said = require_lawful(home.send("GET", portal.ask(id_token_hint=hint, prompt="none")), "the-state")
    assert said["error"] == "invalid_request"
    assert require_lawful(op.call("GET", portal.ask(id_token_hint=hint)), "the-state")["error"] == "invalid_request"

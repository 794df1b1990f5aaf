"""The authorization request, parameter by parameter (RFC 6749 §3.1 and §4.1, OIDC Core §3.1.2, RFC 7636 §4.3)."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.support.asking import later
from tests.support.provider import OPERATOR, Answered, Browser, Portal, Provider

BAD: list[tuple[str, dict[str, str | None], str]] = [
    ("response_type missing", {"response_type": None}, "invalid_request"),
    ("response_type empty", {"response_type": ""}, "invalid_request"),
    ("implicit", {"response_type": "token"}, "unsupported_response_type"),
    ("implicit id_token", {"response_type": "id_token"}, "unsupported_response_type"),
    ("hybrid", {"response_type": "code id_token"}, "unsupported_response_type"),
    ("hybrid with token", {"response_type": "code token"}, "unsupported_response_type"),
    ("response_type none", {"response_type": "none"}, "unsupported_response_type"),
    ("code twice", {"response_type": "code code"}, "unsupported_response_type"),
    ("code in capitals", {"response_type": "CODE"}, "unsupported_response_type"),
    ("code with a space", {"response_type": " code"}, "unsupported_response_type"),
    ("scope missing", {"scope": None}, "invalid_scope"),
    ("scope without openid", {"scope": "profile"}, "invalid_scope"),
    ("scope in capitals", {"scope": "OPENID"}, "invalid_scope"),
    ("scope with a quotation mark", {"scope": 'openid "'}, "invalid_scope"),
    ("scope with a letter beyond ASCII", {"scope": "openid hồ-sơ"}, "invalid_scope"),
    ("scope with a tab", {"scope": "openid\tprofile"}, "invalid_scope"),
    ("51 scopes", {"scope": "openid " + " ".join(f"s{n}" for n in range(50))}, "invalid_scope"),
    ("scope too long", {"scope": "openid " + "s" * 1018}, "invalid_request"),
    ("challenge missing", {"code_challenge": None}, "invalid_request"),
    ("challenge empty", {"code_challenge": ""}, "invalid_request"),
    ("no PKCE at all", {"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ("method missing", {"code_challenge_method": None}, "invalid_request"),
    ("method plain", {"code_challenge_method": "plain"}, "invalid_request"),
    ("method in small letters", {"code_challenge_method": "s256"}, "invalid_request"),
    ("challenge short", {"code_challenge": "x" * 42}, "invalid_request"),
    ("challenge long", {"code_challenge": "x" * 44}, "invalid_request"),
    ("challenge padded", {"code_challenge": "x" * 42 + "="}, "invalid_request"),
    ("challenge with a line break", {"code_challenge": "x" * 43 + "\n"}, "invalid_request"),
    ("prompt none with another", {"prompt": "none login"}, "invalid_request"),
    ("prompt unknown", {"prompt": "create"}, "invalid_request"),
    ("max_age negative", {"max_age": "-1"}, "invalid_request"),
    ("max_age a fraction", {"max_age": "1.5"}, "invalid_request"),
    ("max_age a word", {"max_age": "ten"}, "invalid_request"),
    ("max_age with a space", {"max_age": " 1"}, "invalid_request"),
    ("max_age in wide digits", {"max_age": "１０"}, "invalid_request"),
    ("max_age beyond all ages", {"max_age": "9" * 30}, "invalid_request"),
    ("claims not JSON", {"claims": "{"}, "invalid_request"),
    ("claims a list", {"claims": "[]"}, "invalid_request"),
    ("claims null", {"claims": "null"}, "invalid_request"),
    ("claims with a list for a place", {"claims": '{"userinfo":[]}'}, "invalid_request"),
    ("claims with a text for a claim", {"claims": '{"userinfo":{"name":"x"}}'}, "invalid_request"),
    ("claims nested without end", {"claims": '{"userinfo":' * 300 + "1" + "}" * 300}, "invalid_request"),
    ("claims naming a place twice", {"claims": '{"userinfo":{},"userinfo":{}}'}, "invalid_request"),
    ("claims with NaN", {"claims": '{"userinfo":{"name":{"value":NaN}}}'}, "invalid_request"),
    ("claims with acr values that are no texts", {"claims": '{"id_token":{"acr":{"values":[1]}}}'}, "invalid_request"),
    ("claims too long", {"claims": '{"x":"' + "y" * 4096 + '"}'}, "invalid_request"),
    ("response_mode fragment", {"response_mode": "fragment"}, "invalid_request"),
    ("response_mode query.jwt", {"response_mode": "query.jwt"}, "invalid_request"),
    ("response_mode web_message", {"response_mode": "web_message"}, "invalid_request"),
    ("request object", {"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
    ("request_uri", {"request_uri": "https://portal.example/r"}, "request_uri_not_supported"),
    ("registration", {"registration": "{}"}, "registration_not_supported"),
    ("state too long", {"state": "s" * 1025}, "invalid_request"),
    ("nonce too long", {"nonce": "n" * 257}, "invalid_request"),
    ("ui_locales too long", {"ui_locales": "vi " * 700}, "invalid_request"),
    ("login_hint too long", {"login_hint": "1" * 2049}, "invalid_request"),
    ("id_token_hint too long", {"id_token_hint": "x" * 8193}, "invalid_request"),
    ("an unknown parameter too long", {"foreign": "x" * 2049}, "invalid_request"),
]

OPTIONAL = (
    "state",
    "nonce",
    "response_mode",
    "prompt",
    "max_age",
    "acr_values",
    "claims",
    "login_hint",
    "id_token_hint",
    "ui_locales",
    "claims_locales",
    "display",
    "foreign",
)


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal", redirect_uris=["https://portal.example/cb", "https://portal.example/cb?kept=1"])


def sent(op: Provider, method: str, target: str) -> Answered:
    """Send a request in the address, or the same one in a form body."""
    if method == "GET":
        return op.call("GET", target)
    parts = urlsplit(target)
    return op.call("POST", parts.path, parse_qsl(parts.query, keep_blank_values=True))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_good_request_leads_to_a_page(op: Provider, portal: Portal, method: str) -> None:
    """RFC 6749 §3.1: GET and POST are served alike. The control beside everything below."""
    answered = sent(op, method, portal.ask())
    assert answered.status == 303
    assert answered.location.startswith("/i/")
    assert answered.header("cache-control") == "no-store"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("changes", "error"), [(changes, error) for _, changes, error in BAD], ids=[name for name, _, _ in BAD])
def test_a_bad_parameter_is_answered_to_the_portal_with_state_and_iss(
    op: Provider, portal: Portal, method: str, changes: dict[str, str | None], error: str
) -> None:
    """RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6, RFC 9207 §2: the error goes to the proved redirect URI, and nothing else does."""
    answered = sent(op, method, portal.ask(**changes))
    assert answered.status == 303, answered.text[:300]
    assert answered.location.startswith("https://portal.example/cb?error=")
    said = answered.parameters
    assert said["error"] == error
    assert said["iss"] == "http://localhost:8000"
    assert said["state"] == changes.get("state", "the-state")
    assert said["error_description"].isascii()
    assert "code" not in said


def test_a_bad_hint_is_answered_when_the_browser_is_known(op: Provider, portal: Portal) -> None:
    """A POST is kept first, and judged with the browser at its GET."""
    for method in ("GET", "POST"):
        said = Browser(op)._follow(sent(op, method, portal.ask(id_token_hint="nothing"))).parameters
        assert (said["error"], said["state"]) == ("invalid_request", "the-state")


@pytest.mark.parametrize("name", ["response_type", "scope", "nonce", "code_challenge", "code_challenge_method", *OPTIONAL[1:]])
def test_a_repeated_parameter_is_refused(op: Provider, portal: Portal, name: str) -> None:
    """RFC 6749 §3.1: request parameters must not be included more than once; whichever is meant, it is not guessed."""
    twice = portal.ask() + "&" + urlencode([(name, "a"), (name, "b")])
    said = op.call("GET", twice).parameters
    assert said == {
        "error": "invalid_request",
        "error_description": "A parameter was sent more than once.",
        "state": "the-state",
        "iss": "http://localhost:8000",
    }


def test_a_repeated_state_is_not_given_back(op: Provider, portal: Portal) -> None:
    """RFC 6749 §4.1.2.1: which of two states to return is in doubt, so none is."""
    said = op.call("GET", portal.ask() + "&state=another").parameters
    assert said["error"] == "invalid_request"
    assert "state" not in said


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_empty_parameter_counts_as_absent(op: Provider, portal: Portal, name: str) -> None:
    """RFC 6749 §3.1: parameters sent without a value are treated as if they were omitted."""
    answered = op.call("GET", portal.ask(**{name: ""}))
    assert answered.location.startswith("/i/")


@pytest.mark.parametrize(
    "changes",
    [
        {"foreign": "1", "resource": "https://elsewhere.example", "audience": "x", "dpop_jkt": "y"},
        {"scope": "openid unheard-of"},
        {"acr_values": "urn:elsewhere:gold 7"},
        {"ui_locales": "xx ../../etc/passwd " + "en-x " * 300},
        {"claims_locales": "vi-VN"},
        {"login_hint": "<script>alert(1)</script>"},
        {"display": "popup"},
        {"display": "touch"},
        {"display": "wap"},
        {"display": "cinema"},
        {"claims": '{"userinfo":{"unheard_of":null,"name":{"essential":true}},"elsewhere":{}}'},
        {"state": "s" * 1024, "nonce": "n" * 256},
        {"nonce": None, "state": None},
        {"max_age": "999999999"},
        {"max_age": "0"},
    ],
    ids=" ".join,
)
def test_what_is_foreign_or_unknown_but_harmless_is_no_obstacle(op: Provider, portal: Portal, changes: dict[str, str | None]) -> None:
    """RFC 6749 §3.1: unrecognized parameters are ignored; OIDC Core §3.1.2.1: unknown locales, classes and claims are no error."""
    answered = Browser(op).open(portal.ask(**changes))
    assert answered.status == 200
    assert 'id="username"' in answered.text
    assert "<script>alert(1)" not in answered.text


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": ""},
        {"client_id": "nobody"},
        {"client_id": "PORTAL"},
        {"client_id": "x" * 5000},
        {"client_id": "nobody", "redirect_uri": "https://evil.test/"},
        {"redirect_uri": None},
        {"redirect_uri": ""},
        {"redirect_uri": "https://evil.test/"},
        {"redirect_uri": "https://evil.test/", "response_type": "token"},
        {"redirect_uri": "https://evil.test/", "scope": None},
        {"redirect_uri": "https://evil.test/", "prompt": "none"},
        {"redirect_uri": "https://evil.test/", "response_mode": "form_post"},
    ],
    ids=str,
)
def test_without_a_proved_client_and_redirect_uri_nothing_is_redirected(
    op: Provider, portal: Portal, method: str, changes: dict[str, str | None]
) -> None:
    """RFC 6749 §4.1.2.1: the person is told; the browser is sent nowhere."""
    answered = sent(op, method, portal.ask(**changes))
    assert answered.status == 400
    assert answered.header("location") is None
    assert "text/html" in (answered.header("content-type") or "")
    assert "//evil.test" not in answered.text


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_a_repeated_client_or_redirect_uri_is_a_page(op: Provider, portal: Portal, name: str) -> None:
    """RFC 6749 §3.1, §4.1.2.1: with either in doubt, nothing is redirected; not even when both values are good."""
    second = {"client_id": "portal", "redirect_uri": "https://portal.example/cb?kept=1"}[name]
    answered = op.call("GET", portal.ask() + "&" + urlencode({name: second}))
    assert answered.status == 400
    assert answered.header("location") is None


def test_a_disabled_client_and_one_past_its_end_get_a_page(op: Provider) -> None:
    """Law 8: a dead client is dead at every endpoint; a person is not led through a sign-in that cannot end well."""
    disabled = op.client("disabled")
    ended = op.client("ended", profile="legacy", legacy_until="2026-06-02", token_endpoint_auth_method="client_secret_post")
    for portal in (disabled, ended):
        assert op.call("GET", portal.ask()).location.startswith("/i/")

    op.rooms.clients.disable("disabled", "test", origin=OPERATOR)
    later(op, days=2)

    for portal in (disabled, ended):
        answered = op.call("GET", portal.ask())
        assert answered.status == 400, portal.client_id
        assert answered.header("location") is None


def test_what_the_client_registered_in_the_query_of_its_redirect_uri_is_kept(op: Provider, portal: Portal) -> None:
    """RFC 6749 §3.1.2: the query component is retained when parameters are added."""
    answered = op.call("GET", portal.ask(redirect_uri="https://portal.example/cb?kept=1", prompt="none"))
    assert answered.location.startswith("https://portal.example/cb?kept=1&error=login_required")


def test_other_methods_are_not_answered(op: Provider, portal: Portal) -> None:
    """RFC 9110 §15.5.6: 405 says which methods there are."""
    for method in ("HEAD", "OPTIONS"):
        answered = op.call(method, portal.ask())
        assert answered.status == 405
        assert answered.header("allow") == "GET, POST"
    assert op.call("PUT", portal.ask()).status == 405
    for method, page, allowed in (("GET", "/logout/confirm", "POST"), ("POST", "/about", "GET, HEAD"), ("POST", "/i/x", "GET, HEAD")):
        answered = op.call(method, page, {"x": "y"} if method == "POST" else None)
        assert (answered.status, answered.header("allow")) == (405, allowed)

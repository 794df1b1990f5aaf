"""Metadata and keys: what everybody may read (OIDC Discovery 1.0 §4, RFC 8414 §3, RFC 7517; law 5: metadata is honest)."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from idp.clients.model import ASSERTION_ALGS
from idp.jose import half_hash
from tests.support.asking import (
    ISSUER,
    KeyedPortal,
    answer_of,
    bought,
    later,
    page_of,
    signed_in,
)
from tests.support.provider import OPERATOR, Answered, Browser, Person, Portal, Provider, claims_of

DISCOVERY = "/.well-known/openid-configuration"
DOCUMENTS = (DISCOVERY, "/jwks")


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person(ial=2)


@pytest.fixture(scope="module")
def document(op: Provider) -> dict[str, Any]:
    return op.call("GET", DISCOVERY).json


# how it is served ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_is_cacheable_and_readable_from_any_page(op: Provider, path: str) -> None:
    """OIDC Discovery §4.2; design §4: CORS `*` without credentials."""
    answered = op.call("GET", path)
    assert answered.status == 200
    assert answered.header("content-type") == "application/json"
    assert answered.header("cache-control") == "public, max-age=300, stale-if-error=86400"
    assert answered.header("access-control-allow-origin") == "*"
    assert answered.header("access-control-allow-credentials") is None
    assert answered.header("set-cookie") is None
    assert answered.header("x-content-type-options") == "nosniff"


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_that_is_known_already_is_not_sent_again(op: Provider, path: str) -> None:
    """RFC 9110 §13.1.2, §15.4.5: 304 has no content, and no length but that of the 200."""
    first = op.call("GET", path)
    etag = first.header("etag")
    assert etag is not None
    for seen in (etag, f'W/{etag}, "other"', "*"):
        again = op.call("GET", path, headers={"If-None-Match": seen})
        assert again.status == 304
        assert again.body == b""
        assert again.header("etag") == etag
        assert again.header("cache-control") == first.header("cache-control")
        assert again.header("content-length") in {None, str(len(first.body))}
    assert op.call("GET", path, headers={"If-None-Match": '"another"'}).status == 200


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_head_says_what_a_get_would_and_a_preflight_is_answered(op: Provider, path: str) -> None:
    """RFC 9110 §9.3.2, §15.3.5: no content, and with 204 no length."""
    head = op.call("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == str(len(op.call("GET", path).body))
    preflight = op.call("OPTIONS", path, headers={"Origin": "https://portal.example"})
    assert preflight.status == 204
    assert preflight.header("content-length") is None
    assert preflight.header("access-control-allow-origin") == "*"
    assert op.call("POST", path, {"x": "y"}).status == 405


def test_only_the_four_documents_that_scripts_may_read_say_so(op: Provider) -> None:
    """Design §4: CORS on discovery, JWKS, token and userinfo only; errors included, or a script could not read them."""
    refused = op.call("POST", "/token", {"grant_type": "x"})
    assert refused.header("access-control-allow-origin") == "*"
    repeated = op.call("POST", "/token", [("grant_type", "x"), ("grant_type", "x")])
    assert repeated.status == 400
    assert repeated.header("access-control-allow-origin") == "*"
    assert op.call("GET", "/userinfo").header("access-control-allow-origin") == "*"
    for path in ("/token", "/userinfo"):
        unread = op.call("POST", path, body=b"x=%")
        assert (unread.status, unread.header("access-control-allow-origin")) == (400, "*"), path
    for method, path in (("POST", "/introspect"), ("POST", "/revoke"), ("GET", "/authorize"), ("GET", "/logout"), ("GET", "/")):
        answered = op.call(method, path, {"token": "x"} if method == "POST" else None)
        assert answered.header("access-control-allow-origin") is None, path


def test_the_issuer_comes_from_settings_whatever_the_request_says(op: Provider) -> None:
    """Law 6: a forwarded host, scheme or prefix changes nothing; another host is not served at all."""
    plain = op.call("GET", DISCOVERY).body
    for header in ("X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Original-URL", "X-Rewrite-URL", "Forwarded"):
        assert op.call("GET", DISCOVERY, headers={header: "evil.test"}).body == plain
    for host in ("evil.test", "localhost:8000, evil.test", "localhost:8000@evil.test", "localhost", "localhost:8001", "LOCALHOST:8000 "):
        assert op.call("GET", DISCOVERY, headers={"Host": host}).status in {400, 421}


# the keys ----------------------------------------------------------------------------------------------------------------------------


def test_published_keys_are_public_strong_and_named(op: Provider) -> None:
    """Public members only, one `kid` each, RSA of 3072 bits or more."""
    keys = op.call("GET", "/jwks").json["keys"]
    assert {key["alg"] for key in keys} == {"ES256", "RS256"}
    assert len({key["kid"] for key in keys}) == len(keys)
    for key in keys:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k", "oth"} & set(key)
        assert key["use"] == "sig"
        if key["kty"] == "RSA":
            assert len(key["n"]) >= 512


def test_a_rotation_publishes_the_next_key_before_it_signs_and_keeps_the_old_one(op: Provider, portal: Portal, citizen: Person) -> None:
    """What a portal caches for max-age verifies everything meanwhile; the ETag moves with the keys."""
    home = signed_in(op, portal, citizen)
    before = op.call("GET", "/jwks")
    old = {key["kid"] for key in before.json["keys"]}
    op.keeper.rotate_signing("ES256", publish_for=timedelta(minutes=10), verify_for=timedelta(days=1), origin=OPERATOR)
    later(op, seconds=2)

    staged = op.call("GET", "/jwks", headers={"If-None-Match": before.header("etag") or ""})
    assert staged.status == 200
    assert {key["kid"] for key in staged.json["keys"]} > old
    token = portal.redeem(answer_of(portal, home)["code"]).json["id_token"]
    assert header_of(token)["kid"] in old

    later(op, minutes=11)
    token = portal.redeem(answer_of(portal, home)["code"]).json["id_token"]
    assert header_of(token)["kid"] not in old
    assert header_of(token)["kid"] in {key["kid"] for key in op.call("GET", "/jwks").json["keys"]}
    assert old <= {key["kid"] for key in op.call("GET", "/jwks").json["keys"]}


# honesty ------------------------------------------------------------------------------------------------------------------------------

CHECKED: dict[str, str] = {
    "issuer": "test_the_issuer_is_the_one_in_tokens",
    "authorization_endpoint": "test_every_endpoint_answers_at_its_address",
    "token_endpoint": "test_every_endpoint_answers_at_its_address",
    "userinfo_endpoint": "test_every_endpoint_answers_at_its_address",
    "jwks_uri": "test_every_endpoint_answers_at_its_address",
    "introspection_endpoint": "test_every_endpoint_answers_at_its_address",
    "revocation_endpoint": "test_every_endpoint_answers_at_its_address",
    "end_session_endpoint": "test_every_endpoint_answers_at_its_address",
    "scopes_supported": "test_every_scope_is_granted_and_no_other",
    "claims_supported": "test_every_claim_is_told_and_no_other",
    "claim_types_supported": "test_every_claim_is_told_and_no_other",
    "claims_parameter_supported": "test_every_claim_is_told_and_no_other",
    "response_types_supported": "test_every_response_type_and_mode_is_served_and_no_other",
    "response_modes_supported": "test_every_response_type_and_mode_is_served_and_no_other",
    "grant_types_supported": "test_every_grant_type_is_served_and_no_other",
    "acr_values_supported": "test_every_class_is_reached_and_no_other",
    "subject_types_supported": "test_subjects_are_pairwise_only",
    "id_token_signing_alg_values_supported": "test_every_id_token_alg_signs_and_verifies",
    "token_endpoint_auth_methods_supported": "test_every_authentication_method_works_where_it_is_advertised",
    "introspection_endpoint_auth_methods_supported": "test_every_authentication_method_works_where_it_is_advertised",
    "revocation_endpoint_auth_methods_supported": "test_every_authentication_method_works_where_it_is_advertised",
    "token_endpoint_auth_signing_alg_values_supported": "test_every_assertion_alg_is_accepted_everywhere",
    "introspection_endpoint_auth_signing_alg_values_supported": "test_every_assertion_alg_is_accepted_everywhere",
    "revocation_endpoint_auth_signing_alg_values_supported": "test_every_assertion_alg_is_accepted_everywhere",
    "display_values_supported": "test_every_display_and_locale_is_served",
    "ui_locales_supported": "test_every_display_and_locale_is_served",
    "request_parameter_supported": "test_request_objects_are_refused_as_unsupported",
    "request_uri_parameter_supported": "test_request_objects_are_refused_as_unsupported",
    "code_challenge_methods_supported": "test_only_s256_is_accepted",
    "prompt_values_supported": "test_every_prompt_is_understood_and_no_other",
    "authorization_response_iss_parameter_supported": "test_the_issuer_is_the_one_in_tokens",
    "backchannel_logout_supported": "test_a_portal_that_registered_for_it_is_told_of_the_end_of_a_session",
    "backchannel_logout_session_supported": "test_a_portal_that_registered_for_it_is_told_of_the_end_of_a_session",
}
"""Every member of the document, and the test below that holds it against behaviour."""


def test_every_member_of_the_document_is_held_against_behaviour(document: dict[str, Any]) -> None:
    """Law 5: everything advertised is exercised by a test."""
    assert set(document) == set(CHECKED)
    assert all(name in globals() for name in CHECKED.values())


def test_the_issuer_is_the_one_in_tokens(op: Provider, portal: Portal, citizen: Person, document: dict[str, Any]) -> None:
    home = signed_in(op, portal, citizen)
    said = answer_of(portal, home)
    assert document["authorization_response_iss_parameter_supported"] is True
    assert said["iss"] == document["issuer"] == ISSUER
    assert claims_of(portal.redeem(said["code"]).json["id_token"])["iss"] == document["issuer"]


def test_every_endpoint_answers_at_its_address(op: Provider, document: dict[str, Any]) -> None:
    expected = {
        "authorization_endpoint": ("GET", 400),
        "token_endpoint": ("POST", 400),
        "userinfo_endpoint": ("GET", 401),
        "jwks_uri": ("GET", 200),
        "introspection_endpoint": ("POST", 401),
        "revocation_endpoint": ("POST", 401),
        "end_session_endpoint": ("GET", 200),
    }
    assert {name for name in document if name.endswith(("_endpoint", "_uri"))} == set(expected)
    for name, (method, status) in expected.items():
        path = document[name].removeprefix(ISSUER)
        assert op.call(method, path, {"x": "y"} if method == "POST" else None).status == status, name


def test_every_scope_is_granted_and_no_other(op: Provider, portal: Portal, citizen: Person, document: dict[str, Any]) -> None:
    every = " ".join(document["scopes_supported"])
    granted = bought(portal, Browser(op), citizen, scope=every + " unheard-of")["scope"].split(" ")
    assert granted == document["scopes_supported"]


def test_every_claim_is_told_and_no_other(op: Provider, portal: Portal, citizen: Person, document: dict[str, Any]) -> None:
    """The ID token and userinfo together tell all that is advertised; what they tell beside it are the claims of the JWT itself."""
    assert document["claims_parameter_supported"] is True
    assert document["claim_types_supported"] == ["normal"]
    wanted = {name: None for name in document["claims_supported"] if name != "sub"}
    tokens = bought(portal, Browser(op), citizen, claims=json.dumps({"id_token": wanted, "userinfo": wanted}), scope="openid")
    told = claims_of(tokens["id_token"])
    assert set(document["claims_supported"]) == set(told) - {"iss", "aud", "exp", "iat", "nonce", "at_hash"}
    attributes = set(portal.userinfo(tokens["access_token"]).json)
    assert attributes <= set(document["claims_supported"])
    assert attributes >= set(document["claims_supported"]) - {"aal", "acr", "amr", "auth_time", "sid"}


def test_every_response_type_and_mode_is_served_and_no_other(
    op: Provider, portal: Portal, citizen: Person, document: dict[str, Any]
) -> None:
    assert document["response_types_supported"] == ["code"]
    assert document["response_modes_supported"] == ["query", "form_post"]
    home = signed_in(op, portal, citizen)
    assert "code" in answer_of(portal, home, response_mode="query")
    posted = home.send("GET", portal.ask(response_mode="form_post"))
    assert posted.status == 200
    assert 'name="code"' in posted.text
    for other in ("fragment", "jwt", "query.jwt"):
        assert answer_of(portal, home, response_mode=other)["error"] == "invalid_request"


def test_every_grant_type_is_served_and_no_other(op: Provider, document: dict[str, Any]) -> None:
    assert document["grant_types_supported"] == ["authorization_code", "refresh_token", "client_credentials"]
    able = op.client("able", grant_types=document["grant_types_supported"])
    assert able.call("/token", {"grant_type": "client_credentials"}).status == 200
    for grant_type in ("authorization_code", "refresh_token"):
        refused = able.call("/token", {"grant_type": grant_type, "code": "x", "redirect_uri": "y", "refresh_token": "z"})
        assert refused.json["error"] in {"invalid_grant", "invalid_request"}
    for other in ("password", "implicit", "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"):
        assert able.call("/token", {"grant_type": other}).json["error"] == "unsupported_grant_type"


def test_every_class_is_reached_and_no_other(op: Provider, portal: Portal, citizen: Person, document: dict[str, Any]) -> None:
    later(op, seconds=30)
    home = Browser(op)
    home.open(portal.ask(acr_values="urn:motcua:acr:ial2.aal2"))
    home.sign_in(citizen)
    for value in document["acr_values_supported"]:
        wanted = json.dumps({"id_token": {"acr": {"essential": True, "value": value}}})
        code = answer_of(portal, home, prompt="none", claims=wanted)["code"]
        assert claims_of(portal.redeem(code).json["id_token"])["acr"] == value
    beyond = json.dumps({"id_token": {"acr": {"essential": True, "value": "urn:motcua:acr:ial2.aal3"}}})
    assert answer_of(portal, home, prompt="none", claims=beyond)["error"] == "unmet_authentication_requirements"


def test_subjects_are_pairwise_only(op: Provider, citizen: Person, document: dict[str, Any]) -> None:
    assert document["subject_types_supported"] == ["pairwise"]
    subs = set()
    for name in ("apart-one", "apart-two"):
        apart = op.client(name)
        subs.add(claims_of(bought(apart, Browser(op), citizen)["id_token"])["sub"])
    assert len(subs) == 2


def test_every_id_token_alg_signs_and_verifies(op: Provider, citizen: Person, document: dict[str, Any]) -> None:
    """OIDC Core §2, §3.1.3.6: signed as the client registered; `at_hash` goes with the algorithm."""
    for alg in document["id_token_signing_alg_values_supported"]:
        signed = op.client(f"signed-{alg.lower()}", id_token_signed_response_alg=alg)
        tokens = bought(signed, Browser(op), citizen)
        assert header_of(tokens["id_token"])["alg"] == alg
        assert claims_of(tokens["id_token"])["at_hash"] == half_hash(tokens["access_token"], alg)


def test_every_authentication_method_works_where_it_is_advertised(op: Provider, citizen: Person, document: dict[str, Any]) -> None:
    endpoints = {
        "/token": document["token_endpoint_auth_methods_supported"],
        "/introspect": document["introspection_endpoint_auth_methods_supported"],
        "/revoke": document["revocation_endpoint_auth_methods_supported"],
    }
    for method in document["token_endpoint_auth_methods_supported"]:
        ask = caller(op, method)
        for path, advertised in endpoints.items():
            answered = ask(
                path, {"token": "x", "grant_type": "authorization_code", "code": "x", "redirect_uri": "x", "code_verifier": "v" * 43}
            )
            assert (answered.status != 401) == (method in advertised), f"{method} at {path}: {answered.text}"


def test_every_assertion_alg_is_accepted_everywhere(op: Provider, document: dict[str, Any]) -> None:
    """Whatever a client may register to sign with is advertised and accepted, at every endpoint; nothing else is."""
    advertised = document["token_endpoint_auth_signing_alg_values_supported"]
    assert document["introspection_endpoint_auth_signing_alg_values_supported"] == advertised
    assert document["revocation_endpoint_auth_signing_alg_values_supported"] == advertised
    assert set(advertised) == set(ASSERTION_ALGS)
    for alg in advertised:
        client = KeyedPortal.register(op, f"asserts-{alg.lower()}", alg)
        for path in ("/introspect", "/revoke"):
            assert client.call(path, {"token": "x"}).status == 200, f"{alg} at {path}"
        assert client.credentials().status == 200, alg


def test_every_display_and_locale_is_served(op: Provider, portal: Portal, document: dict[str, Any]) -> None:
    """One display: the pages are the same whatever is asked for (OIDC Core §15.1: which is no error)."""
    assert document["display_values_supported"] == ["page"]
    assert page_of(Browser(op), portal.ask(display="page")) == "sign-in"
    for locale in document["ui_locales_supported"]:
        browser = Browser(op)
        assert page_of(browser, portal.ask(ui_locales=locale)) == "sign-in"
        assert browser.page is not None
        assert browser.page.header("content-language") == locale


def test_request_objects_are_refused_as_unsupported(op: Provider, portal: Portal, document: dict[str, Any]) -> None:
    assert document["request_parameter_supported"] is False
    assert document["request_uri_parameter_supported"] is False
    assert op.call("GET", portal.ask(request="e30.e30.")).parameters["error"] == "request_not_supported"
    assert op.call("GET", portal.ask(request_uri="urn:x")).parameters["error"] == "request_uri_not_supported"


def test_only_s256_is_accepted(op: Provider, portal: Portal, document: dict[str, Any]) -> None:
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert op.call("GET", portal.ask()).location.startswith("/i/")
    assert op.call("GET", portal.ask(code_challenge_method="plain")).parameters["error"] == "invalid_request"


def test_every_prompt_is_understood_and_no_other(op: Provider, portal: Portal, citizen: Person, document: dict[str, Any]) -> None:
    leads_to = {"none": "portal", "login": "sign-in", "consent": "consent", "select_account": "account"}
    assert set(document["prompt_values_supported"]) == set(leads_to)
    home = signed_in(op, portal, citizen)
    for prompt, page in leads_to.items():
        assert page_of(home, portal.ask(prompt=prompt)) == page
    assert answer_of(portal, home, prompt="create")["error"] == "invalid_request"


def test_a_portal_that_registered_for_it_is_told_of_the_end_of_a_session(op: Provider, citizen: Person, document: dict[str, Any]) -> None:
    """OIDC Back-Channel Logout §2.1: the session that ends is named by the `sid` of the ID token; delivery has tests of its own."""
    assert document["backchannel_logout_supported"] is True
    assert document["backchannel_logout_session_supported"] is True
    told = op.client("told", backchannel_logout_uri="https://told.example/bye")
    home = Browser(op)
    sid = claims_of(bought(told, home, citizen)["id_token"])["sid"]
    home.open("/logout")
    home.submit(decision="sign-out")
    with op.owner.transaction() as transaction:
        assert [row.sid for row in transaction.all("SELECT n.sid FROM logout_notice n")] == [sid]


def header_of(token: str) -> dict[str, Any]:
    head = token.partition(".")[0]
    return dict(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))))


def caller(op: Provider, method: str) -> Any:
    """Return how a client of this method calls an endpoint."""
    if method == "private_key_jwt":
        return KeyedPortal.register(op, "by-private-key-jwt").call

    portal = op.client("by-" + method.replace("_", "-"), token_endpoint_auth_method=method)

    def call(path: str, form: dict[str, str]) -> Answered:
        return portal.call(path, form)

    return call

"""The token endpoint as such: method, form, errors, and what never costs a code (RFC 6749 §3.2, §5)."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from tests.support.asking import answer_of, signed_in
from tests.support.provider import Browser, Person, Portal, Provider

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person()


@pytest.fixture(scope="module")
def home(op: Provider, portal: Portal, citizen: Person) -> Browser:
    return signed_in(op, portal, citizen)


def good_form(portal: Portal, code: str) -> dict[str, str]:
    return {"grant_type": "authorization_code", "code": code, "redirect_uri": portal.redirect_uri, "code_verifier": portal.verifier}


def test_a_good_answer_is_json_that_nobody_stores(op: Provider, portal: Portal, home: Browser) -> None:
    """RFC 6749 §5.1, OIDC Core §3.1.3.3."""
    answered = portal.redeem(answer_of(portal, home)["code"])
    assert answered.status == 200
    assert answered.header("content-type") == "application/json"
    assert answered.header("cache-control") == "no-store"
    assert answered.header("pragma") == "no-cache"
    body = answered.json
    assert set(body) == {"access_token", "token_type", "expires_in", "scope", "id_token"}
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 600
    assert body["scope"] == "openid profile"
    assert body["access_token"].startswith("moa_")


def test_a_malformed_request_is_refused_and_costs_no_code(op: Provider, portal: Portal, home: Browser) -> None:
    """The code is still good after every one of these."""
    code = answer_of(portal, home)["code"]
    form, auth = good_form(portal, code), {"Authorization": portal.authorization}
    pairs = list(form.items())
    attempts = {
        "GET": op.call("GET", "/token?" + urlencode(form), headers=auth),
        "HEAD": op.call("HEAD", "/token?" + urlencode(form), headers=auth),
        "PUT": op.call("PUT", "/token", form, headers=auth),
        "code in the address": op.call("POST", "/token?code=" + code, {k: v for k, v in pairs if k != "code"}, headers=auth),
        "everything in the address": op.call("POST", "/token?" + urlencode(form), {"x": "y"}, headers=auth),
        "an address beside a good form": op.call("POST", "/token?x=y", form, headers=auth),
        "JSON": op.call("POST", "/token", body=json.dumps(form).encode(), headers=auth | {"Content-Type": "application/json"}),
        "multipart": op.call(
            "POST",
            "/token",
            body=b"--b\r\nContent-Disposition: form-data; name=code\r\n\r\n" + code.encode() + b"\r\n--b--",
            headers=auth | {"Content-Type": "multipart/form-data; boundary=b"},
        ),
        "text": op.call("POST", "/token", body=urlencode(form).encode(), headers=auth | {"Content-Type": "text/plain"}),
        "no content type": op.call("POST", "/token", body=urlencode(form).encode(), headers=auth | {"Content-Type": ""}),
        "gzip": op.call("POST", "/token", body=b"\x1f\x8b\x08\x00" + code.encode(), headers=auth | {"Content-Encoding": "gzip"}),
        "UTF-16": op.call("POST", "/token", body=urlencode(form).encode("utf-16"), headers=auth),
        "two codes": op.call("POST", "/token", [*pairs, ("code", "x")], headers=auth),
        "the same code twice": op.call("POST", "/token", [*pairs, ("code", code)], headers=auth),
        "two grant types": op.call("POST", "/token", [*pairs, ("grant_type", "refresh_token")], headers=auth),
        "two verifiers": op.call("POST", "/token", [*pairs, ("code_verifier", portal.verifier)], headers=auth),
        "a foreign parameter twice": op.call("POST", "/token", [*pairs, ("x", "1"), ("x", "2")], headers=auth),
        "no grant type": op.call("POST", "/token", {k: v for k, v in pairs if k != "grant_type"}, headers=auth),
        "an empty grant type": op.call("POST", "/token", form | {"grant_type": ""}, headers=auth),
        "another grant type": op.call("POST", "/token", form | {"grant_type": "password"}, headers=auth),
        "a grant type of letters beyond ASCII": op.call("POST", "/token", form | {"grant_type": 'mã"\u0130'}, headers=auth),
        "no verifier": op.call("POST", "/token", {k: v for k, v in pairs if k != "code_verifier"}, headers=auth),
        "a verifier too short": op.call("POST", "/token", form | {"code_verifier": "v" * 42}, headers=auth),
        "a verifier too long": op.call("POST", "/token", form | {"code_verifier": "v" * 129}, headers=auth),
        "a verifier of other letters": op.call("POST", "/token", form | {"code_verifier": "v" * 42 + "é"}, headers=auth),
        "no redirect_uri": op.call("POST", "/token", {k: v for k, v in pairs if k != "redirect_uri"}, headers=auth),
        "no authentication": op.call("POST", "/token", form),
        "a body too large": op.call("POST", "/token", form | {"x": "y" * 70_000}, headers=auth),
        "a bad escape": op.call("POST", "/token", body=urlencode(form).encode() + b"&x=%zz", headers=auth),
        "a NUL": op.call("POST", "/token", form | {"x": "\0"}, headers=auth),
        "101 parameters": op.call("POST", "/token", form | {f"p{n}": "" for n in range(101)}, headers=auth),
        "a length that is none": op.call("POST", "/token", form, headers=auth | {"Content-Length": "\u00b2"}),
        "a length that lies": op.call("POST", "/token", form, headers=auth | {"Content-Length": "9000"}),
    }
    for name, answered in attempts.items():
        assert 400 <= answered.status < 500, f"{name}: {answered.status}"
        assert code not in answered.text, name
        if name != "HEAD" and answered.body:
            assert answered.header("content-type") == "application/json", f"{name}: programs are told in JSON"
            assert set(answered.json) == {"error", "error_description"}, name
    statuses = {name: answered.status for name, answered in attempts.items()}
    assert (statuses["GET"], statuses["HEAD"], statuses["JSON"], statuses["a body too large"]) == (405, 405, 415, 413)

    assert portal.redeem(code).status == 200, "the control: the code was good all along"


def test_parameters_that_nobody_knows_and_empty_ones_are_ignored(op: Provider, portal: Portal, home: Browser) -> None:
    """RFC 6749 §3.2: unrecognized parameters are ignored, empty ones treated as omitted; a charset in the type is harmless."""
    code = answer_of(portal, home)["code"]
    form = good_form(portal, code) | {"foreign": "1", "scope": "", "client_secret": ""}
    headers = {"Authorization": portal.authorization, "Content-Type": FORM + "; charset=UTF-8"}
    assert op.call("POST", "/token", body=urlencode(form).encode(), headers=headers).status == 200


@pytest.mark.parametrize("missing", ["code", "redirect_uri", "code_verifier"])
def test_a_missing_parameter_is_invalid_request(portal: Portal, home: Browser, missing: str) -> None:
    """RFC 6749 §5.2."""
    form = good_form(portal, answer_of(portal, home)["code"])
    del form[missing]
    answered = portal.call("/token", form)
    assert answered.status == 400
    assert answered.json["error"] == "invalid_request"


def test_a_client_gets_only_the_grants_it_registered(op: Provider, portal: Portal, home: Browser) -> None:
    """ASVS 10.4.4: unauthorized_client, and the code of another client is not touched by it."""
    code = answer_of(portal, home)["code"]
    machine = op.client(
        "machine", grant_types=["client_credentials"], redirect_uris=None, post_logout_redirect_uris=None, response_types=[], scope="read:x"
    )
    assert machine.call("/token", good_form(portal, code)).json["error"] == "unauthorized_client"
    assert portal.call("/token", {"grant_type": "client_credentials"}).json["error"] == "unauthorized_client"
    assert portal.redeem(code).status == 200


def test_a_redeemed_code_never_shows_again(op: Provider, portal: Portal, home: Browser) -> None:
    """ASVS 10.1.1: neither answers nor errors repeat what was presented."""
    code = answer_of(portal, home)["code"]
    bought = portal.redeem(code)
    for answered in (bought, portal.redeem(code), portal.redeem("moc_" + "\u00e9" * 10), portal.refresh(code)):
        assert code not in answered.text
        assert portal.verifier not in answered.text
        assert portal.secret not in answered.text

"""Userinfo and bearer tokens (OIDC Core §5.3, RFC 6750)."""

from __future__ import annotations

import json

import pytest

from tests.support.asking import bought, later, signed_in
from tests.support.provider import Browser, Person, Portal, Provider, claims_of

SCOPES = {
    "openid": {"sub", "ial"},
    "openid profile": {"sub", "ial", "name", "birthdate", "gender", "locale", "zoneinfo", "updated_at"},
    "openid email": {"sub", "ial", "email", "email_verified"},
    "openid phone": {"sub", "ial", "phone_number", "phone_number_verified"},
    "openid address": {"sub", "ial", "address"},
    "openid identity": {"sub", "ial", "personal_number", "person_type", "nationality"},
}


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person()


@pytest.fixture(scope="module")
def home(op: Provider, portal: Portal, citizen: Person) -> Browser:
    return signed_in(op, portal, citizen)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_tells_its_claims_and_no_other(portal: Portal, home: Browser, citizen: Person, scope: str) -> None:
    """OIDC Core §5.4."""
    tokens = bought(portal, home, citizen, scope=scope)
    told = portal.userinfo(tokens["access_token"])
    assert told.status == 200
    assert told.header("content-type") == "application/json"
    assert told.header("cache-control") == "no-store"
    assert set(told.json) == SCOPES[scope]
    assert told.json["sub"] == claims_of(tokens["id_token"])["sub"]


def test_claims_have_the_types_of_the_specification(portal: Portal, home: Browser, citizen: Person) -> None:
    """OIDC Core §5.1, §5.1.1."""
    every = "openid profile email phone address identity"
    told = portal.userinfo(bought(portal, home, citizen, scope=every)["access_token"]).json
    assert isinstance(told["updated_at"], int)
    assert told["email_verified"] in {True, False}
    assert told["phone_number_verified"] in {True, False}
    assert told["phone_number"].startswith("+84")
    assert isinstance(told["address"]["formatted"], str)
    assert told["gender"] in {"male", "female"}
    assert told["zoneinfo"] == "Asia/Ho_Chi_Minh"
    assert told["personal_number"] == citizen.username


def test_a_token_is_taken_from_the_header_or_a_form_body(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """RFC 6750 §2.1, §2.2; OIDC Core §5.3.1: GET and POST; the scheme's name in any case."""
    token = bought(portal, home, citizen)["access_token"]
    for answered in (
        op.call("GET", "/userinfo", headers={"Authorization": "Bearer " + token}),
        op.call("GET", "/userinfo", headers={"Authorization": "bearer " + token}),
        op.call("GET", "/userinfo", headers={"Authorization": "BEARER  " + token}),
        op.call("POST", "/userinfo", {"x": "y"}, headers={"Authorization": "Bearer " + token}),
        op.call("POST", "/userinfo", {"access_token": token}),
        op.call("POST", "/userinfo", body=b"", headers={"Authorization": "Bearer " + token}),
    ):
        assert answered.status == 200
        assert answered.json["name"] == citizen.name


def test_a_token_in_the_address_or_in_two_places_is_refused(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    token = bought(portal, home, citizen)["access_token"]
    header = {"Authorization": "Bearer " + token}
    in_address = op.call("GET", "/userinfo?access_token=" + token)
    assert (in_address.status, in_address.header("www-authenticate")) == (401, 'Bearer realm="motcua"')
    with_header = op.call("GET", "/userinfo?access_token=" + token, headers=header)
    assert (with_header.status, with_header.json["error"]) == (400, "invalid_request")
    with_form = op.call("POST", "/userinfo?access_token=" + token, {"access_token": token})
    assert (with_form.status, with_form.json["error"]) == (400, "invalid_request")
    both = op.call("POST", "/userinfo", {"access_token": token}, headers=header)
    assert (both.status, both.json["error"]) == (400, "invalid_request")
    twice = op.call("POST", "/userinfo", [("access_token", token), ("access_token", token)])
    assert (twice.status, twice.json["error"]) == (400, "invalid_request")
    as_json = op.call("POST", "/userinfo", body=json.dumps({"access_token": token}).encode(), headers={"Content-Type": "application/json"})
    assert as_json.status == 415
    assert op.call("GET", "/userinfo", headers=header).status == 200


def test_without_a_token_the_challenge_names_no_error(op: Provider) -> None:
    """RFC 6750 §3.1: a request without authentication information is told no more than how to authenticate."""
    answered = op.call("GET", "/userinfo")
    assert answered.status == 401
    assert answered.header("www-authenticate") == 'Bearer realm="motcua"'


@pytest.mark.parametrize("locale", ["vi", "en"])
def test_the_locale_is_the_one_that_the_account_is_spoken_to_in(op: Provider, portal: Portal, locale: str) -> None:
    """OIDC Core §5.1: the End-User's locale as a BCP 47 language tag, in both places that tell it."""
    tokens = bought(portal, Browser(op), op.person(locale=locale), scope="openid profile", claims='{"id_token": {"locale": null}}')
    assert portal.userinfo(tokens["access_token"]).json["locale"] == locale
    assert claims_of(tokens["id_token"])["locale"] == locale


@pytest.mark.parametrize("header", ["Basic eDp5", "moa_x", "DPoP x", "<script>"])
def test_another_scheme_is_told_how_to_authenticate_and_no_error(op: Provider, header: str) -> None:
    """RFC 6750 §3.1: an unsupported method is answered as none at all."""
    answered = op.call("GET", "/userinfo", headers={"Authorization": header})
    assert (answered.status, answered.header("www-authenticate"), answered.json) == (401, 'Bearer realm="motcua"', {})


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer a b", "Bearer \u00e9", "Bearer x, Bearer y", "Bearer <script>"])
def test_a_header_that_is_no_bearer_token_is_a_malformed_request(op: Provider, header: str) -> None:
    """RFC 6750 §3.1."""
    answered = op.call("GET", "/userinfo", headers={"Authorization": header})
    assert (answered.status, answered.json["error"]) == (400, "invalid_request")
    assert "<script>" not in answered.text


def test_a_token_of_another_shape_opens_nothing(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """Cut by 1 to 20, in other letters, padded; and the other values the portal holds. Then the control."""
    tokens = bought(portal, home, citizen, scope="openid profile offline_access")
    good = tokens["access_token"]
    bad = [good[:-n] for n in range(1, 21)] + [good.swapcase(), good.lower(), good + "=", good + "==", good + ".", good + "A", good[4:]]
    bad += [tokens["id_token"], tokens["refresh_token"], portal.secret, "moa_" + "A" * 43]
    for token in bad:
        answered = portal.userinfo(token)
        assert answered.status == 401, token
        assert 'error="invalid_token"' in (answered.header("www-authenticate") or "")
    assert portal.userinfo(good).status == 200


def test_a_client_s_own_token_tells_nothing_about_people(op: Provider) -> None:
    """Not meant for this resource."""
    machine = op.client(
        "machine", grant_types=["authorization_code", "refresh_token", "client_credentials"], scope="openid offline_access read:x"
    )
    token = machine.call("/token", {"grant_type": "client_credentials"}).json["access_token"]
    assert machine.userinfo(token).status == 401
    assert machine.introspect(token)["active"] is True


def test_a_token_lives_ten_minutes(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    token = bought(portal, home, citizen)["access_token"]
    later(op, minutes=9, seconds=59)
    assert portal.userinfo(token).status == 200
    later(op, seconds=1)
    assert portal.userinfo(token).status == 401
    assert portal.introspect(token) == {"active": False}

"""PKCE cannot be stripped, weakened or confused (RFC 7636, RFC 9700 §2.1.1, §4.8)."""

from __future__ import annotations

import pytest

from idp.kernel.digests import s256
from tests.support.asking import KeyedPortal, answer_of, signed_in
from tests.support.provider import Browser, Person, Portal, Provider


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def legacy(op: Provider) -> Portal:
    return op.client("legacy", profile="legacy", legacy_until="2027-06-01", token_endpoint_auth_method="client_secret_post")


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person()


@pytest.fixture(scope="module")
def home(op: Provider, portal: Portal, citizen: Person) -> Browser:
    return signed_in(op, portal, citizen)


@pytest.fixture(scope="module")
def legacy_home(op: Provider, legacy: Portal, citizen: Person) -> Browser:
    return signed_in(op, legacy, citizen)


STRIPPED = [
    {"code_challenge": None, "code_challenge_method": None},
    {"code_challenge": None},
    {"code_challenge": ""},
    {"code_challenge_method": None},
    {"code_challenge_method": ""},
    {"code_challenge_method": "plain"},
    {"code_challenge_method": "plain", "code_challenge": "v" * 43},
    {"code_challenge_method": "S512"},
]


@pytest.mark.parametrize("changes", STRIPPED, ids=str)
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none", "private_key_jwt"])
def test_no_client_begins_without_a_challenge(op: Provider, method: str, changes: dict[str, str | None]) -> None:
    """Confidential or public alike, at the authorization endpoint already."""
    name = "with-" + method.replace("_", "-")
    if method == "private_key_jwt":
        asking = Portal(op, name, "", {"redirect_uris": [f"https://{name}.example/cb"], "profile": "baseline"})
        if op.rooms.clients.find(name) is None:
            KeyedPortal.register(op, name)
    else:
        asking = op.client(name, token_endpoint_auth_method=method)
    assert op.call("GET", asking.ask(**changes)).parameters["error"] == "invalid_request"
    assert op.call("GET", asking.ask()).location.startswith("/i/")


def test_the_verifier_is_the_one_behind_the_challenge(portal: Portal, home: Browser) -> None:
    """RFC 7636 §4.6, with the edges of its alphabet and length; nothing like it is enough."""
    longest = "-._~" + "a" * 124
    for verifier in (portal.verifier, longest, "A0-._~" * 8):
        assert portal.redeem(answer_of(portal, home, code_challenge=s256(verifier))["code"], code_verifier=verifier).status == 200
    for wrong in (portal.verifier.upper(), portal.verifier + "v", s256(portal.verifier), longest[:-1], "v" * 42 + "w"):
        answered = portal.redeem(answer_of(portal, home)["code"], code_verifier=wrong)
        assert answered.json["error"] == "invalid_grant"
    for malformed in ("v" * 42, "v" * 129, "v" * 43 + " ", "v" * 42 + "+", ""):
        assert portal.redeem(answer_of(portal, home)["code"], code_verifier=malformed).json["error"] == "invalid_request"


def test_a_verifier_is_never_left_out(portal: Portal, home: Browser) -> None:
    """What was left out cost no code."""
    code = answer_of(portal, home)["code"]
    assert portal.redeem(code, code_verifier=None).json["error"] == "invalid_request"
    assert portal.redeem(code).status == 200


def test_a_legacy_client_may_do_without(legacy: Portal, legacy_home: Browser) -> None:
    """Design §5, profile `legacy`: the control beside the next three."""
    assert legacy.redeem(answer_of(legacy, legacy_home)["code"]).status == 200


def test_a_verifier_for_a_code_without_a_challenge_is_refused(legacy: Portal, legacy_home: Browser) -> None:
    """RFC 9700 §4.8.2: somebody stripped the challenge on the way."""
    answered = legacy.redeem(answer_of(legacy, legacy_home)["code"], code_verifier="v" * 43)
    assert answered.json["error"] == "invalid_grant"


def test_a_challenge_that_a_legacy_client_sent_is_demanded(legacy: Portal, legacy_home: Browser) -> None:
    """Once begun with PKCE it ends with PKCE."""
    with_pkce = {"code_challenge": s256("v" * 43), "code_challenge_method": "S256"}
    assert legacy.redeem(answer_of(legacy, legacy_home, **with_pkce)["code"]).json["error"] == "invalid_grant"
    assert legacy.redeem(answer_of(legacy, legacy_home, **with_pkce)["code"], code_verifier="w" * 43).json["error"] == "invalid_grant"
    assert legacy.redeem(answer_of(legacy, legacy_home, **with_pkce)["code"], code_verifier="v" * 43).status == 200


@pytest.mark.parametrize(
    "changes",
    [{"code_challenge": "x" * 43}, {"code_challenge": "x" * 43, "code_challenge_method": "plain"}, {"code_challenge_method": "S256"}],
    ids=str,
)
def test_a_legacy_client_has_no_weaker_pkce_either(op: Provider, legacy: Portal, changes: dict[str, str]) -> None:
    """Design §5: `plain` is never offered; RFC 7636 §4.3: a challenge without a method would be plain."""
    assert op.call("GET", legacy.ask(**changes)).parameters["error"] == "invalid_request"

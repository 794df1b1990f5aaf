"""Signed statements where they are read: client assertions and `id_token_hint` (RFC 8725)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.asking import KeyedPortal, answer_of, bought, part, signed_in
from tests.support.provider import Browser, Portal, Provider, claims_of

Forge = Callable[[dict[str, Any], str], str]


def unsigned(alg: object, signature: str = "") -> Forge:
    return lambda claims, _good: f"{part({'alg': alg, 'typ': 'JWT'})}.{part(claims)}.{signature}"


def with_bytes(signature: bytes) -> Forge:
    return lambda _claims, good: good.rpartition(".")[0] + "." + part(signature)


def by_hmac(alg: str, secret: bytes) -> Forge:
    def forge(claims: dict[str, Any], _good: str) -> str:
        signing_input = f"{part({'alg': alg, 'typ': 'JWT'})}.{part(claims)}"
        return signing_input + "." + part(hmac.new(secret, signing_input.encode(), hashlib.sha256).digest())

    return forge


def spelled(head: bytes, body: bytes | None = None) -> Forge:
    return lambda claims, good: f"{part(head)}.{part(body if body is not None else json.dumps(claims).encode())}.{good.rpartition('.')[2]}"


FORGERIES: dict[str, Forge] = {
    "alg none": unsigned("none"),
    "alg None": unsigned("None"),
    "alg NONE": unsigned("NONE"),
    "alg nOnE": unsigned("nOnE"),
    "alg none with a signature": unsigned("none", "AAAA"),
    "alg empty": unsigned(""),
    "alg null": unsigned(None),
    "alg a list": unsigned(["ES256"]),
    "alg an object": unsigned({"alg": "ES256"}),
    "alg a number": unsigned(256),
    "alg true": unsigned(True),
    "alg with a NUL": unsigned("ES256\0"),
    "alg unknown": unsigned("ES256K"),
    "no alg": lambda claims, _good: f"{part({'typ': 'JWT'})}.{part(claims)}.",
    "HS256 with nothing": by_hmac("HS256", b""),
    "HS256 with a public key": by_hmac("HS256", b"-----BEGIN PUBLIC KEY-----"),
    "a signature of zeros": with_bytes(bytes(64)),
    "r and s of one": with_bytes(b"\0" * 31 + b"\1" + b"\0" * 31 + b"\1"),
    "r and s as large as can be": with_bytes(b"\xff" * 64),
    "a signature in DER": with_bytes(bytes.fromhex("3006020101020101")),
    "a signature too short": with_bytes(b"\1" * 63),
    "a signature too long": with_bytes(b"\1" * 65),
    "a signature of another": with_bytes(bytes(range(64))),
    "no signature": lambda _claims, good: good.rpartition(".")[0] + ".",
    "two parts": lambda _claims, good: good.rpartition(".")[0],
    "four parts": lambda _claims, good: good + ".AAAA",
    "five parts (a JWE)": lambda _claims, _good: ".".join([part({"alg": "dir", "enc": "A256GCM"}), "", "AAAA", "AAAA", "AAAA"]),
    "a JWE that inflates": lambda _claims, _good: ".".join(
        [part({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}), "", "A" * 16, "A" * 4000, "A" * 22]
    ),
    "padding": lambda _claims, good: good + "=",
    "plus and slash": lambda _claims, good: good[:-4] + "+/+/",
    "a space": lambda _claims, good: good + " ",
    "a line break": lambda _claims, good: good + "\n",
    "JSON serialization": lambda claims, good: json.dumps({"payload": part(claims), "protected": good.partition(".")[0], "signature": "x"}),
    "another spelling of the last letter": lambda _claims, good: good[:-1] + chr(ord(good[-1]) + 1),
    "header no JSON": spelled(b"{"),
    "header a list": spelled(b"[]"),
    "header with alg twice": spelled(b'{"alg":"none","alg":"ES256"}'),
    "header in UTF-16": spelled('{"alg":"ES256"}'.encode("utf-16")),
    "header with a BOM": spelled(b'\xef\xbb\xbf{"alg":"ES256"}'),
    "header of bytes": spelled(b"\xff\xfe\xfd"),
    "claims no JSON": spelled(b'{"alg":"ES256"}', b"x"),
    "claims null": spelled(b'{"alg":"ES256"}', b"null"),
    "claims nested deeply": spelled(b'{"alg":"ES256"}', b'{"a":' * 1000 + b"1" + b"}" * 1000),
    "claims nested as lists": spelled(b'{"alg":"ES256"}', b"[" * 4000),
    "claims with a long number": spelled(b'{"alg":"ES256"}', b'{"exp":' + b"9" * 5000 + b"}"),
    "claims with half a surrogate": spelled(b'{"alg":"ES256"}', b'{"sub":"\\ud800"}'),
    "claims with a NUL": spelled(b'{"alg":"ES256"}', b'{"sub":"\\u0000"}'),
    "empty parts": lambda _claims, _good: "..",
    "nothing but a dot": lambda _claims, _good: ".",
    "letters beyond ASCII": lambda _claims, good: good.replace(".", "\u3002"),
}


@pytest.fixture(scope="module")
def keyed(op: Provider) -> KeyedPortal:
    return KeyedPortal.register(op, "keyed", scope="openid profile offline_access read:x")


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def home(op: Provider, portal: Portal) -> Browser:
    return signed_in(op, portal, op.person())


@pytest.fixture(scope="module")
def hint(op: Provider, portal: Portal, home: Browser) -> str:
    return str(portal.redeem(answer_of(portal, home)["code"]).json["id_token"])


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_client_assertion_is_refused(keyed: KeyedPortal, name: str) -> None:
    """The good one of the same claims is taken."""
    good = keyed.assertion()
    forged = FORGERIES[name](claims_of(good), good)
    assert forged != good
    answered = keyed.credentials(forged)
    assert (answered.status, answered.json["error"]) == (401, "invalid_client")
    assert keyed.credentials(good).status == 200


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_hint_is_refused(portal: Portal, home: Browser, hint: str, name: str) -> None:
    """Never a code for it; the good one gets one."""
    said = answer_of(portal, home, prompt="none", id_token_hint=FORGERIES[name](claims_of(hint), hint))
    assert said["error"] == "invalid_request"
    assert "code" in answer_of(portal, home, prompt="none", id_token_hint=hint)


def test_a_public_key_is_no_hmac_secret(op: Provider, portal: Portal, home: Browser, hint: str) -> None:
    """RFC 8725 §2.1: with whatever spelling of the published key somebody signs."""
    for key in op.call("GET", "/jwks").json["keys"]:
        for secret in (json.dumps(key).encode(), base64.urlsafe_b64decode((key.get("n") or key["x"]) + "=="), key["kid"].encode()):
            for alg in ("HS256", "HS384", "HS512", "RS256"):
                forged = by_hmac(alg, secret)(claims_of(hint), hint)
                assert answer_of(portal, home, prompt="none", id_token_hint=forged)["error"] == "invalid_request"


@pytest.mark.parametrize("size", [8193, 30_000, 60_000])
def test_what_is_too_long_is_refused_before_it_is_read(op: Provider, keyed: KeyedPortal, portal: Portal, size: int) -> None:
    """Within a quarter of a second of CPU, whatever part of it is long."""
    for forged in ("A" * size + ".A.A", "A." + "A" * size + ".A", "A.A." + "A" * size, "." * size, "A" * size):
        began = time.process_time()
        assert keyed.credentials(forged).status == 401
        assert time.process_time() - began < 0.25
    if size < 15_000:
        assert op.call("GET", portal.ask(id_token_hint="A" * size)).parameters["error"] == "invalid_request"
    assert keyed.call("/token", {"grant_type": "client_credentials", "x": "y" * 70_000}).status == 413


def test_a_hash_of_the_access_token_stands_in_the_id_token(op: Provider, portal: Portal, home: Browser) -> None:
    """OIDC Core §3.1.3.6: the left half of SHA-256, of this access token and no other."""
    tokens = portal.redeem(answer_of(portal, home)["code"]).json
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert claims_of(tokens["id_token"])["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()


def test_a_request_object_is_refused_unread(op: Provider, portal: Portal) -> None:
    """OIDC Core §6.1: signed, unsigned or encrypted: not supported, and nothing in it counts."""
    inside = {"redirect_uri": "https://evil.test/", "scope": "openid identity", "client_id": "portal"}
    for made in (unsigned("none")(inside, ""), part(inside), "x.y.z", FORGERIES["five parts (a JWE)"]({}, "")):
        answered = op.call("GET", portal.ask(request=made))
        assert answered.location.startswith("https://portal.example/cb?error=request_not_supported")


def test_a_token_of_one_kind_is_no_token_of_another(op: Provider, portal: Portal, keyed: KeyedPortal, home: Browser, hint: str) -> None:
    """RFC 8725 §3.11: an ID token is no assertion, an assertion is no hint, and neither is an access token."""
    person = op.person()
    assert keyed.credentials(hint).status == 401
    assert answer_of(portal, home, prompt="none", id_token_hint=keyed.assertion())["error"] == "invalid_request"
    assert portal.userinfo(hint).status == 401
    own = bought(portal, Browser(op), person)["id_token"]
    assert portal.introspect(own) == {"active": False}
    assert portal.refresh(own).json["error"] == "invalid_grant"

"""Nothing that a stranger sends as a signed statement or a key raises anything but a refusal, and nothing unsigned is accepted."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from idp.jose import Expected, PublicKeys, Signer, Unacceptable, UnfitKey, new_private_key, peek_claims, verify
from idp.jose.reading import read_object

NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
PRIVATE = new_private_key("ES256")
SIGNER = Signer(PRIVATE)
KEYS = PublicKeys.from_jwks({"keys": [PRIVATE.public]})
EXPECTED = Expected(
    algs=frozenset({"ES256", "RS256", "PS256", "EdDSA"}),
    issuer="portal",
    audience="https://id.example",
    now=NOW,
    types=frozenset({None, "JWT"}),
    required=frozenset({"iss", "aud", "exp"}),
    longest_life=timedelta(minutes=10),
)
GOOD = {"iss": "portal", "aud": "https://id.example", "exp": int(NOW.timestamp()) + 60}

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["ES256", "RS256", "none", "HS256", "EdDSA"]) | JSON,
        "kid": st.just(PRIVATE.kid) | JSON,
        "typ": st.sampled_from(["JWT", "at+jwt"]) | JSON,
        "crit": JSON,
        "jwk": st.just(PRIVATE.public) | JSON,
        "jku": st.text(max_size=20),
    },
)
CLAIMS = st.fixed_dictionaries({}, optional=dict.fromkeys(("iss", "sub", "aud", "exp", "nbf", "iat", "jti"), JSON)) | JSON


def part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def accepted(compact: str) -> dict[str, Any] | None:
    try:
        return verify(compact, KEYS, EXPECTED)
    except Unacceptable:
        return None


@given(st.text())
@example("\ud800.\ud800.\ud800")
@settings(deadline=None)
def test_no_text_is_accepted_or_breaks_the_reader(text: str) -> None:
    assert accepted(text) is None
    assert peek_claims(text) is None or isinstance(peek_claims(text), dict)


@given(st.binary(max_size=200), st.binary(max_size=400), st.binary(max_size=100))
@settings(deadline=None)
def test_no_three_parts_of_bytes_are_accepted(head: bytes, body: bytes, signature: bytes) -> None:
    assert accepted(f"{part(head)}.{part(body)}.{part(signature)}") is None


@given(HEADERS, CLAIMS, st.binary(max_size=80))
@settings(deadline=None)
def test_no_unsigned_statement_is_accepted_whatever_its_header_and_claims(header: Any, claims: Any, signature: bytes) -> None:
    """Also what is well formed up to the signature; peeking never raises."""
    compact = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}.{part(signature)}"
    assert accepted(compact) is None
    peek_claims(compact)


@given(HEADERS, CLAIMS)
@settings(max_examples=200, deadline=None)
def test_a_signed_statement_is_accepted_only_if_it_says_what_is_expected(header: Any, claims: Any) -> None:
    signing_input = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    signature = SIGNER._algorithm.sign(signing_input.encode(), SIGNER._key)
    said = accepted(f"{signing_input}.{part(signature)}")
    if said is not None:
        assert header["alg"] == "ES256"
        assert "crit" not in header
        assert (said["iss"], said["aud"]) == ("portal", "https://id.example")
        assert NOW.timestamp() - 10 < said["exp"] <= NOW.timestamp() + 610


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
@settings(deadline=None)
def test_any_changed_byte_of_a_good_statement_makes_it_unacceptable(position: int, change: int) -> None:
    """The signature covers header and claims; nothing else is listened to."""
    compact = SIGNER.sign(GOOD)
    assert accepted(compact) == GOOD
    index = position % len(compact)
    changed = compact[:index] + chr((ord(compact[index]) + change) % 256) + compact[index + 1 :]
    assert accepted(changed) is None


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8), JSON, max_size=5))
@settings(deadline=None)
def test_what_is_signed_comes_back_as_it_was(claims: dict[str, Any]) -> None:
    try:
        compact = SIGNER.sign(claims | GOOD)
    except (ValueError, UnicodeEncodeError):
        return  # not a finite number, or no text that UTF-8 can spell
    said = accepted(compact)
    if said is not None:
        assert {name: said[name] for name in GOOD} == GOOD
        assert said.keys() == claims.keys() | GOOD.keys()


@given(st.binary(max_size=2000))
@example(b"[" * 2000)
@example(b'{"a":' * 400)
@example(b'{"a":1e999}')
@settings(deadline=None)
def test_no_bytes_break_the_json_reader(raw: bytes) -> None:
    with contextlib.suppress(Unacceptable):
        assert isinstance(read_object(raw), dict)


MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "kty": st.sampled_from(["EC", "RSA", "OKP", "oct"]) | JSON,
        "crv": st.sampled_from(["P-256", "P-384", "Ed25519", "X25519", "secp256k1"]) | JSON,
        "use": st.sampled_from(["sig", "enc"]) | JSON,
        "alg": st.sampled_from(["ES256", "RS256", "EdDSA", "none"]) | JSON,
        "key_ops": JSON,
        "kid": JSON,
    }
    | dict.fromkeys(("x", "y", "n", "e", "k", "d"), st.binary(max_size=70).map(part) | JSON),
)


@given(st.lists(MEMBERS | JSON, max_size=3) | JSON)
@settings(max_examples=300, deadline=None)
def test_no_jwk_set_breaks_its_reader(members: Any) -> None:
    try:
        keys = PublicKeys.from_jwks({"keys": members})
    except UnfitKey:
        return
    published: Any = keys.to_jwks()["keys"]
    assert published
    assert all("d" not in key for key in published)

"""Group J of the attack list, on every path that reads a signed statement: refused, and never by another exception."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from idp.jose import Expected, PrivateJwk, PublicKeys, Signer, Unacceptable, new_private_key, verify
from idp.jose.reading import decode

NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
ISSUER = "https://id.example"
GOOD = {"iss": "portal", "sub": "portal", "aud": ISSUER, "exp": AT + 60, "iat": AT, "jti": "first"}


@pytest.fixture(scope="module")
def private() -> PrivateJwk:
    return new_private_key("ES256")


@pytest.fixture(scope="module")
def keys(private: PrivateJwk) -> PublicKeys:
    return PublicKeys.from_jwks({"keys": [private.public]})


def expected(**changed: object) -> Expected:
    given: dict[str, object] = {
        "algs": frozenset({"ES256"}),
        "issuer": "portal",
        "audience": ISSUER,
        "subject": "portal",
        "now": NOW,
        "types": frozenset({None, "JWT"}),
        "required": frozenset({"iss", "sub", "aud", "exp", "jti"}),
        "longest_life": timedelta(minutes=10),
    }
    return Expected(**(given | changed))  # type: ignore[arg-type]  # by name, as the case has it


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(private: PrivateJwk, header: object, claims: object) -> str:
    """Sign anything at all, however malformed."""
    signer = Signer(private)
    signing_input = f"{part(header)}.{part(claims)}"
    signature = signer._algorithm.sign(signing_input.encode(), signer._key)
    return f"{signing_input}.{part(signature)}"


def header(private: PrivateJwk, **changed: object) -> dict[str, object]:
    return {"alg": "ES256", "kid": private.kid, "typ": "JWT"} | changed


def refused(compact: str, keys: PublicKeys, wanted: Expected | None = None) -> str:
    with pytest.raises(Unacceptable) as refusal:
        verify(compact, keys, wanted or expected())
    return refusal.value.detail


def test_a_good_statement_is_accepted_and_returned(private: PrivateJwk, keys: PublicKeys) -> None:
    assert verify(Signer(private).sign(GOOD), keys, expected()) == GOOD


def test_the_signer_writes_members_sorted_without_spaces_under_a_header_of_alg_kid_and_typ(private: PrivateJwk) -> None:
    head, body, _ = Signer(private).sign({"b": 1, "a": "ế"}, typ="logout+jwt").split(".")
    assert decode(head).decode() == f'{{"alg":"ES256","kid":"{private.kid}","typ":"logout+jwt"}}'
    assert decode(body) == '{"a":"ế","b":1}'.encode()


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", " none", "none ", "HS256", "ES256K", "es256", None, 1, ["ES256"], {}])
def test_no_other_algorithm_is_accepted_in_any_spelling(private: PrivateJwk, keys: PublicKeys, alg: object) -> None:
    """RFC 8725 §3.1; CVE-2026-28802, CVE-2025-61152."""
    assert refused(signed(private, header(private, alg=alg), GOOD), keys) == "alg is not accepted here"
    assert refused(f"{part(header(private, alg=alg))}.{part(GOOD)}.", keys) == "alg is not accepted here"


def test_an_empty_signature_does_not_verify(private: PrivateJwk, keys: PublicKeys) -> None:
    assert refused(f"{part(header(private))}.{part(GOOD)}.", keys) == "the signature does not verify"


def test_a_public_key_is_never_a_shared_secret() -> None:
    """Algorithm confusion, RFC 8725 §2.1: a caller cannot even ask for HMAC."""
    with pytest.raises(ValueError, match="asymmetric"):
        expected(algs=frozenset({"ES256", "HS256"}))
    with pytest.raises(ValueError, match="asymmetric"):
        expected(algs=frozenset({"nOne"}))


def test_keys_that_a_header_brings_are_not_looked_at(private: PrivateJwk, keys: PublicKeys) -> None:
    """`jwk`, `jku`, `x5c`, `x5u` of the attacker beside an unknown and a known `kid`."""
    attacker = new_private_key("ES256")
    brought = {"jwk": attacker.public, "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x", "x5c": ["AAAA"]}
    assert refused(signed(attacker, header(attacker, **brought), GOOD), keys) == "no key fits alg and kid"
    assert refused(signed(attacker, header(private, **brought), GOOD), keys) == "the signature does not verify"
    assert verify(signed(private, header(private, **brought), GOOD), keys, expected()) == GOOD


@pytest.mark.parametrize("kid", ["../../dev/null", "' or 1=1--", "k" * 4000, "\x00"])
def test_a_strange_kid_finds_no_key(private: PrivateJwk, keys: PublicKeys, kid: str) -> None:
    assert refused(signed(private, header(private, kid=kid), GOOD), keys) in {
        "no key fits alg and kid",
        "a text holds NUL or half a surrogate pair",
    }


@pytest.mark.parametrize("kid", [1, ["a"], {}, True])
def test_a_kid_that_is_no_text_is_refused(private: PrivateJwk, keys: PublicKeys, kid: object) -> None:
    assert refused(signed(private, header(private, kid=kid), GOOD), keys) == "kid is not a text"


@pytest.mark.parametrize("extension", [{"crit": ["exp"]}, {"crit": []}, {"b64": False, "crit": ["b64"]}, {"b64": False}, {"zip": "DEF"}])
def test_an_extension_that_is_not_understood_is_refused(private: PrivateJwk, keys: PublicKeys, extension: dict[str, object]) -> None:
    """RFC 7515 §4.1.11."""
    assert "extension" in refused(signed(private, header(private, **extension), GOOD), keys)


def test_the_type_is_compared_as_a_media_type_and_others_are_refused(private: PrivateJwk, keys: PublicKeys) -> None:
    """RFC 7515 §4.1.9, RFC 8725 §3.11."""
    for good in ("jwt", "JWT", "application/jwt"):
        assert verify(signed(private, header(private, typ=good), GOOD), keys, expected()) == GOOD
    for bad in ("logout+jwt", "at+jwt", "", 1, ["JWT"]):
        assert "typ" in refused(signed(private, header(private, typ=bad), GOOD), keys)
    without = {"alg": "ES256", "kid": private.kid}
    assert verify(signed(private, without, GOOD), keys, expected()) == GOOD
    assert "typ" in refused(signed(private, without, GOOD), keys, expected(types=frozenset({"JWT"})))


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value", [b"NaN", b"1e400", b"-1e400", b"Infinity", b'"1780279260"', b"true", b"null", b"[]", b"-1", b"9" * 400, b"1e17"]
)
def test_an_instant_that_is_no_number_of_seconds_is_refused(private: PrivateJwk, keys: PublicKeys, name: str, value: bytes) -> None:
    claims = json.dumps({key: member for key, member in GOOD.items() if key != name}).encode()
    refused(signed(private, header(private), claims[:-1] + b',"' + name.encode() + b'":' + value + b"}"), keys)


def test_a_number_of_five_thousand_digits_is_refused(private: PrivateJwk, keys: PublicKeys) -> None:
    refused(signed(private, header(private), b'{"exp":' + b"9" * 5000 + b"}"), keys)


def test_a_fraction_of_a_second_is_accepted(private: PrivateJwk, keys: PublicKeys) -> None:
    """RFC 7519 §2, NumericDate."""
    claims = GOOD | {"exp": AT + 60.5, "iat": AT - 0.25}
    assert verify(signed(private, header(private), claims), keys, expected()) == claims


def test_times_are_judged_with_the_skew_and_not_beyond(private: PrivateJwk, keys: PublicKeys) -> None:
    """RFC 7519 §4.1.4 to 6; FAPI 2.0: nbf and iat 10 s ahead are accepted, more than 60 s ahead never."""
    signer = Signer(private)
    for good in ({"exp": AT - 9}, {"nbf": AT + 10}, {"iat": AT + 10}, {"exp": AT + 610}):
        assert verify(signer.sign(GOOD | good), keys, expected()) == GOOD | good
    assert refused(signer.sign(GOOD | {"exp": AT - 10}), keys) == "expired"
    assert refused(signer.sign(GOOD | {"nbf": AT + 11}), keys) == "nbf is ahead"
    assert refused(signer.sign(GOOD | {"iat": AT + 11}), keys) == "iat is ahead"
    assert refused(signer.sign(GOOD | {"exp": AT + 611}), keys) == "exp is too far ahead"
    with pytest.raises(ValueError, match="a minute"):
        expected(skew=timedelta(seconds=61))


def test_an_old_hint_is_accepted_only_where_that_is_asked_for(private: PrivateJwk, keys: PublicKeys) -> None:
    """OIDC RP-Initiated Logout §2: `id_token_hint` may have expired."""
    old = Signer(private).sign(GOOD | {"exp": AT - 86400})
    assert verify(old, keys, expected(allow_expired=True))["exp"] == AT - 86400
    assert refused(old, keys) == "expired"


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "jti"])
def test_a_required_claim_may_not_be_absent_or_null(private: PrivateJwk, keys: PublicKeys, name: str) -> None:
    signer = Signer(private)
    assert refused(signer.sign({key: value for key, value in GOOD.items() if key != name}), keys) == f"missing {name}"
    assert refused(signer.sign(GOOD | {name: None}), keys) == f"missing {name}"


@pytest.mark.parametrize("name", ["iss", "sub"])
@pytest.mark.parametrize("value", ["other", "PORTAL", "portal ", "", 1, ["portal"], {"portal": 1}])
def test_another_issuer_or_subject_is_refused(private: PrivateJwk, keys: PublicKeys, name: str, value: object) -> None:
    refused(Signer(private).sign(GOOD | {name: value}), keys)


@pytest.mark.parametrize(
    "aud", [[ISSUER], [ISSUER, "https://evil.example"], ISSUER + "/", ISSUER + "/token", "https://evil.example", [], {}, 1, ""]
)
def test_the_audience_is_exactly_this_text(private: PrivateJwk, keys: PublicKeys, aud: object) -> None:
    """Audience injection, CVE-2025-27370."""
    assert refused(Signer(private).sign(GOOD | {"aud": aud}), keys) == "aud is another"


def test_a_list_holding_the_audience_is_accepted_only_where_that_is_asked_for(private: PrivateJwk, keys: PublicKeys) -> None:
    listed = Signer(private).sign(GOOD | {"aud": ["portal-2", ISSUER]})
    assert verify(listed, keys, expected(audience_in_list=True))["aud"] == ["portal-2", ISSUER]
    assert refused(Signer(private).sign(GOOD | {"aud": [ISSUER, 1]}), keys, expected(audience_in_list=True)) == "aud is another"


def test_psychic_and_malformed_signatures_do_not_verify(private: PrivateJwk, keys: PublicKeys) -> None:
    """CVE-2022-21449: r and s of zero; also of the order, of a wrong length, and DER."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551.to_bytes(32, "big")
    start = f"{part(header(private))}.{part(GOOD)}."
    for raw in (bytes(64), order + order, bytes(32) + order, b"\xff" * 64, bytes(63), bytes(65), b"0\x06\x02\x01\x01\x02\x01\x01"):
        assert refused(start + part(raw), keys) == "the signature does not verify"


def test_a_changed_payload_header_or_signature_does_not_verify(private: PrivateJwk, keys: PublicKeys) -> None:
    head, body, signature = Signer(private).sign(GOOD).split(".")
    assert refused(f"{head}.{part(GOOD | {'jti': 'second'})}.{signature}", keys) == "the signature does not verify"
    assert refused(f"{part(header(private, typ='jwt'))}.{body}.{signature}", keys) == "the signature does not verify"


def test_a_member_that_stands_twice_is_refused_at_every_depth(private: PrivateJwk, keys: PublicKeys) -> None:
    """RFC 8725 §2.5: the last one would win."""
    twice = b'{"iss":"portal","iss":"portal","sub":"portal","aud":"https://id.example","exp":1780279260,"jti":"a"}'
    assert refused(signed(private, header(private), twice), keys) == "a member stands twice"
    nested = json.dumps(GOOD).encode()[:-1] + b',"x":{"a":[{"b":1,"b":2}]}}'
    assert refused(signed(private, header(private), nested), keys) == "a member stands twice"
    head = b'{"alg":"none","alg":"ES256","kid":"' + private.kid.encode() + b'"}'
    assert refused(signed(private, head, GOOD), keys) == "a member stands twice"


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe", b'{"iss":"\xff"}', "{}".encode("utf-16"), b"", b"[]", b'"text"', b"1", b"null", b"{", b'{"a":1}x']
)
def test_what_is_no_json_object_in_utf8_is_refused(private: PrivateJwk, keys: PublicKeys, raw: bytes) -> None:
    if raw:
        refused(signed(private, header(private), raw), keys)
        refused(signed(private, raw, GOOD), keys)
    else:
        refused(f"{part(header(private))}..{part(bytes(64))}", keys)


@pytest.mark.parametrize("raw", [b'{"jti":"\\ud800"}', b'{"jti":"a\\u0000"}', b'{"\\udfff":1}', b'{"a":[{"b":"\\udc00\\ud800"}]}'])
def test_texts_that_no_database_can_hold_are_refused(private: PrivateJwk, keys: PublicKeys, raw: bytes) -> None:
    assert refused(signed(private, header(private), raw), keys) == "a text holds NUL or half a surrogate pair"


def test_an_escaped_letter_is_no_reason_to_refuse(private: PrivateJwk, keys: PublicKeys) -> None:
    claims = json.dumps(GOOD | {"name": "Nguyễn 😀"}).encode()
    assert b"\\u" in claims
    assert verify(signed(private, header(private), claims), keys, expected())["name"] == "Nguyễn 😀"


def test_deep_nesting_is_refused_before_it_is_parsed(private: PrivateJwk, keys: PublicKeys) -> None:
    assert refused(signed(private, header(private), b"[" * 5000), keys) == "too many lists and objects"
    assert refused(signed(private, header(private), b'{"a":' * 600 + b"1" + b"}" * 600), keys) == "too many lists and objects"


def test_what_is_longer_than_8_kb_is_refused_unread(private: PrivateJwk, keys: PublicKeys) -> None:
    for compact in ("a" * 10_000_000, Signer(private).sign(GOOD | {"x": "y" * 8000})):
        assert refused(compact, keys) == "not a text, or too long"


@pytest.mark.parametrize(
    "compact", ["", ".", "..", "...", "a.b", "a.b.c.d", "a.b.c.d.e", "a b.c.d", "é.b.c", "\ud800.b.c", "a.b.c\n", "a=.b.c", "a+/.b.c"]
)
def test_what_is_not_three_parts_of_base64url_is_refused(keys: PublicKeys, compact: str) -> None:
    refused(compact, keys)


def test_a_second_spelling_of_the_same_bytes_is_refused(private: PrivateJwk, keys: PublicKeys) -> None:
    head, body, signature = Signer(private).sign(GOOD).split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(signature[-1]) ^ 1]
    assert base64.urlsafe_b64decode(signature + "==") == base64.urlsafe_b64decode(signature[:-1] + other + "==")
    assert "spelling" in refused(f"{head}.{body}.{signature[:-1]}{other}", keys)


def test_without_kid_every_fitting_key_is_tried_and_with_one_only_that() -> None:
    first, second, rsa = new_private_key("ES256"), new_private_key("ES256"), new_private_key("RS256")
    keys = PublicKeys.from_jwks({"keys": [rsa.public, first.public, second.public]})
    bare = {"alg": "ES256"}
    assert verify(signed(second, bare, GOOD), keys, expected()) == GOOD
    assert verify(signed(second, {**bare, "kid": second.kid}, GOOD), keys, expected()) == GOOD
    assert refused(signed(second, {**bare, "kid": first.kid}, GOOD), keys) == "the signature does not verify"
    assert refused(signed(second, {**bare, "kid": rsa.kid}, GOOD), keys) == "no key fits alg and kid"
    assert refused(signed(new_private_key("ES256"), bare, GOOD), keys) == "the signature does not verify"


def test_a_key_registered_without_kid_is_tried_for_any_kid(private: PrivateJwk) -> None:
    nameless = {name: value for name, value in private.public.items() if name != "kid"}
    keys = PublicKeys.from_jwks({"keys": [nameless]})
    assert verify(signed(private, header(private, kid="whatever"), GOOD), keys, expected()) == GOOD


def test_rs256_verifies_with_an_rsa_key_and_only_where_it_is_expected() -> None:
    rsa = new_private_key("RS256")
    keys = PublicKeys.from_jwks({"keys": [rsa.public]})
    compact = Signer(rsa).sign(GOOD)
    assert verify(compact, keys, expected(algs=frozenset({"RS256"}))) == GOOD
    assert refused(compact, keys) == "alg is not accepted here"

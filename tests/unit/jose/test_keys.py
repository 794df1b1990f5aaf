"""Which keys are accepted, and that a private one never shows itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.jwk import ECKey, OKPKey

from idp.jose import PrivateJwk, PublicKeys, Signer, UnfitKey, half_hash, new_private_key
from idp.kernel.digests import base64url


def ec_key(curve: ec.EllipticCurve | None = None) -> dict[str, Any]:
    return dict(ECKey.import_key(ec.generate_private_key(curve or ec.SECP256R1())).as_dict(private=False))


def number(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def rsa_key(size: int) -> dict[str, Any]:
    numbers = rsa.generate_private_key(65537, size).public_key().public_numbers()
    return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}


def okp_key() -> dict[str, Any]:
    return dict(OKPKey.import_key(ed25519.Ed25519PrivateKey.generate()).as_dict(private=False))


def why(*members: object) -> str:
    with pytest.raises(UnfitKey) as refusal:
        PublicKeys.from_jwks({"keys": list(members)})
    return refusal.value.detail


def test_keys_of_every_accepted_kind_are_registered() -> None:
    """RFC 7517 §5, RFC 8037."""
    members = [ec_key(), ec_key(ec.SECP384R1()), ec_key(ec.SECP521R1()), okp_key(), rsa_key(2048)]
    keys = PublicKeys.from_jwks({"keys": members})
    assert [len(keys.fitting(alg, None)) for alg in ("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "RS256", "PS256")] == [1] * 7
    assert [len(keys.fitting(alg, None)) for alg in ("none", "HS256", "RS1", "ES256K", "Ed448")] == [0] * 5


def test_a_private_or_symmetric_key_is_refused() -> None:
    """Only public members are ever registered or published."""
    private = new_private_key("ES256")
    assert "private key" in why(json.loads(private.to_json()))
    assert "private key" in why(ec_key() | {"d": ""})
    assert "symmetric" in why({"kty": "oct", "k": "c2VjcmV0"})


def test_rsa_keys_below_2048_bits_are_refused_and_ours_have_3072() -> None:
    """ASVS 11.2.3."""
    assert "1024 bits" in why(rsa_key(1024))
    PublicKeys.from_jwks({"keys": [rsa_key(2048)]})
    with pytest.raises(UnfitKey, match="2048 bits"):
        PublicKeys.from_jwks({"keys": [rsa_key(2048)]}, smallest_rsa=3072)
    assert PublicKeys.from_jwks({"keys": [new_private_key("RS256").public]}, smallest_rsa=3072).kids


def test_an_rsa_modulus_of_close_primes_or_an_exponent_of_one_or_three_is_refused() -> None:
    """Two primes near each other fall to Fermat's method."""
    base = rsa.generate_private_key(65537, 2048).private_numbers().p
    close = base * (base + 2)  # whether the second is prime does not matter for the method
    assert "easily factored" in why({"kty": "RSA", "n": number(close), "e": "AQAB"})
    good = rsa_key(2048)
    assert "exponent" in why(good | {"e": number(3)})
    assert why(good | {"e": number(1)})
    assert "16384 bits" in why({"kty": "RSA", "n": number((1 << 16383) + 1), "e": "AQAB"})


def test_a_point_that_is_not_on_the_curve_is_refused() -> None:
    """Invalid curve."""
    good = ec_key()
    assert "no point" in why(good | {"y": good["x"]})
    assert "no point" in why(good | {"x": "AA", "y": "AA"})


@pytest.mark.parametrize(
    "encoded",
    [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ],
)
def test_a_point_of_small_order_on_ed25519_is_refused(encoded: str) -> None:
    assert "full order" in why({"kty": "OKP", "crv": "Ed25519", "x": base64url(bytes.fromhex(encoded))})


@pytest.mark.parametrize("curve", ["P-192", "secp256k1", "Ed448", "X25519", "p-256", "", 1, None, ["P-256"]])
def test_a_curve_that_is_not_accepted_is_refused(curve: object) -> None:
    assert why(ec_key() | {"crv": curve})
    assert why(okp_key() | {"crv": curve})


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"use": "enc"}, "use"),
        ({"use": 1}, "use"),
        ({"key_ops": ["sign"]}, "key_ops"),
        ({"key_ops": ["verify", "encrypt"]}, "key_ops"),
        ({"alg": "RS256"}, "alg"),
        ({"alg": "none"}, "alg"),
        ({"alg": 1}, "alg"),
        ({"kid": ""}, "kid"),
        ({"kid": 1}, "kid"),
        ({"kid": "k" * 257}, "kid"),
        ({"kty": "ec"}, "kty"),
        ({"kty": None}, "kty"),
        ({"x": 1}, "needs"),
        ({"x": "not base64url!"}, "no point"),
        ({"x": "A" * 100_000}, "no point"),
        ({"y": ""}, "no point"),
    ],
)
def test_a_malformed_or_misused_key_is_refused(changed: dict[str, object], reason: str) -> None:
    assert reason in why(ec_key() | changed)


@pytest.mark.parametrize(
    "jwks", [{}, {"keys": None}, {"keys": []}, {"keys": {}}, {"keys": "x"}, [], "text", {"keys": [1]}, {"keys": [[]]}, {"keys": [None]}]
)
def test_what_is_no_jwk_set_is_refused(jwks: Any) -> None:
    with pytest.raises(UnfitKey):
        PublicKeys.from_jwks(jwks)


def test_two_keys_of_one_kid_and_more_than_sixteen_keys_are_refused() -> None:
    assert why(ec_key() | {"kid": "a"}, ec_key() | {"kid": "a"}) == "two keys have the same kid"
    PublicKeys.from_jwks({"keys": [ec_key() | {"kid": "a"}, ec_key() | {"kid": "b"}, ec_key(), ec_key()]})
    assert "more than 16" in why(*[ec_key()] * 17)


def test_an_alg_member_narrows_what_a_key_is_used_with() -> None:
    keys = PublicKeys.from_jwks({"keys": [rsa_key(2048) | {"alg": "PS256"}]})
    assert len(keys.fitting("PS256", None)) == 1
    assert keys.fitting("RS256", None) == ()


def test_a_private_key_survives_its_json_and_its_kid_is_its_thumbprint() -> None:
    """RFC 7638."""
    for alg in ("ES256", "RS256"):
        made = new_private_key(alg)
        read = PrivateJwk.from_json(made.to_json())
        assert (read.kid, read.alg, read.public) == (made.kid, alg, made.public)
        assert read.key.thumbprint() == made.kid
        assert made.public.keys() <= {"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}


def test_a_stored_key_that_is_not_the_one_its_kid_names_is_refused() -> None:
    members, other = (json.loads(new_private_key("ES256").to_json()) for _ in range(2))
    wrongs: list[Any] = [members | {"kid": other["kid"]}, members | {"alg": "RS256"}, members | {"d": "AA"}, {}, []]
    for wrong in wrongs:
        with pytest.raises(UnfitKey) as refusal:
            PrivateJwk.from_json(json.dumps(wrong).encode())
        assert members["d"] not in repr(refusal.value)


def test_a_private_key_does_not_show_itself() -> None:
    """No private key in logs."""
    made = new_private_key("ES256")
    secret = json.loads(made.to_json())["d"]
    for shown in (repr(made), str(made), repr(Signer(made)), f"{made.public}", repr(vars(Signer(made)))):
        assert secret not in shown


def test_the_half_hash_is_that_of_the_specification() -> None:
    """OIDC Core §3.1.3.6; the pair is that of its appendix A.3 (RS256) for the access token there."""
    assert half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "RS256") == "77QmUPtjPfzWtF2AnpK9RQ"
    assert half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "ES256") == "77QmUPtjPfzWtF2AnpK9RQ"
    assert len(half_hash("x", "ES384")) == 32
    assert len(half_hash("x", "Ed25519")) == len(half_hash("x", "ES512")) == 43


def test_the_id_of_a_fresh_key_is_never_taken_for_an_option() -> None:
    """A thumbprint is base64url: of 1,500 drawn once, 23 would begin with a hyphen."""
    assert not [kid for kid in (new_private_key("ES256").kid for _ in range(1500)) if kid.startswith("-")]

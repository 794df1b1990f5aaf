from __future__ import annotations

import time
from collections import deque

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey, KeySet

from tests.bench.id_tokens import WrongIdTokenError, verify
from tests.bench.operations import People, SampledIdToken
from tests.bench.provider import read_client, read_people
from tests.bench.subject import Person, SubjectFailedError

KEY = ECKey.generate_key("P-256", {"kid": "k1", "use": "sig", "alg": "ES256"})


def sampled(changes: dict[str, object] | None = None, key: ECKey = KEY) -> SampledIdToken:
    now = int(time.time())
    claims = {"iss": "http://op.test", "aud": "bench", "sub": "s", "nonce": "n", "iat": now, "exp": now + 60} | (changes or {})
    return SampledIdToken(jwt.encode({"alg": "ES256", "kid": "k1"}, claims, key), "n", "s")


def test_a_good_id_token_verifies() -> None:
    verify([sampled()], KeySet([KEY]), issuer="http://op.test", audience="bench")


@pytest.mark.parametrize("change", ["iss", "aud", "sub", "nonce"])
def test_an_id_token_for_somebody_else_is_refused(change: str) -> None:
    """OpenID Connect Core 1.0 section 3.1.3.7."""
    with pytest.raises(WrongIdTokenError, match=change):
        verify([sampled({change: "other"})], KeySet([KEY]), issuer="http://op.test", audience="bench")


def test_an_id_token_signed_with_another_key_is_refused() -> None:
    forged = sampled(key=ECKey.generate_key("P-256", {"kid": "k1"}))
    with pytest.raises(BadSignatureError):
        verify([forged], KeySet([KEY]), issuer="http://op.test", audience="bench")


def test_nobody_has_to_give_two_codes_of_one_step() -> None:
    """RFC 6238 section 5.2: a code is good once."""
    people = People(deque(Person(name, "p", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP") for name in "abc"))
    assert people.seconds_until_free(3) == 0.0
    assert [people.take().username for _ in range(2)] == ["a", "b"]
    people.code_of(Person("a", "p", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"))
    assert people.seconds_until_free(1) == 0.0
    assert 0.0 < people.seconds_until_free(2) <= 30.0


def test_the_secret_that_an_import_shows_is_found_wherever_it_stands() -> None:
    client = read_client(
        {"changes": [{"client_id": "other", "client_secret": "x"}, {"client_id": "bench", "client_secret": "s"}]}
    )
    assert (client.client_id, client.secret) == ("bench", "s")


def test_an_import_that_shows_no_secret_is_refused() -> None:
    with pytest.raises(SubjectFailedError, match="no secret"):
        read_client([{"client_id": "bench"}])


def test_people_without_a_second_factor_are_left_out() -> None:
    complete = {"username": "9", "password": "p", "totp_secret": "T"}
    assert read_people({"accounts": [complete, {"username": "8", "password": "p", "totp_secret": None}]}) == (
        Person("9", "p", "T"),
    )

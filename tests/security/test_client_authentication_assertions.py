"""`private_key_jwt` (RFC 7523 §3, OIDC Core §9): for this issuer alone, once, and soon."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from joserfc.jws import JWSRegistry

from tests.support.asking import ASSERTION_TYPE, ISSUER, KeyedPortal, later, new_key, part, seconds_now, statement
from tests.support.provider import Provider

SCOPE = "openid profile offline_access read:x"


@pytest.fixture(scope="module")
def keyed(op: Provider) -> KeyedPortal:
    return KeyedPortal.register(op, "keyed", scope=SCOPE)


@pytest.fixture(scope="module")
def other(op: Provider) -> KeyedPortal:
    return KeyedPortal.register(op, "other", scope=SCOPE)


def require_refused(keyed: KeyedPortal, assertion: str) -> None:
    answered = keyed.credentials(assertion)
    assert answered.status == 401, answered.text
    assert answered.json == {"error": "invalid_client", "error_description": "Client authentication failed."}


def test_a_good_assertion_is_taken_once(keyed: KeyedPortal) -> None:
    assertion = keyed.assertion()
    assert keyed.credentials(assertion).status == 200
    require_refused(keyed, assertion)
    assert keyed.credentials().status == 200


def test_an_assertion_used_at_one_endpoint_is_used_at_all(keyed: KeyedPortal) -> None:
    """The twin endpoints share the memory of what was used."""
    for first, second in (("/introspect", "/revoke"), ("/revoke", "/token"), ("/token", "/introspect")):
        assertion = keyed.assertion()
        form = {"token": "x", "grant_type": "client_credentials"}
        assert keyed.call(first, form, assertion).status == 200
        assert keyed.call(second, form, assertion).status == 401


@pytest.mark.parametrize(
    "audience",
    [
        [ISSUER],
        [ISSUER, "https://evil.test"],
        ["https://evil.test", ISSUER],
        ISSUER + "/",
        ISSUER + "/token",
        ISSUER + "/introspect",
        "https://localhost:8000",
        "http://LOCALHOST:8000",
        "http://127.0.0.1:8000",
        "https://evil.test",
        "keyed",
        "",
        None,
        7,
        {},
        True,
    ],
    ids=str,
)
def test_the_audience_is_the_issuer_as_one_text(keyed: KeyedPortal, audience: object) -> None:
    """Neither a list nor an endpoint nor another spelling; a statement meant for somebody else is not forwarded here."""
    require_refused(keyed, keyed.assertion(aud=audience))
    assert keyed.credentials(keyed.assertion(aud=ISSUER)).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": None},
        {"sub": None},
        {"aud": None},
        {"exp": None},
        {"jti": None},
        {"iss": "other"},
        {"sub": "other"},
        {"iss": "other", "sub": "other"},
        {"iss": ["keyed"]},
        {"sub": ["keyed"]},
        {"sub": {"a": 1}},
        {"sub": 7},
        {"sub": "nobody"},
        {"iss": "KEYED"},
        {"jti": ""},
        {"jti": 7},
        {"jti": ["x"]},
    ],
    ids=str,
)
def test_every_claim_is_needed_and_right(keyed: KeyedPortal, changes: dict[str, Any]) -> None:
    """RFC 7523 §3."""
    require_refused(keyed, keyed.assertion(**changes))


@pytest.mark.parametrize(
    ("name", "by", "is_good"),
    [
        ("exp", 1, True),
        ("exp", -9, True),
        ("exp", -10, False),
        ("exp", -3600, False),
        ("exp", 600, True),
        ("exp", 611, False),
        ("exp", 10**9, False),
        ("nbf", 8, True),
        ("nbf", 11, False),
        ("nbf", -(10**6), True),
        ("iat", 8, True),
        ("iat", 11, False),
        ("iat", -300, True),
    ],
)
def test_instants_are_judged_with_ten_seconds_of_grace(op: Provider, keyed: KeyedPortal, name: str, by: int, is_good: bool) -> None:
    """FAPI 2.0: eight seconds ahead are a clock, eleven are not; far ahead would have to be remembered for ever."""
    changes: dict[str, Any] = {name: seconds_now(op) + by}
    answered = keyed.credentials(keyed.assertion(**changes))
    assert (answered.status == 200) is is_good


@pytest.mark.parametrize(
    "text", ['"1780280000"', "true", "[1780280000]", "{}", "-1", "NaN", "Infinity", "1e400", "9" * 400, "253402300800", "null"]
)
def test_what_is_no_instant_is_refused(op: Provider, keyed: KeyedPortal, text: str) -> None:
    """Texts, NaN, numbers beyond all numbers; signed rightly all the same."""
    claims = json.dumps(keyed.claims(exp=424242)).replace("424242", text)
    signing_input = part({"alg": "ES256", "kid": keyed.kid}) + "." + part(claims.encode())
    algorithm: Any = JWSRegistry.algorithms["ES256"]
    require_refused(keyed, signing_input + "." + part(algorithm.sign(signing_input.encode(), keyed.key)))


def test_a_jti_of_a_bad_statement_does_not_block_the_good_one(op: Provider, keyed: KeyedPortal) -> None:
    """Poisoned by a stranger's signature, a wrong audience, an expired statement; the owner still gets in, once."""
    jti = uuid4().hex
    require_refused(keyed, statement(keyed.claims(jti=jti), new_key("ES256"), {"alg": "ES256", "kid": keyed.kid}))
    require_refused(keyed, keyed.assertion(jti=jti, aud="https://evil.test"))
    require_refused(keyed, keyed.assertion(jti=jti, exp=seconds_now(op) - 60))
    assert keyed.credentials(keyed.assertion(jti=jti)).status == 200
    require_refused(keyed, keyed.assertion(jti=jti))


def test_each_client_has_its_own_jtis(keyed: KeyedPortal, other: KeyedPortal) -> None:
    """A neighbour's choice blocks nobody."""
    jti = uuid4().hex
    assert keyed.credentials(keyed.assertion(jti=jti)).status == 200
    assert other.credentials(other.assertion(jti=jti)).status == 200


def test_a_jti_is_remembered_for_as_long_as_its_statement_is_good(op: Provider, keyed: KeyedPortal) -> None:
    assertion = keyed.assertion(exp=seconds_now(op) + 600)
    assert keyed.credentials(assertion).status == 200
    later(op, seconds=605)
    require_refused(keyed, assertion)


@pytest.mark.parametrize("jti", ["x" * 5000, "' OR 1=1 --", "\u0130\u202e", "\n", "0"])
def test_any_text_is_a_jti(keyed: KeyedPortal, jti: str) -> None:
    assert keyed.credentials(keyed.assertion(jti=jti)).status == 200
    require_refused(keyed, keyed.assertion(jti=jti))


def test_a_statement_of_one_client_is_not_another_s(keyed: KeyedPortal, other: KeyedPortal) -> None:
    """Signed by B in A's name, signed by A in B's, or with a `client_id` beside it that is another's."""
    require_refused(keyed, statement(keyed.claims(), other.key, {"alg": "ES256", "kid": other.kid}))
    require_refused(keyed, statement(other.claims(), keyed.key, {"alg": "ES256", "kid": keyed.kid}))
    good = keyed.assertion()
    assert keyed.call("/token", {"grant_type": "client_credentials", "client_id": "other"}, good).status == 401
    assert keyed.call("/token", {"grant_type": "client_credentials", "client_id": "keyed"}, good).status == 200


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "../../dev/null"},
        {"kid": "' or 1=1--"},
        {"kid": "k" * 5000},
        {"kid": ["of-the-client"]},
        {"kid": 7},
        {"kid": {}},
        {"kid": "another"},
        {"typ": "at+jwt"},
        {"typ": "logout+jwt"},
        {"typ": ["JWT"]},
        {"crit": ["exp"], "exp": 1},
        {"b64": False, "crit": ["b64"]},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
    ],
    ids=lambda header: json.dumps(header)[:40],
)
def test_a_header_that_asks_for_anything_else_is_refused(keyed: KeyedPortal, header: dict[str, Any]) -> None:
    """`kid` is looked up among the client's own, and nowhere else."""
    require_refused(keyed, keyed.assertion(header=header))


@pytest.mark.parametrize("header", [{"kid": None}, {"typ": "JWT"}, {"typ": "client-authentication+jwt"}, {"typ": None}])
def test_a_header_may_leave_out_what_is_not_needed(keyed: KeyedPortal, header: dict[str, Any]) -> None:
    """RFC 7515 §4.1.4: the control beside the headers above."""
    assert keyed.credentials(keyed.assertion(header=header)).status == 200


def test_keys_in_the_header_are_never_looked_at(keyed: KeyedPortal) -> None:
    """ASVS 9.1.3: neither embedded ones, nor addresses of them; nothing is fetched."""
    stranger = new_key("ES256")
    jwk = stranger.as_dict(private=False)
    for header in (
        {"jwk": jwk},
        {"jwk": jwk, "kid": None},
        {"jku": "http://127.0.0.1:9/jwks"},
        {"x5u": "http://127.0.0.1:9/x5u"},
        {"x5c": ["MIIB"]},
        {"jwk": jwk, "jku": "http://127.0.0.1:9/jwks", "kid": "unknown"},
    ):
        head = {name: value for name, value in ({"alg": "ES256", "kid": keyed.kid} | header).items() if value is not None}
        require_refused(keyed, statement(keyed.claims(), stranger, head))


def test_only_the_registered_algorithm_is_accepted(op: Provider) -> None:
    """OIDC Registration §2, `token_endpoint_auth_signing_alg`: one key, two algorithms that fit it, one that was registered."""
    strict = KeyedPortal.register(op, "strict", "PS256", scope=SCOPE, token_endpoint_auth_signing_alg="PS256")
    assert strict.credentials().status == 200
    require_refused(strict, strict.assertion(header={"alg": "RS256"}))
    lenient = KeyedPortal.register(op, "lenient", "PS256", scope=SCOPE)
    assert lenient.credentials(lenient.assertion(header={"alg": "RS256"})).status == 200


@pytest.mark.parametrize(
    "form",
    [
        {"client_assertion_type": ASSERTION_TYPE},
        {"client_assertion": "x"},
        {"client_assertion_type": ASSERTION_TYPE, "client_assertion": ""},
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "client_assertion": "x"},
        {"client_assertion_type": ASSERTION_TYPE.upper(), "client_assertion": "x"},
        {"client_assertion_type": ASSERTION_TYPE, "client_assertion": "x", "client_id": "keyed"},
        {"client_assertion_type": ASSERTION_TYPE, "client_assertion": "x.y.z", "client_id": "keyed"},
        {"client_assertion_type": ASSERTION_TYPE, "client_assertion": "x" * 60_000},
    ],
    ids=str,
)
def test_half_an_assertion_is_none(op: Provider, keyed: KeyedPortal, form: dict[str, str]) -> None:
    answered = op.call("POST", "/token", {"grant_type": "client_credentials"} | form)
    assert (answered.status, answered.json["error"]) == (401, "invalid_client")

"""Any form at the endpoints that clients call: an error of the specification, and nothing is bought (RFC 6749 §5.2, RFC 7662, RFC 7009)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.asking import ASSERTION_TYPE, KeyedPortal, bought, part
from tests.support.provider import Answered, Browser, Portal, Provider

BOUNDED = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
ERRORS = {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES: dict[str, list[str]] = {
    "grant_type": ["authorization_code", "refresh_token", "client_credentials", "password", ""],
    "code": ["x", "moc_" + "x" * 43, ""],
    "redirect_uri": ["https://portal.example/cb", "https://evil.test/", ""],
    "code_verifier": ["v" * 43, "v", ""],
    "refresh_token": ["x", "mor_" + "x" * 43, ""],
    "scope": ["openid", "openid admin", " ", ""],
    "client_id": ["portal", "public", "keyed", "nobody", ""],
    "client_secret": ["x", ""],
    "client_assertion": ["x", "a.b.c", ""],
    "client_assertion_type": [ASSERTION_TYPE, "x", ""],
    "token": ["x", "moa_" + "x" * 43, ""],
    "token_type_hint": ["access_token", "x", ""],
}
PAIRS = st.sampled_from(list(VALUES)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(VALUES[name]) | TEXT))
FORMS = st.lists(PAIRS, max_size=8) | st.lists(st.tuples(TEXT, TEXT), max_size=4)
SEGMENT = st.binary(max_size=60).map(part) | st.sampled_from(
    [
        part({"alg": "none"}),
        part({"alg": "ES256", "kid": "of-the-client"}),
        part({"iss": "keyed", "sub": "keyed", "aud": "http://localhost:8000", "exp": 1780280400, "jti": "x"}),
        part({"sub": ["keyed"]}),
        part({"sub": "portal"}),
        "",
    ]
)
LIKE_JWT = st.lists(SEGMENT, min_size=1, max_size=5).map(".".join) | TEXT


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def public(op: Provider) -> Portal:
    return op.client("public", token_endpoint_auth_method="none")


@pytest.fixture(scope="module")
def keyed(op: Provider) -> KeyedPortal:
    return KeyedPortal.register(op, "keyed", scope="openid offline_access read:x")


def require_refused(answered: Answered) -> None:
    """An error of RFC 6749 §5.2 in JSON, stored by nobody, in ASCII."""
    assert answered.status in {400, 401}, answered.text[:300]
    assert answered.header("content-type") == "application/json"
    assert answered.json["error"] in ERRORS | {"invalid_request"}
    assert answered.json["error_description"].isascii()
    assert (answered.status == 401) == (answered.json["error"] == "invalid_client")


@BOUNDED
@given(form=FORMS, header=st.none() | TEXT)
def test_no_form_of_a_stranger_buys_anything(
    op: Provider, portal: Portal, public: Portal, keyed: KeyedPortal, form: list[tuple[str, str]], header: str | None
) -> None:
    """Whoever has neither code nor secret gets an error at every endpoint; of a revocation by a public client, an empty 200."""
    headers = {"Authorization": header} if header is not None and "\n" not in header else {}
    for path in ("/token", "/introspect", "/revoke"):
        answered = op.call("POST", path, form, headers=headers)
        if path == "/revoke" and answered.status == 200:
            assert dict(form)["client_id"] == "public"
            assert answered.body == b""
        else:
            require_refused(answered)


@BOUNDED
@given(form=FORMS)
def test_no_made_up_value_buys_anything_for_a_client_that_authenticated(op: Provider, portal: Portal, form: list[tuple[str, str]]) -> None:
    headers = {"Authorization": portal.authorization}
    require_refused(op.call("POST", "/token", form, headers=headers))
    introspected = op.call("POST", "/introspect", form, headers=headers)
    if introspected.status == 200:
        assert introspected.json == {"active": False}
    else:
        require_refused(introspected)


@BOUNDED
@given(assertion=LIKE_JWT, path=st.sampled_from(["/token", "/introspect", "/revoke"]))
def test_nothing_that_looks_like_an_assertion_is_one(op: Provider, keyed: KeyedPortal, assertion: str, path: str) -> None:
    """401 for whatever was not signed by the client's key."""
    form = {"grant_type": "client_credentials", "token": "x", "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    require_refused(op.call("POST", path, form))


@BOUNDED
@given(st.text(st.characters(max_codepoint=255, exclude_characters="\0\r\n"), max_size=80))
def test_no_header_is_an_access_token(op: Provider, header: str) -> None:
    """RFC 6750 §3: userinfo answers 400 or 401, in JSON."""
    for value in (header, "Bearer " + header):
        answered = op.call("GET", "/userinfo", headers={"Authorization": value})
        assert answered.status in {400, 401}


@settings(BOUNDED, max_examples=150)
@given(cut=st.integers(1, 46), letter=st.sampled_from("Aa0-_.=~/ +%"), place=st.integers(0, 46))
def test_no_neighbour_of_a_good_token_is_good(
    op: Provider, neighbours: dict[str, str], portal: Portal, cut: int, letter: str, place: int
) -> None:
    """Cut, or with one letter changed; the good ones stay good."""
    for kind, token in neighbours.items():
        for wrong in (token[:-cut], token[:place] + letter + token[place + 1 :], token[:place] + letter + token[place:]):
            if wrong == token:
                continue
            if kind == "access_token" and wrong.lstrip(" ") != token:  # RFC 6750 §2.1: spaces before it belong to the header
                assert portal.userinfo(wrong).status in {400, 401}
            assert portal.call("/introspect", {"token": wrong or "x"}).json == {"active": False}
    assert portal.introspect(neighbours["access_token"])["active"] is True


@pytest.fixture(scope="module")
def neighbours(op: Provider, portal: Portal) -> dict[str, str]:
    tokens = bought(portal, Browser(op), op.person(), scope="openid offline_access")
    return {name: tokens[name] for name in ("access_token", "refresh_token")}

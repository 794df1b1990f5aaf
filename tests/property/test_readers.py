# ruff: noqa: PT017 - either outcome is lawful, and each is judged
"""Whatever somebody sends is read, or refused in the one way its reader has (design §4, the door)."""

from __future__ import annotations

import json
import string
from base64 import b64encode
from datetime import UTC, datetime
from urllib.parse import urlencode
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from idp.assurance.levels import LevelClass
from idp.clients.model import Client
from idp.jose import depth_of
from idp.oidc.claims import ATTRIBUTE_CLAIMS, ClaimsRequest, read_claims_request
from idp.oidc.engine.authentication import presented_method, read_basic
from idp.oidc.errors import AnswerWithError, InvalidClient, NotRedirectable, TokenError
from idp.oidc.request import AuthorizationRequest, Unreadable, prove_client, read_authorization_request
from idp.oidc.respond import answer
from idp.web.door import Request, read_pairs
from idp.web.door import Unreadable as UnreadableBytes
from idp.web.protocol.direct import read_form

NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
URI = "https://portal.example/cb"
CLIENT = Client(
    id=UUID(int=1), client_id="portal", profile="baseline", names={"": "Portal"}, application_type="web",
    redirect_uris=frozenset({URI}), origin="https://portal.example", post_logout_redirect_uris=frozenset(),
    backchannel_logout_uri=None, token_endpoint_auth_method="client_secret_basic",
    token_endpoint_auth_signing_alg=None, secret_digest=None, keys=None, sector="portal.example",
    scopes=frozenset({"openid", "profile"}), grant_types=frozenset({"authorization_code"}),
    response_modes=frozenset({"query", "form_post"}),
    minimum=LevelClass(0, 1), default_acr_values=(), default_max_age=None, id_token_alg="ES256", purposes={},
    may_introspect=False, expires_at=None, disabled_at=None, disabled_reason=None, updated_at=NOW,
    metadata={},
)  # fmt: skip
GOOD = {
    "client_id": "portal", "redirect_uri": URI, "response_type": "code", "scope": "openid", "state": "s", "nonce": "n",
    "code_challenge": "x" * 43, "code_challenge_method": "S256",
}  # fmt: skip
NAMES = st.sampled_from(
    [*GOOD, "prompt", "max_age", "claims", "acr_values", "display", "request", "response_mode", "ui_locales", "login_hint"]
)
SENSIBLE = st.sampled_from(["", "none", "login", "0", "1", "openid", "{}", "form_post", "page", "S256", "code", URI, "portal"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | SENSIBLE
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=8) | st.sampled_from(["value", "values", "essential"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
ASKED = (
    st.none()
    | JSON
    | st.fixed_dictionaries({}, optional={"essential": st.booleans() | JSON, "value": JSON, "values": st.lists(JSON, max_size=3)})
)
PLACE = st.dictionaries(st.sampled_from(["acr", "sub", "name", "email", "auth_time"]) | st.text(max_size=8), ASKED, max_size=5)
CLAIMS = st.fixed_dictionaries({}, optional={"userinfo": PLACE | JSON, "id_token": PLACE | JSON, "elsewhere": JSON})


@given(st.binary(max_size=300))
@example(b"%")
@example(b"a=%00")
@example(b"&" * 101)
@example(b"a=%ED%A0%80")
def test_any_bytes_are_pairs_of_text_or_are_refused(raw: bytes) -> None:
    try:
        pairs = read_pairs(raw)
    except UnreadableBytes as refusal:
        assert refusal.status == 400
        return
    for name, value in pairs:
        (name + value).encode()  # no half of a surrogate pair
        assert "\0" not in name + value


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12), TEXTS), max_size=20))
def test_what_was_encoded_is_read_as_it_was_meant(pairs: list[tuple[str, str]]) -> None:
    clean = [(name, value.replace("\0", "")) for name, value in pairs]
    assert list(read_pairs(urlencode(clean).encode())) == clean


@given(st.lists(st.tuples(NAMES | st.text(max_size=5), TEXTS), max_size=12))
def test_a_form_has_each_name_once_or_is_refused(pairs: list[tuple[str, str]]) -> None:
    """RFC 6749 §3.2."""
    request = Request("POST", "/token", (), tuple(pairs), {}, {}, "", "")
    names = [name for name, _ in pairs]
    try:
        form = read_form(request)
    except TokenError as refusal:
        assert refusal.error == "invalid_request"
        assert len(set(names)) < len(names)
        return
    assert len(set(names)) == len(names)
    assert form == {name: value for name, value in pairs if value}


@given(st.dictionaries(NAMES, TEXTS, max_size=6), st.lists(NAMES, max_size=4), st.lists(st.tuples(NAMES, TEXTS), max_size=2))
def test_any_parameters_are_a_request_or_an_error_of_the_specification(
    changed: dict[str, str], removed: list[str], more: list[tuple[str, str]]
) -> None:
    """RFC 6749 §4.1.2.1: and only ever to the registered address."""
    parameters = {name: value for name, value in (GOOD | changed).items() if name not in removed}
    pairs = [*parameters.items(), *more]
    try:
        client, redirect_uri, read = prove_client(pairs, {"portal": CLIENT}.get, NOW)
    except NotRedirectable as error:
        assert error.error in {"invalid_request", "unauthorized_client"}
        return
    except Unreadable as error:
        assert error.redirect_uri == URI
        return
    assert (client, redirect_uri) == (CLIENT, URI)
    try:
        asked = read_authorization_request(client, redirect_uri, read)
    except AnswerWithError as error:
        assert error.error in {
            "invalid_request", "invalid_scope", "unsupported_response_type", "request_not_supported", "request_uri_not_supported",
            "registration_not_supported",
        }  # fmt: skip
        assert error.description.isascii()
        assert not any(value in error.description for value in changed.values() if len(value) > 12)
        return
    assert isinstance(asked, AuthorizationRequest)
    assert asked.challenge is not None
    assert "openid" in asked.scopes
    assert set(asked.scopes) <= CLIENT.scopes
    assert asked.response_mode in {"query", "form_post"}
    assert asked.asked(NOW, None).minimum == CLIENT.minimum


@given(CLAIMS | JSON)
def test_any_json_is_a_claims_request_or_a_value_error(asked: object) -> None:
    """OIDC Core §5.5: what is understood is known; nothing in it names a claim that is not offered."""
    try:
        read = read_claims_request(json.dumps(asked))
    except ValueError:
        return
    assert isinstance(read, ClaimsRequest)
    assert read.userinfo | read.id_token <= ATTRIBUTE_CLAIMS
    stored = read.stored()
    assert stored is None or json.loads(json.dumps(stored)) == stored


@given(st.text(max_size=200) | st.text('[]{}",:0e\\u', max_size=200))
@example("[" * 5000)
@example('{"a":' * 4000)
@example('{"x":' + "9" * 5000 + "}")
@example('{"x":1e999}')
@example('{"userinfo":{"name":{"value":"\\ud800"}}}')
def test_any_text_is_a_claims_request_or_a_value_error(text: str) -> None:
    try:
        read_claims_request(text)
    except ValueError:
        return


@given(st.text("[]{}", max_size=50))
def test_depth_is_never_underestimated(text: str) -> None:
    deepest = depth = 0
    for letter in text:
        depth = depth + 1 if letter in "[{" else max(depth - 1, -1_000)
        deepest = max(deepest, depth)
    assert depth_of(text) == deepest


@given(JSON | st.recursive(st.text('[]{}"\\:,'), st.lists, max_leaves=8), st.booleans())
@example(['"[[', "\\", '\\"{'], False)
def test_what_stands_in_a_text_is_no_depth(value: object, is_ascii: bool) -> None:
    assert depth_of(json.dumps(value, ensure_ascii=is_ascii)) == nested(value)


def nested(value: object) -> int:
    """Return the depth from the value itself."""
    if isinstance(value, (dict, list)):
        return 1 + max((nested(each) for each in (value.values() if isinstance(value, dict) else value)), default=0)
    return 0


@example('"[[')
@example('[["\\')
@given(st.text('[]{}"\\:,0 ', max_size=50))
def test_a_text_that_nobody_closed_is_measured_too(text: str) -> None:
    assert 0 <= depth_of(text) <= len(text)


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: "Basic " + b64encode(raw).decode()))
def test_any_authorization_header_is_read_or_refused(header: str) -> None:
    """RFC 6749 §2.3.1."""
    try:
        identifier, secret = read_basic(header)
    except InvalidClient as refusal:
        assert refusal.status == 401
        return
    assert identifier
    assert secret


@given(
    st.fixed_dictionaries(
        {}, optional={name: st.text(max_size=20) for name in ("client_id", "client_secret", "client_assertion", "client_assertion_type")}
    ),
    st.none() | st.text(max_size=30),
)
def test_a_client_presents_itself_in_one_way_or_is_refused(form: dict[str, str], header: str | None) -> None:
    """RFC 6749 §2.3."""
    try:
        method = presented_method(form, header)
    except TokenError as refusal:
        assert refusal.error in {"invalid_client", "invalid_request"}
        return
    assert method in {"none", "client_secret_basic", "client_secret_post", "private_key_jwt"}
    assert (method == "none") == (header is None and not {"client_secret", "client_assertion", "client_assertion_type"} & set(form))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
@example("\r\nSet-Cookie: x=y")
@example("&code=x&iss=y")
@example("#")
def test_any_state_travels_unaltered_in_printable_letters(state: str) -> None:
    answered = answer(URI, "query", issuer="http://localhost:8000", state=state, parameters={"code": "c"})
    assert set(answered.location) <= set(string.ascii_letters + string.digits + string.punctuation)
    query = answered.location.partition("?")[2]
    assert "\0" in state or dict(read_pairs(query.encode()))["state"] == state
    assert [name for name, _ in read_pairs(query.replace("%00", "").encode())] == ["code", "state", "iss"]

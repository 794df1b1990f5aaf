"""Whatever is declared is accepted or refused by a sentence; whatever is accepted is safe to redirect to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from hypothesis import example, given, settings
from hypothesis import strategies as st

from idp.clients.declaration import read_declaration
from idp.clients.filling import fill
from idp.clients.model import DeclarationRefused
from idp.clients.uris import UnsafeUri, is_loopback_twin, read_redirect_uri

NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "client_id": "portal",
    "profile": "baseline",
    "client_name": "Cổng mẫu",
    "redirect_uris": ["https://portal.example/signed-in"],
    "token_endpoint_auth_method": "none",
}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8
)
NAMES = st.sampled_from(
    [
        "client_id",
        "profile",
        "client_name",
        "client_name#en",
        "client_secret",
        "client_uri",
        "contacts",
        "redirect_uris",
        "token_endpoint_auth_method",
        "token_endpoint_auth_signing_alg",
        "grant_types",
        "response_types",
        "response_modes",
        "scope",
        "jwks",
        "application_type",
        "subject_type",
        "id_token_signed_response_alg",
        "default_max_age",
        "require_auth_time",
        "default_acr_values",
        "initiate_login_uri",
        "post_logout_redirect_uris",
        "backchannel_logout_uri",
        "legacy_until",
        "minimum_acr",
        "agency_code",
        "agreement",
        "purposes",
        "security_level",
        "sector",
        "sector_identifier",
        "may_introspect",
        "jwks_uri",
        "logo_uri",
    ]
)
PIECES = st.lists(
    st.sampled_from(
        [
            "https://",
            "http://",
            "HTTPS://",
            "javascript:",
            "//",
            "/",
            "\\",
            "@",
            ":",
            ":443",
            "#",
            "?",
            "%2e",
            "%00",
            "..",
            ".",
            "*",
            "&",
            "app.example",
            "evil.example",
            "127.0.0.1",
            "localhost",
            "[::1]",
            "a",
            "=",
            "code",
            "é",
            "\t",
            "\u202e",
            "\ud800",
        ]
    ),
    max_size=10,
).map("".join)


@given(st.dictionaries(NAMES | st.text(max_size=10), JSON, max_size=4))
@settings(max_examples=400, deadline=None)
@example({"legacy_until": "9999-12-31", "profile": "legacy"})
@example({"legacy_until": "0001-01-01T00:00:00+14:00", "profile": "legacy"})
@example({"jwks": "[" * 5000})
@example({"jwks": "\ud800"})
@example({"purposes": {"openid": {"vi": "\ud800", "en": "x"}}})
def test_no_declaration_breaks_the_reader(changed: dict[str, Any]) -> None:
    try:
        declaration = read_declaration(GOOD | changed, NOW)
    except DeclarationRefused:
        return
    assert "client_secret" not in declaration.metadata
    assert declaration.says.sector


@given(PIECES | st.text(max_size=40))
@settings(max_examples=500, deadline=None)
def test_an_accepted_address_means_the_same_to_another_reader(text: str) -> None:
    """ASVS 1.5.3: the standard library, and so a browser, finds the host that was checked."""
    try:
        address = read_redirect_uri(text)
    except UnsafeUri:
        return
    parts = urlsplit(text)
    assert (parts.scheme, parts.netloc) == (address.scheme, address.origin.partition("://")[2])
    assert (parts.username, parts.password, parts.fragment) == (None, None, "")
    assert parts.hostname == address.host.strip("[]")
    assert address.origin + address.path + address.query == text


@given(PIECES)
@settings(max_examples=500, deadline=None)
def test_another_port_on_loopback_is_all_that_may_differ(text: str) -> None:
    if is_loopback_twin(text, frozenset({"http://127.0.0.1/a"})):
        parts = urlsplit(text)
        assert (parts.scheme, parts.hostname, parts.path, parts.query, parts.fragment) == ("http", "127.0.0.1", "/a", "", "")


@given(JSON, st.dictionaries(st.text(max_size=5), st.text(max_size=10), max_size=3))
@settings(deadline=None)
def test_filling_keeps_the_shape_of_what_it_fills(value: Any, environment: dict[str, str]) -> None:
    try:
        filled = fill(value, environment)
    except DeclarationRefused:
        return
    assert type(filled) is type(value)
    if isinstance(value, dict):
        assert filled.keys() == value.keys()

"""Any bytes at any address: never a 500, never a change."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.asking import signed_in
from tests.support.fingerprint import fingerprint
from tests.support.provider import Portal, Provider

PATHS = [
    "/authorize", "/token", "/userinfo", "/introspect", "/revoke", "/jwks", "/.well-known/openid-configuration", "/logout",
    "/logout/confirm", "/", "/help", "/activate", "/i/x", "/i/x/sign-in", "/i/x/consent", "/signed-out/x", "/static/x.css",
    "/health/live", "/nowhere",
]  # fmt: skip
METHODS = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "get", ""]
FIELDS = [
    "HTTP_AUTHORIZATION", "HTTP_COOKIE", "HTTP_ACCEPT_LANGUAGE", "HTTP_IF_NONE_MATCH", "HTTP_USER_AGENT", "HTTP_ACCEPT",
    "HTTP_ACCEPT_ENCODING", "HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE", "HTTP_X_FORWARDED_FOR", "HTTP_HOST", "CONTENT_TYPE", "CONTENT_LENGTH",
    "HTTP_REFERER", "HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_TRANSFER_ENCODING", "HTTP_RANGE", "HTTP_EXPECT",
]  # fmt: skip
LATIN = st.characters(max_codepoint=255, exclude_characters="\0\r\n")
"""What a server lets through in a header or a request line: bytes, one character each (PEP 3333)."""
HEADERS = st.dictionaries(st.sampled_from(FIELDS), st.text(LATIN, max_size=60), max_size=5)
FORM = "application/x-www-form-urlencoded"
BODIES = st.binary(max_size=200) | st.lists(
    st.sampled_from(
        [b"client_id=portal", b"token=x", b"grant_type=authorization_code", b"code=x", b"%", b"=", b"access_token=x", b"csrf=x"]
    ),
    max_size=6,
).map(b"&".join)
QUERIES = st.text(LATIN, max_size=80) | st.sampled_from(["client_id=portal", "a=%", "a=%00", "a=1&a=2", "lang=en", "looked=9", "lang=%ff"])

BOUNDED = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def cookies(op: Provider, portal: Portal) -> str:
    """The cookies of somebody signed in: what a stranger's page could make their browser send along."""
    home = signed_in(op, portal, op.person())
    return "; ".join(f"{name}={value}" for name, value in home.cookies.items())


@pytest.fixture
def unchanged(op: Provider, portal: Portal) -> Iterator[None]:
    before = fingerprint(op.owner)
    yield
    assert fingerprint(op.owner) == before


def ask(op: Provider, method: str, path: str, query: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """Hand the door exactly what a server would."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query, "HTTP_HOST": op.host,
        "REMOTE_ADDR": "127.0.0.1", "SERVER_NAME": "localhost", "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr, "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": FORM,
    }  # fmt: skip
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, sent: list[tuple[str, str]], *_: Any) -> None:
        started.append((status, sent))

    content = b"".join(op.door(environ | headers, start))
    (status, sent) = started[-1]
    return int(status[:3]), {name.lower(): value for name, value in sent}, content


def require_sound(answered: tuple[int, dict[str, str], bytes]) -> None:
    """No fault of ours, no trace of one, no header that somebody else wrote, no way out."""
    status, headers, content = answered
    assert 200 <= status < 500, content[:300]
    assert b"Traceback" not in content
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["server"] == "motcua"
    assert not any("\r" in value or "\n" in value for value in headers.values())
    location = headers.get("location", "/")
    assert location.startswith(("/", "https://portal.example/cb?"))
    assert not location.startswith(("//", "/\\"))


@BOUNDED
@given(method=st.sampled_from(METHODS), path=st.sampled_from(PATHS), query=QUERIES, body=BODIES, headers=HEADERS)
def test_a_stranger_s_bytes_are_answered_and_change_nothing(
    op: Provider, unchanged: None, method: str, path: str, query: str, body: bytes, headers: dict[str, str]
) -> None:
    require_sound(ask(op, method, path, query, body, headers))


@BOUNDED
@given(method=st.sampled_from(["GET", "POST"]), path=st.sampled_from(PATHS), query=QUERIES, body=BODIES, headers=HEADERS)
def test_bytes_sent_along_with_somebody_s_cookies_change_nothing_either(
    op: Provider, unchanged: None, cookies: str, method: str, path: str, query: str, body: bytes, headers: dict[str, str]
) -> None:
    """No form without its proof, whatever else stands in it."""
    require_sound(ask(op, method, path, query, body, headers | {"HTTP_COOKIE": cookies}))


@BOUNDED
@given(
    path=st.text(LATIN, max_size=40)
    | st.lists(st.sampled_from(["/", "..", ".", ";x", "//", "%2f", "token", "i", "admin", "\\"]), max_size=8).map("".join)
)
def test_any_path_is_answered(op: Provider, unchanged: None, path: str) -> None:
    """Dots, doubled slashes, parameters and encoded separators are nobody's."""
    status, _, _ = answered = ask(op, "GET", "/" + path, "", b"", {})
    require_sound(answered)
    if any(odd in "/" + path for odd in ("//", "/../", ";", "\\", "%")):
        assert status == 404


@BOUNDED
@given(
    length=st.text(LATIN, max_size=6)
    | st.sampled_from(["-1", "+1", "1_0", "0x1", " 5", "5 ", "\u00b2", "\u00b3", "9" * 400, "65537", "1e3", ""]),
    body=st.binary(max_size=20),
)
def test_any_content_length_is_answered(op: Provider, unchanged: None, length: str, body: bytes) -> None:
    """One way to read a length."""
    require_sound(ask(op, "POST", "/token", "", body, {"CONTENT_LENGTH": length}))


@pytest.mark.parametrize("query", ["a=\u1ea1", "\u0130", "client_id=\ud83d\ude00"])
def test_a_server_that_decodes_too_much_is_no_500(op: Provider, query: str) -> None:
    """PEP 3333 promises one character a byte; a server that breaks the promise is answered all the same."""
    require_sound(ask(op, "GET", "/authorize", query, b"", {}))


@BOUNDED
@given(
    st.text(LATIN, max_size=300)
    | st.lists(st.sampled_from(["motcua-session=x", "motcua-browser=y", "motcua-session=z", "a=b", "=", ";", "x"]), max_size=9).map(
        "; ".join
    )
)
def test_any_cookie_header_is_a_stranger_s(op: Provider, portal: Portal, cookie: str) -> None:
    """Nothing but a whole session cookie of ours opens a session; a doubled one is nobody's."""
    status, headers, _ = ask(op, "GET", "/authorize", portal.ask(prompt="none").partition("?")[2], b"", {"HTTP_COOKIE": cookie})
    assert status == 303
    assert "error=login_required" in headers["location"]


def test_the_control_somebody_s_own_cookies_open_their_session(op: Provider, portal: Portal, cookies: str) -> None:
    query = portal.ask(prompt="none").partition("?")[2]
    assert "code=moc_" in ask(op, "GET", "/authorize", query, b"", {"HTTP_COOKIE": cookies})[1]["location"]
    session = next(part for part in cookies.split("; ") if part.startswith("motcua-session="))
    doubled = cookies + "; motcua-session=tossed"
    assert "login_required" in ask(op, "GET", "/authorize", query, b"", {"HTTP_COOKIE": doubled})[1]["location"]
    for place in range(len("motcua-session="), len(session)):
        changed = session[:place] + ("A" if session[place] != "A" else "B") + session[place + 1 :]
        assert (
            "login_required" in ask(op, "GET", "/authorize", query, b"", {"HTTP_COOKIE": cookies.replace(session, changed)})[1]["location"]
        )

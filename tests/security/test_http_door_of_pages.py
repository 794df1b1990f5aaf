"""One request, one meaning: hosts, proxies, methods, paths, sizes, bodies and characters (law 6)."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest

from idp.app import create_door
from idp.demo.engines import DatabaseUrls, Engines
from idp.settings import read_settings
from idp.web.door import Answer, Request
from tests.support.journeys import Journeys
from tests.support.provider import Answered, Browser, Provider

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def behind_proxy(op: Provider, engines: Engines, database_urls: DatabaseUrls) -> Provider:
    """The same provider where two networks are trusted to say for whom they ask."""
    settings = op.settings.model_copy(update={"trusted_proxies": ("10.0.0.0/28", "fd00::/64")})
    return replace(op, door=create_door(settings, op.rooms))


def address_seen(op: Provider, peer: str, forwarded: str | None) -> str | int:
    """Return the address that the provider believes a request to come from; its answer's status where it refuses."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    seen: list[str] = []
    door = op.door
    after = door._after

    def see(request: Request, status: int) -> None:
        seen.append(request.address)
        after(request, status)

    door._after = see
    try:
        answered = op.call("GET", "/help", headers=headers, address=peer)
    finally:
        door._after = after
    return seen[-1] if answered.status == 200 else answered.status


# hosts ---------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost", "localhost:8001", "localhost:8000.evil.example", "LOCALHOST:8000", "localhost:8000, evil.example",
     "evil.example, localhost:8000", "localhost:8000@evil.example", "user@localhost:8000", "localhost:08000", "[::1]:8000", "127.0.0.1:8000",
     "localhost:8000 ", "localhost:8000/x", "", "localhost.:8000"],
)  # fmt: skip
@pytest.mark.parametrize("target", ["/help", "/.well-known/openid-configuration", "/i/x/sign-in", "/nowhere"])
def test_a_request_for_another_host_is_nobody_s(op: Provider, host: str, target: str) -> None:
    """Law 6: 421 or 400 whatever the path; the address that was asked appears nowhere."""
    answered = op.call("GET", target, headers={"Host": host})
    assert answered.status in {400, 421}
    assert answered.header("location") is None
    assert b"evil.example" not in answered.body


@pytest.mark.parametrize(
    "name",
    ["X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "Forwarded",
     "X-Host", "X-Original-URL", "X-Rewrite-URL", "X-Original-Host", "X-Script-Name", "Front-End-Https", "X-HTTP-Method-Override",
     "X-Client-Cert", "X-Real-IP", "X-Client-IP", "True-Client-IP", "X-Originating-IP", "CF-Connecting-IP", "Proxy", "X-Accel-Redirect",
     "X-Sendfile-Type"],
)  # fmt: skip
def test_no_header_of_a_proxy_changes_an_answer(op: Provider, behind_proxy: Provider, journeys: Journeys, name: str) -> None:
    """Sent directly or by a trusted proxy, the answer is the one without it."""
    for provider in (op, behind_proxy):
        for target in ("/.well-known/openid-configuration", "/help", journeys.plain.ask(prompt="none"), "/logout"):
            without = provider.call("GET", target, address="10.0.0.1")
            for value in ("evil.example", "http", "/x", "for=192.0.2.1;host=evil.example;proto=http", "DELETE", "192.0.2.1"):
                spoofed = provider.call("GET", target, headers={name: value}, address="10.0.0.1")
                assert comparable(spoofed) == comparable(without)


def comparable(answered: Answered) -> tuple[int, dict[str, str], bytes]:
    """What has to be the same: not the nonce, which differs each time."""
    policy = answered.header("content-security-policy") or ""
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    headers = {key: value.replace(nonce, "-") if nonce else value for key, value in answered.headers}
    return answered.status, headers, answered.body.replace(nonce.encode(), b"-") if nonce else answered.body


def test_the_issuer_is_the_one_of_the_settings_in_every_document(op: Provider) -> None:
    """Law 6."""
    said = op.call("GET", "/.well-known/openid-configuration", headers={"X-Forwarded-Host": "evil.example"}).json
    assert said["issuer"] == "http://localhost:8000"
    assert all(value.startswith("http://localhost:8000/") for name, value in said.items() if name.endswith(("_endpoint", "_uri")))


# who asks ------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forwarded", ["192.0.2.1", "127.0.0.1", "10.0.0.1, 192.0.2.1", "not-an-address", "", "\t", "192.0.2.1,"])
def test_without_listed_proxies_nobody_says_for_whom_they_ask(op: Provider, forwarded: str) -> None:
    """Law 6."""
    assert address_seen(op, "198.51.100.9", forwarded) == "198.51.100.9"


@pytest.mark.parametrize(
    ("peer", "forwarded", "seen"),
    [
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.5, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.5, 192.0.2.1, 10.0.0.2, 10.0.0.3", "192.0.2.1"),
        ("10.0.0.1", "10.0.0.2, 10.0.0.3", "10.0.0.2"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("fd00::1", "2001:DB8:0::7", "2001:db8::7"),
        ("198.51.100.9", "192.0.2.1", "198.51.100.9"),
        ("10.0.0.16", "192.0.2.1", "10.0.0.16"),
        ("10.0.0.1", "not-an-address", 400),
        ("10.0.0.1", "192.0.2.1, not-an-address", 400),
        ("10.0.0.1", "not-an-address, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "192.0.2.1:1234", 400),
        ("10.0.0.1", "192.0.2.1,", 400),
        ("10.0.0.1", "0300.0.2.1", 400),
    ],
)
def test_a_listed_proxy_is_believed_one_hop_at_a_time(behind_proxy: Provider, peer: str, forwarded: str | None, seen: str | int) -> None:
    """Law 6: the last address that no listed proxy vouches for; what is no address is no request."""
    assert address_seen(behind_proxy, peer, forwarded) == seen


def test_networks_of_proxies_are_read_as_networks(behind_proxy: Provider) -> None:
    """The control: what the settings listed is what the door holds."""
    assert behind_proxy.door._proxies == (IPv4Network("10.0.0.0/28"), IPv6Network("fd00::/64"))


# methods and paths ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "GETS", ""])
@pytest.mark.parametrize("target", ["/", "/help", "/logout/confirm", "/authorize", "/token"])
def test_a_method_that_is_none_of_ours_is_refused(op: Provider, method: str, target: str) -> None:
    answered = op.call(method, target)
    assert answered.status == 405
    assert "POST" in (answered.header("allow") or ""), "RFC 9110 §15.5.6"


@pytest.mark.parametrize(("body", "kind", "status"), [(b"", None, 200), (b"", "", 200), (b"x=1", None, 415), (b"", "text/plain", 415)])
def test_who_sends_nothing_need_not_say_what_it_is(op: Provider, body: bytes, kind: str | None, status: int) -> None:
    read: list[Request] = []

    def seen(request: Request) -> Answer:
        read.append(request)
        return Answer(200)

    headers = {"Content-Type": kind or ""} if body or kind is not None else {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(op.door._routes, "/userinfo", {"POST": seen})
        answered = op.call("POST", "/userinfo", body=body, headers=headers)
    assert answered.status == status
    assert bool(read) == (status == 200)
    assert not read or read[0].form == ()


def test_options_tells_methods_and_lets_no_other_site_read_a_page(journeys: Journeys) -> None:
    """Design §4: CORS on discovery, JWKS, token and userinfo only."""
    browser = journeys.at_sign_in()
    for target in ("/", "/authorize", browser.at, "/logout", "/logout/confirm", "/introspect", "/revoke"):
        answered = browser.send("OPTIONS", target, None, Origin="https://evil.example", **{"Access-Control-Request-Method": "POST"})
        assert answered.status in {200, 204, 405}
        assert answered.header("access-control-allow-origin") is None
        assert answered.header("access-control-allow-credentials") is None
    for target in ("/.well-known/openid-configuration", "/jwks", "/token", "/userinfo"):
        answered = browser.send("OPTIONS", target, None, Origin="https://evil.example")
        assert answered.header("access-control-allow-origin") == "*"
        assert answered.header("access-control-allow-credentials") is None


@pytest.mark.parametrize(
    "path",
    ["//", "//logout", "/logout/", "/logout//confirm", "/./logout", "/x/../logout", "/logout/..", "/logout;x=1", "/logout%2fconfirm", "/%6cogout",
     "/LOGOUT", "/logout\\confirm", "/logout ", "/logout\t", "/logout%00", "/logout?", "/..;/logout", "/logout.html", "/sessions/end/",
     "/i//sign-in", "/i/", "/i/x/y/z", "/i/x/sign-in/", "/static/", "/static/..%2f", "/static//x", "/logout#x", "/logoút"],
)  # fmt: skip
def test_a_path_written_otherwise_is_another_path(journeys: Journeys, path: str) -> None:
    """Proxy and application cannot disagree about what was asked: only the plain spelling is anything."""
    for browser in (Browser(journeys.op), journeys.signed_in()):
        sent = {"motcua-x": "y"} | browser.cookies
        cookies = "; ".join(f"{name}={value}" for name, value in sent.items())
        answered = call_raw(journeys.op, path, {"HTTP_COOKIE": cookies})
        expected = {404, 303, 200} if path == "/logout?" else {404}
        assert answered.status in expected, path


def call_raw(op: Provider, path: str, more: dict[str, Any], method: str = "GET", body: bytes = b"") -> Answered:
    """Hand the door a path as it stands, undecoded and unsplit."""
    import io
    import sys

    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "HTTP_HOST": op.host, "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "localhost", "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr,
    }  # fmt: skip
    started: list[tuple[str, list[tuple[str, str]]]] = []
    content = b"".join(op.door(environ | more, lambda status, headers, *_: started.append((status, headers))))
    return Answered(int(started[-1][0][:3]), started[-1][1], content)


# sizes ---------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kwargs", "statuses"),
    [
        ({"method": "GET", "target": "/?" + "a" * 20_000}, {414}),
        ({"method": "GET", "target": "/?" + "&".join(f"a{n}=1" for n in range(200))}, {400}),
        ({"method": "GET", "target": "/help", "headers": {"Origin": "h" * 9000}}, {431}),
        ({"method": "GET", "target": "/help", "headers": {"Authorization": "Bearer " + "a" * 9000}}, {431}),
        ({"method": "GET", "target": "/help", "headers": {"User-Agent": "x" * 1_000_000, "Accept-Language": "vi," * 300_000}}, {200}),
        ({"method": "GET", "target": "/help", "headers": {"Cookie": "; ".join(f"c{n}={'x' * 200}" for n in range(5000))}}, {200}),
        ({"method": "POST", "target": "/activate", "body": b"a" * 70_000}, {413}),
        ({"method": "POST", "target": "/activate", "body": b"&".join(b"a=%d" % n for n in range(500))}, {400}),
        ({"method": "GET", "target": "/" + "a" * 5000}, {404}),
        ({"method": "GET", "target": "/?ui_locales=" + "vi-" * 4000}, {200}),
    ],
)
def test_what_is_too_large_is_refused_before_anything_is_done(op: Provider, kwargs: dict[str, Any], statuses: set[int]) -> None:
    assert op.call(**kwargs).status in statuses


def test_a_field_as_long_as_a_body_allows_is_a_page_again(journeys: Journeys) -> None:
    """Long passwords, codes and numbers are refused by their form, quickly, and never hashed as they are."""
    for endpoint, fields in (
        ("sign_in", {"username": "1" * 60_000}),
        ("sign_in", {"password": "x" * 60_000}),
        ("totp", {"code": "1" * 60_000}),
        ("recovery_code", {"code": " " * 60_000}),
        ("activate", {"code": "A" * 60_000}),
        ("activate_password", {"password": "x" * 30_000, "repeat": "x" * 30_000}),
        ("consent", {"decision": "x" * 60_000}),
    ):
        filled = journeys.filled(endpoint)
        answered = filled.send(filled.fields | fields, Sec_Fetch_Site="same-origin")
        assert answered.status == 200, endpoint
        assert answered.header("location") is None


# characters and bodies ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"username=%ff", b"username=\xff\xfe", b"username=%", b"username=%zz", b"username=%00", b"\x00", b"%c0%ae=1", b"username=%ed%a0%80"])
def test_a_form_that_is_not_utf_8_is_refused(journeys: Journeys, body: bytes) -> None:
    """One strict reading; nothing is replaced or left out."""
    browser = journeys.at_sign_in()
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    answered = journeys.op.call("POST", browser.at, body=body, headers={"Cookie": cookies, **SAME_ORIGIN})
    assert answered.status == 400
    answered = journeys.op.call("GET", "/?" + body.decode("latin-1"))
    assert answered.status == 400


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "multipart/form-data; boundary=x", "", "application/x-www-form-urlencoded, text/plain", "text/html",
     "application/x-www-form-urlencodedx", "application/octet-stream"],
)  # fmt: skip
def test_a_body_that_is_no_form_is_refused(journeys: Journeys, content_type: str) -> None:
    """What a cross-site page can send without a preflight is nothing to us."""
    filled = journeys.filled("consent")
    cookies = "; ".join(f"{name}={value}" for name, value in filled.browser.cookies.items())
    body = json.dumps(filled.fields).encode()
    headers = {"Cookie": cookies, "Content-Type": content_type, **SAME_ORIGIN}
    assert journeys.op.call("POST", filled.action, body=body, headers=headers).status in {400, 415}
    assert filled.send(Sec_Fetch_Site="same-origin").status == 303


@pytest.mark.parametrize("value", ["٠٧٩٢٠٣٠٠١٢٣٤", "０７９２０３００１２３４", "079203001234\u200b", "079203001234\u202e", "0792030012_34", "079203001234e0"])
def test_digits_that_only_look_right_are_no_digits(journeys: Journeys, value: str) -> None:
    """Neither a number nor a code is folded into another one."""
    filled = journeys.filled("sign_in")
    page = filled.send(filled.fields | {"username": value}, Sec_Fetch_Site="same-origin")
    assert page.status == 200
    assert 'id="username-error"' in page.text


def test_a_full_width_form_of_a_good_code_is_no_code(journeys: Journeys, op: Provider) -> None:
    person = op.person()
    browser = journeys.at_totp(person)
    code = person.code(op.clock)
    for wrong in (code.translate({48 + n: 0xFF10 + n for n in range(10)}), code.translate({48 + n: 0x660 + n for n in range(10)}), code + "\u200b"):
        browser.submit(code=wrong)
        assert browser.at.endswith("/totp")
    browser.submit(code=f"{code[:3]} {code[3:]}")
    assert browser.at.endswith("/consent")


@pytest.mark.parametrize("looked", ["²", "٣", "-1", "99", "100", "x", "", "1" * 5000])
def test_the_page_that_renews_itself_takes_any_count(journeys: Journeys, looked: str) -> None:
    """The global oracle: nothing a stranger sends becomes a 500."""
    from urllib.parse import quote

    browser = journeys.at_signed_out()
    assert browser.send("GET", f"{browser.at}?looked={quote(looked)}").status == 200


def test_test_settings_are_what_this_file_thinks(op: Provider) -> None:
    """The control for everything above: this provider trusts no proxy."""
    assert op.settings.trusted_proxies == ()
    assert read_settings({"IDP_MODE": "test", "IDP_TRUSTED_PROXIES": "10.0.0.0/28 fd00::/64"}).trusted_proxies == ("10.0.0.0/28", "fd00::/64")

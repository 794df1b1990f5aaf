"""What the provider leaves in a browser: hidden from scripts, bound to its host, and deaf to what siblings put beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from idp.kernel.clock import FixedClock
from tests.conftest import MORNING
from tests.support.journeys import Journeys, session_of
from tests.support.provider import Browser, Provider, make_provider


@pytest.fixture(scope="module")
def over_https(engines: Engines) -> Iterator[Provider]:
    """A provider whose issuer is https, on a database of its own."""
    urls: DatabaseUrls = engines.make_database("cookies_over_https", template="pattern")
    provider = make_provider(engines, urls, FixedClock(MORNING), issuer="https://localhost:8000")
    yield provider
    provider.close()


def set_cookies(browser: Browser, walk: list[tuple[str, str, dict[str, str] | None]]) -> list[str]:
    """Return every Set-Cookie header of a walk."""
    seen = []
    for method, target, form in walk:
        seen += [value for name, value in browser.send(method, target, form).headers if name == "Set-Cookie"]
    return seen


def whole_walk(op: Provider) -> list[str]:
    """Return every Set-Cookie header of a sign-in, a change of language and a sign-out."""
    portal, person, browser = op.client(f"walk{op.people}"), op.person(second_factor=False), Browser(op)
    seen = set_cookies(browser, [("GET", portal.ask(), None)])
    assert browser.page is not None
    target = browser.page.location
    seen += set_cookies(browser, [("GET", target, None)])
    action, fields = browser.form()
    seen += set_cookies(browser, [("POST", action, fields | {"username": person.username, "password": person.password})])
    seen += set_cookies(browser, [("GET", "/?lang=en", None), ("GET", "/logout", None)])
    action, fields = browser.form()
    return seen + set_cookies(browser, [("POST", action, fields | {"decision": "sign-out"})])


def test_every_cookie_is_hidden_lax_and_of_this_host_alone(op: Provider) -> None:
    """ASVS 3.3.2 to 3.3.4: HttpOnly, SameSite=Lax, no Domain, the whole host; only the device and the language outlive the browser."""
    seen = whole_walk(op)
    names = {value.partition("=")[0] for value in seen}
    assert names == {"motcua-browser", "motcua-session", "motcua-device", "motcua-language"}
    for value in seen:
        parts = {part.strip().partition("=")[0].lower() for part in value.split(";")[1:]}
        assert {"httponly", "samesite", "path"} <= parts
        assert "SameSite=Lax" in value
        assert "Path=/" in value
        assert "domain" not in parts
        kept = "max-age" in parts and "Max-Age=0" not in value
        assert kept == value.startswith(("motcua-device", "motcua-language"))


def test_over_https_every_cookie_is_secure_and_bears_the_host_prefix(over_https: Provider) -> None:
    """ASVS 3.3.1, 3.3.3: a browser takes `__Host-` only from the host itself, without Domain, with Path=/ and Secure."""
    seen = whole_walk(over_https)
    assert {value.partition("=")[0] for value in seen} == {
        "__Host-motcua-browser", "__Host-motcua-session", "__Host-motcua-device", "__Host-motcua-language",
    }  # fmt: skip
    assert all("; Secure" in value and "; Path=/" in value and "Domain" not in value for value in seen)


def test_over_https_a_plain_name_is_nobody(over_https: Provider) -> None:
    """What a sibling sets for the parent domain, without the prefix, is not looked at."""
    portal, person, browser = over_https.client("prefix"), over_https.person(second_factor=False), Browser(over_https)
    browser.sign_in(person, browser.open(portal.ask()))
    value = browser.cookies["__Host-motcua-session"]
    assert "code" in browser.open(portal.ask(prompt="none")).parameters
    tossed = Browser(over_https, {"motcua-session": value, "motcua-browser": "x"})
    assert tossed.open(portal.ask(prompt="none")).parameters["error"] == "login_required"


def test_over_https_every_answer_tells_browsers_to_come_by_https_alone(over_https: Provider, op: Provider) -> None:
    """RFC 6797 §7.1; ASVS 3.4.1: pages, files and endpoints, good answers and refusals, each once; over http none (§7.2)."""
    asked = [(method, path) for path, methods in over_https.door._routes.items() for method in (*methods, "HEAD")]
    asked += [("GET", path) for path in ("/", "/help", "/logout", "/nowhere", "/static/nothing.css", "//", "/token?x=%", "/../x")]
    asked += [("DELETE", "/"), ("POST", "/logout/confirm"), ("GET", "/i/nobody")]
    for method, path in asked:
        answered = over_https.call(method, path, {} if method == "POST" else None)
        said = [value for name, value in answered.headers if name.lower() == "strict-transport-security"]
        assert said == ["max-age=31536000; includeSubDomains"], (method, path, answered.status)
        assert op.call(method, path, {} if method == "POST" else None).header("strict-transport-security") is None
    elsewhere = over_https.call("GET", "/jwks", headers={"Host": "evil.example"})
    assert elsewhere.status == 421
    assert elsewhere.header("strict-transport-security") is not None


@pytest.mark.parametrize(
    "header",
    [
        "motcua-session={mine}; motcua-session={other}",
        "motcua-session={other}; motcua-session={mine}",
        "motcua-session={mine}; motcua-session={mine}",
        "motcua-session={mine}; motcua-session=",
        "=motcua-session={mine}",
        "Motcua-Session={mine}",
        "motcua-session =  {mine}",
        "__Host-motcua-session={mine}",
        "motcua-session\t={mine}",
        'motcua-session="{mine}"',
        "motcua-session={mine}, motcua-x=1",
        "$motcua-session={mine}",
        "session={mine}",
    ],
)
def test_a_session_cookie_that_is_not_plainly_one_is_none(journeys: Journeys, header: str) -> None:
    """Repeated names, nameless cookies and quotes read differently elsewhere; here they are nobody's."""
    mine, other = session_of(journeys.signed_in()), session_of(journeys.signed_in())
    sent = header.format(mine=mine, other=other)
    answered = journeys.op.call("GET", journeys.plain.ask(prompt="none"), headers={"Cookie": sent})
    assert answered.parameters["error"] == "login_required"


@pytest.mark.parametrize("header", ["a=1; motcua-session={mine}; b=2", "motcua-session={mine}", ";;; motcua-session={mine};", "x; motcua-session={mine}"])
def test_the_control_a_session_cookie_among_others_is_found(journeys: Journeys, header: str) -> None:
    """Other people's cookies on the same host are no obstacle."""
    sent = header.format(mine=session_of(journeys.signed_in()))
    assert "code" in journeys.op.call("GET", journeys.plain.ask(prompt="none"), headers={"Cookie": sent}).parameters


def test_two_hundred_big_cookies_are_no_fault_of_ours(journeys: Journeys) -> None:
    """A cookie bomb leads to a page, never a 500; without it the browser works."""
    bomb = "; ".join(f"c{number}={'x' * 4000}" for number in range(200))
    assert journeys.op.call("GET", "/help", headers={"Cookie": bomb}).status in {200, 400, 431}
    assert journeys.op.call("GET", journeys.plain.ask(), headers={"Cookie": bomb}).status in {303, 400, 431}


def test_cookies_hold_nothing_about_a_person_or_a_request(journeys: Journeys, op: Provider) -> None:
    """NIST SP 800-63B-4 §5.1: opaque values only."""
    person = op.person(second_factor=False)
    browser = Browser(op)
    browser.open(journeys.plain.ask(login_hint=person.username, state="state-of-the-portal"))
    browser.sign_in(person)
    for value in browser.cookies.values():
        assert re.fullmatch(r"mo[a-z]_[A-Za-z0-9_-]{43}|vi|en", value), value


def test_a_page_that_renews_no_proof_sets_no_session_cookie(journeys: Journeys) -> None:
    """Nothing that a cache or a link could hand to somebody else."""
    browser = journeys.signed_in()
    for target in ("/", "/help", "/logout", journeys.plain.ask(prompt="none")):
        assert [value for name, value in browser.send("GET", target).headers if name == "Set-Cookie"] == []

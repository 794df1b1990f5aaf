"""nginx keeps what is the same for everybody, also while the provider is away, and nothing that is somebody's (ASVS 14.2.2, 14.3.2).

Beside the configuration of `docker/` stands a careless one, which keeps every answer that does not forbid it, for whoever asks: what
no cache gives away there, the provider's own words keep from any cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from idp.kernel.clock import SystemClock
from tests.support.load import wait_until
from tests.support.provider import Answered, Browser, Person, Portal, Provider
from tests.support.proxies import NAME, Proxy, Through, proxied
from tests.support.served import Served, free_port

pytestmark = pytest.mark.xdist_group("served")

DISCOVERY = "/.well-known/openid-configuration"
ANYTHING = "location / {"
SHOWN = "add_header X-Cache $upstream_cache_status always;"
"""Has nginx say whether an answer came out of its cache; configured elsewhere, not at all."""
SHOWING = {f"location = {path} {{": f"location = {path} {{ {SHOWN}" for path in (DISCOVERY, "/jwks")}
CARELESS = {ANYTHING: f"{ANYTHING} {SHOWN} include public-cache.conf; proxy_cache_valid any 10m;"}
SOON_STALE = {shown: f"{instead} proxy_ignore_headers Cache-Control; proxy_cache_valid 200 1s;" for shown, instead in SHOWING.items()}
"""A second instead of five minutes: then nginx would ask the provider again."""


@pytest.fixture(params=["as configured", "careless"])
def cache(request: pytest.FixtureRequest, node: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A running nginx with nothing in its cache yet."""
    changes = SHOWING | (CARELESS if request.param == "careless" else {})
    with proxied("nginx", tmp_path_factory.mktemp("nginx"), node.port, changes) as running:
        yield running


@dataclass
class Visit:
    """Somebody's browser behind the cache, and the portal it comes from."""

    browser: Browser
    portal: Portal
    person: Person

    @classmethod
    def begin(cls, cache: Proxy, portal: Portal, person: Person) -> Visit:
        """A browser that was never here before."""
        through = cast("Any", Through(cache, SystemClock()))
        return cls(Browser(through), Portal(through, portal.client_id, portal.secret, portal.declaration), person)

    @property
    def marks(self) -> set[str]:
        """What must be in no other browser's answer: name, number, cookies, and the proof of the form that is open."""
        proofs = {value for value in self.browser.form()[1].values() if len(value) > 20}
        return {self.person.name, self.person.username, *self.browser.cookies.values(), *proofs}


PLAIN = ["{}", "{}?x=1", "{}?/x.css"]
ODD = ["{}/x.css", "{}.css", "{}%2Fnon.js", "{};x.css", "{}%3Fx.css", "{}%00.css", "/{}", "/static/..{}", "/static/..%2f{}", "/jwks/..{}",
       "{}/../jwks", "{}/../../../jwks", "{}/%2e%2e/jwks", "{}%2f..%2f..%2f..%2fjwks"]  # fmt: skip
"""Spellings that a cache may take for a file, or for what is everybody's, and a provider for a page."""


def said(answered: Answered) -> str:
    return f"{answered.headers} {answered.body.decode('utf-8', 'replace')}"


def given_away(marks: set[str], answered: Answered) -> set[str]:
    return {each for each in marks if each in said(answered)}


def test_a_page_of_one_browser_is_in_no_answer_to_another(cache: Proxy, beside: Provider, registered: Portal) -> None:
    """Alice opens each page under every spelling, then Bob and a stranger do: plain sharing, and web cache deception."""
    alice = Visit.begin(cache, registered, beside.person(second_factor=False))
    bob = Visit.begin(cache, registered, beside.person(second_factor=False))
    bob.portal.code_for(bob.browser, bob.person)
    cookies_of_others: list[dict[str, str]] = [bob.browser.cookies, {}]

    def look(address: str, cookies: dict[str, str]) -> Answered:
        return Browser(alice.browser.provider, dict(cookies)).send("GET", address)

    def keep_apart(end: str) -> None:
        at, page, marks = alice.browser.at, alice.browser.page, alice.marks
        assert at.endswith(end)
        assert page is not None
        assert given_away(marks, page), "the control: there is something to give away"
        assert (page.header("cache-control"), page.header("vary")) == ("no-store", "Cookie")
        for spelling in [*PLAIN, *ODD]:
            address = spelling.format(at)
            own = look(address, alice.browser.cookies)
            assert own.status in ({200} if spelling in PLAIN else {400, 404}), address
            assert spelling in PLAIN or given_away(marks, own) == set(), address
            for cookies in cookies_of_others:
                answered = look(address, cookies)
                assert given_away(marks, answered) == set(), address
                assert answered.header("x-cache") in {None, "MISS"}, address
        assert given_away(marks, look(at, alice.browser.cookies)), "and it is still there for her"

    alice.browser.open(alice.portal.ask())
    keep_apart("/sign-in")
    alice.browser.submit(username=alice.person.username, password=alice.person.password)
    keep_apart("/consent")
    alice.browser.submit(decision="allow")
    alice.browser.open("/")
    keep_apart("/")
    alice.browser.open("/logout")
    keep_apart("/logout")


def test_the_way_back_to_a_portal_is_kept_for_nobody(cache: Proxy, beside: Provider, registered: Portal) -> None:
    """The very same address, asked by Alice, by Bob and by nobody: two codes, and none."""
    asked = registered.ask(prompt="none")
    codes = []
    for _ in range(2):
        visit = Visit.begin(cache, registered, beside.person(second_factor=False))
        visit.portal.code_for(visit.browser, visit.person)
        codes += [visit.browser.send("GET", asked).parameters["code"] for _ in range(2)]
    assert len(set(codes)) == 4
    assert cache.call("GET", asked).parameters["error"] == "login_required"


@pytest.mark.parametrize("path", [DISCOVERY, "/jwks"])
def test_what_is_everybodys_comes_out_of_the_cache(cache: Proxy, node: Served, path: str) -> None:
    """The control: it is a cache, and who has cookies is given the same bytes."""
    first = cache.call("GET", path)
    assert (first.status, first.header("x-cache")) == (200, "MISS")
    again = cache.call("GET", path, headers={"Cookie": "__Host-motcua-session=x"})
    assert (again.status, again.header("x-cache")) == (200, "HIT")
    assert again.body == first.body == node.get(path)[2]
    assert again.header("set-cookie") is None
    assert again.header("access-control-allow-origin") == "*"


def test_a_careless_cache_keeps_what_may_be_kept(node: Served, beside: Provider, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The control of the careless one: it does keep styles."""
    style = node.get("/help")[2].decode().partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert style.startswith("/static/")
    with proxied("nginx", tmp_path_factory.mktemp("nginx"), node.port, CARELESS) as careless:
        assert [careless.call("GET", style).header("x-cache") for _ in range(2)] == ["MISS", "HIT"]


@pytest.mark.parametrize("path", [DISCOVERY, "/jwks"])
@pytest.mark.parametrize(
    ("method", "spelling", "headers"),
    [
        ("GET", "{}?%zz", {}),
        ("GET", "{}?%00", {}),
        ("GET", "{}?" + "&".join(["a=1"] * 200), {}),
        ("GET", "/i/x/../..{}", {}),
        ("GET", "/x/%2e%2e{}", {}),
        ("GET", "/{}", {}),
        ("GET", "{}", {"Authorization": "Bearer a, Bearer b"}),
        ("GET", "{}", {"Origin": "https://evil.example"}),
        ("GET", "{}", {"If-None-Match": "*"}),
        ("GET", "{}", {"Range": "bytes=0-3"}),
        ("HEAD", "{}", {}),
        ("OPTIONS", "{}", {}),
        ("POST", "{}", {"Content-Length": "0"}),
    ],
)
def test_an_odd_request_spoils_nothing_for_who_comes_next(
    cache: Proxy, node: Served, path: str, method: str, spelling: str, headers: dict[str, str]
) -> None:
    """Cache poisoning: whatever a stranger asks first, portals are given the whole document."""
    odd = cache.call(method, spelling.format(path), headers=headers)
    assert odd.status in {200, 204, 206, 304, 400, 404, 405}
    for _ in range(2):
        after = cache.call("GET", path)
        assert (after.status, after.body) == (200, node.get(path)[2])
        assert "evil.example" not in said(after)


# while the provider is away --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("age", ["fresh", "stale"])
def test_discovery_and_keys_are_answered_while_the_provider_is_away(
    engines: Engines, database_urls: DatabaseUrls, node: Served, tmp_path_factory: pytest.TempPathFactory, age: str
) -> None:
    """What docker/README.md promises; every page meanwhile says that it is not there, and when to come back."""
    alone = Served(engines, database_urls, workers=1, extra={"IDP_TRUSTED_PROXIES": "127.0.0.1/32"})
    alone.issuer, alone.host, alone.wrapping = node.issuer, NAME, node.wrapping
    alone.start()
    try:
        with proxied("nginx", tmp_path_factory.mktemp("nginx"), alone.port, SOON_STALE if age == "stale" else SHOWING) as cache:
            before = {path: cache.call("GET", path) for path in (DISCOVERY, "/jwks")}
            assert [answered.status for answered in before.values()] == [200, 200]
            assert cache.call("GET", "/help").status == 200
            alone.kill()
            for path, kept in before.items():

                def is_the_same(path: str = path, kept: Answered = kept) -> bool:
                    answered = cache.call("GET", path)
                    assert (answered.status, answered.body) == (200, kept.body)
                    return answered.header("x-cache") == ("STALE" if age == "stale" else "HIT")

                wait_until(is_the_same, within=5)
            for path in ("/help", "/", "/authorize", "/userinfo"):
                away = cache.call("GET", path)
                assert (away.status, away.header("cache-control"), away.header("retry-after")) == (503, "no-store", "5")
                assert "Temporarily unavailable" in away.text
            alone.start()
            wait_until(lambda: cache.call("GET", "/help").status == 200, within=10)
            assert cache.call("GET", "/jwks").body == before["/jwks"].body
    finally:
        alone.stop()


@pytest.mark.parametrize("path", [DISCOVERY, "/jwks"])
def test_a_cache_that_kept_nothing_yet_says_so(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    """The control: without the provider and without a cache there is nothing to answer with."""
    with proxied("nginx", tmp_path_factory.mktemp("nginx"), free_port(), SHOWING) as empty:
        answered = empty.call("GET", path)
        assert (answered.status, answered.header("cache-control")) == (503, "no-store")

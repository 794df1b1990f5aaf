"""nginx and HAProxy as `docker/` configures them, in front of a served provider (law 6): what the provider counts on, they do."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from idp.kernel.clock import SystemClock
from idp.storage.ephemeral import Ephemeral
from tests.support.load import Load, under_load, wait_until
from tests.support.provider import Browser, Portal, Provider, claims_of
from tests.support.proxies import CLIENT, NAME, Proxy, Recorder, Through, proxied, read_answer, request_of
from tests.support.served import Served

pytestmark = pytest.mark.xdist_group("served")

ISSUER = f"https://{NAME}"
FORGED = "127.9.9.9"
HUNG_UP = 0
WAITS_FOR_HEADERS = {"nginx": {"client_header_timeout 5s": "client_header_timeout 1s"}, "haproxy": {"http-request 10s": "http-request 1s"}}


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def proxy(request: pytest.FixtureRequest, node: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxied(request.param, tmp_path_factory.mktemp(request.param), node.port) as running:
        yield running


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with Recorder() as running:
        yield running


@pytest.fixture(scope="module")
def recorded(proxy: Proxy, recorder: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The same proxy in front of something that writes down what arrives; it waits a second for headers, so that nobody waits longer."""
    with proxied(proxy.kind, tmp_path_factory.mktemp(proxy.kind), recorder.port, WAITS_FOR_HEADERS[proxy.kind]) as running:
        yield running


# the service through a proxy -----------------------------------------------------------------------------------------------------


def test_discovery_and_keys_are_those_of_the_issuer(proxy: Proxy) -> None:
    said = proxy.call("GET", "/.well-known/openid-configuration").json
    assert said["issuer"] == ISSUER
    addresses = [value for name, value in said.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(addresses) > 5
    assert [value for value in addresses if not value.startswith(ISSUER + "/")] == []
    assert proxy.call("GET", "/jwks").json["keys"] != []


def test_a_whole_code_flow_over_https(proxy: Proxy, beside: Provider, registered: Portal) -> None:
    """Cookies are those of https (ASVS 3.3.1); what is bought is the issuer's."""
    through = cast("Any", Through(proxy, SystemClock()))
    citizen, browser = beside.person(), Browser(through)
    portal = Portal(through, registered.client_id, registered.secret, registered.declaration)

    bought = portal.redeem(portal.code_for(browser, citizen))

    assert bought.status == 200
    assert claims_of(bought.json["id_token"])["iss"] == ISSUER
    assert portal.userinfo(bought.json["access_token"]).json["sub"] == claims_of(bought.json["id_token"])["sub"]
    assert "__Host-motcua-session" in browser.cookies
    assert [name for name in browser.cookies if not name.startswith("__Host-")] == []


def test_plain_http_is_led_to_https_and_another_name_nowhere(proxy: Proxy) -> None:
    with proxy.connect_plainly() as connection:
        connection.sendall(request_of("GET", "/help?x=1", []))
        redirected = read_answer(connection)
    assert (redirected.status, redirected.location) == (308, f"{ISSUER}/help?x=1")
    assert proxy.send(b"GET /help HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").status in {HUNG_UP, 421}


def test_health_is_not_shown_to_strangers(proxy: Proxy, node: Served) -> None:
    assert proxy.call("GET", "/health/ready").status == 404
    assert node.get("/health/ready")[0] == 200


# who asks ------------------------------------------------------------------------------------------------------------------------


FORGERIES = [
    ("X-Forwarded-For", FORGED),
    ("X-Forwarded-For", f"{FORGED}, 127.0.0.1"),
    ("Forwarded", f"for={FORGED};host=evil.example;proto=http"),
    ("X-Real-IP", FORGED),
    ("X_Forwarded_For", FORGED),
    ("X_Forwarded-For", FORGED),
    ("x_forwarded_for", f"{FORGED}, 127.0.0.1"),
]


def counted(ephemeral: Ephemeral, address: str) -> int:
    """Return how many authorization requests the provider counts for an address."""
    return int(ephemeral.find(f"volume:authorize:60:{address}") or 0)


@pytest.mark.parametrize(("name", "value"), FORGERIES)
def test_a_client_is_counted_where_it_is_whatever_it_says(
    proxy: Proxy, registered: Portal, ephemeral: Ephemeral, name: str, value: str
) -> None:
    ephemeral.forget_matching("volume:")
    assert proxy.call("GET", registered.ask(), headers={name: value}).status == 303
    assert (counted(ephemeral, CLIENT), counted(ephemeral, FORGED), counted(ephemeral, "127.0.0.1")) == (1, 0, 0)


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X_Forwarded_For"])
def test_without_a_proxy_that_drops_it_either_spelling_would_count(
    node: Served, registered: Portal, ephemeral: Ephemeral, name: str
) -> None:
    """The control, and why the proxy has to: both spellings are one key by the time the provider sees them."""
    ephemeral.forget_matching("volume:")
    assert node.get(registered.ask(), {name: FORGED})[0] == 303
    assert counted(ephemeral, FORGED) == 1


SAID_BY_CLIENTS = [
    *FORGERIES,
    ("X-Forwarded-Proto", "http"),
    ("x_forwarded_proto", "http"),
    ("X-Forwarded-Host", "evil.example"),
    ("X_Forwarded_Host", "evil.example"),
    ("X-Forwarded-Port", "80"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Client-Cert", "forged"),
    ("X_Client_Cert", "forged"),
    ("X-Client-Verify", "SUCCESS"),
    ("Proxy", "http://evil.example"),
    ("X-Request-Id", "chosen"),
    ("host_", "evil.example"),
]


def test_what_a_client_says_about_itself_is_replaced_or_dropped_before_it_arrives(recorded: Proxy) -> None:
    """On the wire behind the proxy: no name with an underscore, each forwarded header once, and as the proxy saw it."""
    answered = recorded.call("GET", "/help", headers=[*SAID_BY_CLIENTS, ("Accept-Language", "vi")])
    arrived = [(name.lower(), value) for name, value in json.loads(answered.body)]
    names = [name for name, _ in arrived]

    assert [name for name in names if "_" in name] == []
    assert [value for name, value in arrived if name == "x-forwarded-for"] == [CLIENT]
    assert [value for name, value in arrived if name == "x-forwarded-proto"] == ["https"]
    assert [value for name, value in arrived if name == "host"] == [NAME]
    assert {"forwarded", "proxy", "x-real-ip", "x-client-cert", "x-client-verify", "x-forwarded-host", "x-forwarded-port"}.isdisjoint(names)
    assert "x-forwarded-prefix" not in names
    assert [value for name, value in arrived if name == "x-request-id"] != ["chosen"]
    assert ("accept-language", "vi") in arrived  # the control: what is nobody's business passes


# what is too much, or not one thing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer moa_a, Bearer moa_b")],
        [("Authorization", "Bearer moa_a"), ("Authorization", "Bearer moa_b")],
        [("Sec-Fetch-Site", "same-origin, cross-site")],
        [("Origin", f"{ISSUER}, https://evil.example")],
    ],
)
def test_two_values_where_one_is_meant_are_refused(proxy: Proxy, headers: list[tuple[str, str]]) -> None:
    assert proxy.call("GET", "/userinfo", headers=headers).status == 400
    assert proxy.call("GET", "/userinfo", headers=headers[:1] if len(headers) > 1 else [("Authorization", "Bearer moa_a")]).status == 401


@pytest.mark.parametrize("length", [9_000, 20_000, 100_000])
def test_a_header_beyond_all_measure_is_refused(proxy: Proxy, length: int) -> None:
    assert proxy.call("GET", "/userinfo", headers={"Authorization": "Bearer " + "a" * length}).status in {HUNG_UP, 400, 431}


def test_a_target_beyond_all_measure_is_refused(proxy: Proxy) -> None:
    assert proxy.call("GET", "/help?" + "a" * 20_000).status in {HUNG_UP, 400, 414}


def test_a_body_beyond_all_measure_is_refused_whatever_says_how_long_it_is(proxy: Proxy) -> None:
    declared = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", "70000")]
    assert proxy.send(request_of("POST", "/token", declared) + b"a" * 70_000).status in {HUNG_UP, 413}
    chunked = [("Content-Type", "application/x-www-form-urlencoded"), ("Transfer-Encoding", "chunked")]
    chunks = b"".join(b"1000\r\n" + b"a" * 4096 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n"
    assert proxy.send(request_of("POST", "/token", chunked) + chunks).status in {HUNG_UP, 413}
    small = proxy.send(request_of("POST", "/token", chunked) + b"3\r\na=1\r\n0\r\n\r\n")
    assert small.json["error_description"] == "The grant_type is missing."  # the control: chunks are read, and this is what was missing


def test_a_length_and_chunks_at_once_are_one_request_or_none(recorded: Proxy, recorder: Recorder) -> None:
    """RFC 9112 §6.3: nothing behind the proxy takes the rest of a body for a request of its own."""
    recorder.seen.clear()
    both = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", "4"), ("Transfer-Encoding", "chunked")]
    smuggled = b"0\r\n\r\n" + request_of("GET", "/smuggled", [])
    recorded.send(request_of("POST", "/token", both) + smuggled)
    recorded.call("GET", "/help")
    assert "GET /smuggled HTTP/1.1" not in [line for line, _ in recorder.seen]
    assert "GET /help HTTP/1.1" in [line for line, _ in recorder.seen]


# slow clients ----------------------------------------------------------------------------------------------------------------------


def test_a_slow_client_keeps_the_proxy_waiting_and_nobody_behind_it(recorded: Proxy, recorder: Recorder) -> None:
    """A request goes on once it is whole; others are answered meanwhile."""
    recorder.seen.clear()
    form = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", "10")]
    with recorded.connect() as slow:
        slow.sendall(request_of("POST", "/token", form) + b"a=123")
        assert recorded.call("GET", "/help").status == 200
        assert [line for line, _ in recorder.seen] == ["GET /help HTTP/1.1"]
        slow.sendall(b"45678")
        assert read_answer(slow).status == 200
    assert [line for line, _ in recorder.seen] == ["GET /help HTTP/1.1", "POST /token HTTP/1.1"]


def test_headers_that_never_end_are_given_up(recorded: Proxy, recorder: Recorder) -> None:
    """By the proxy, in its own time; `408` or no answer at all, and nothing has arrived."""
    recorder.seen.clear()
    with recorded.connect() as slow:
        slow.sendall(request_of("GET", "/help", [])[:-2])
        assert read_answer(slow).status in {HUNG_UP, 408}
    assert recorder.seen == []


SLOW_BODY = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", "60000")]
SLOW = {
    "says nothing": (b"", False),
    "a header, byte by byte": (request_of("GET", "/slow", [("X-Slow", "")])[:-4], True),
    "a body that does not come": (request_of("POST", "/slow", SLOW_BODY), False),
    "a body, byte by byte": (request_of("POST", "/slow", SLOW_BODY), True),
}
"""How somebody keeps a connection: what is sent at once, and whether a byte follows each second."""
CUT_AFTER: dict[str, dict[str, float]] = {
    "nginx": {"says nothing": 5, "a header, byte by byte": 5, "a body that does not come": 10},
    "haproxy": dict.fromkeys(SLOW, 10),
}
"""What the configurations say. To nginx each byte of a body is progress."""


class Slowly:
    """A connection of somebody who takes their time."""

    def __init__(self, proxy: Proxy, source: str, way: str) -> None:
        self.way = way
        first, self.drips = SLOW[way]
        self.connection = proxy.connect(source)
        self.connection.sendall(first)
        self.connection.setblocking(False)
        self.opened = time.monotonic()
        self.lasted: float | None = None

    def drip(self) -> None:
        """Send one byte more."""
        if self.drips and self.lasted is None:
            self._try(lambda: self.connection.send(b"a"))

    def look(self) -> None:
        """See whether the proxy has ended it, with or without an answer."""
        if self.lasted is None and self._try(lambda: self.connection.recv(4096)) is not None:
            self.lasted = time.monotonic() - self.opened

    def _try(self, call: Callable[[], int | bytes]) -> int | bytes | None:
        try:
            return call()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except OSError:
            self.lasted = time.monotonic() - self.opened
            return None


@contextmanager
def slowly(proxy: Proxy, connections: list[tuple[str, str]]) -> Iterator[list[Slowly]]:
    """Open a connection for each source and way, and keep them at it for as long as the block runs."""
    opened: list[Slowly] = []
    over = threading.Event()

    def keep_on() -> None:
        second = 0
        while not over.wait(0.05):
            before, second = second, int(time.monotonic())
            for each in [*opened]:
                each.look()
                if second != before:
                    each.drip()

    keeper = threading.Thread(target=keep_on)  # from the first connection on: opening them all takes seconds
    try:
        keeper.start()
        for source, way in connections:
            opened.append(Slowly(proxy, source, way))
        yield opened
    finally:
        over.set()
        keeper.join()
        for each in opened:
            each.connection.close()


def test_two_hundred_slow_connections_delay_nobody_and_are_given_up(proxy: Proxy, node: Served) -> None:
    """Slowloris from eight addresses: whoever is not slow is always answered, and in time; the provider hears of none of them."""
    written = len(node.log.read_text())
    limits = CUT_AFTER[proxy.kind]

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        return proxy.call("GET", path).status, {}, b""

    def ask(load: Load) -> Callable[[], None]:
        def step() -> None:
            load.timed("page", partial(answer, "/help"))
            load.timed("program", partial(answer, "/userinfo"))

        return step

    with slowly(proxy, [(f"127.9.1.{place % 8}", way) for place, way in enumerate([*SLOW] * 50)]) as connections:
        assert len(connections) == 200
        with under_load(ask, ask) as load:
            wait_until(lambda: all(each.lasted is not None for each in connections if each.way in limits), within=40)
            wait_until(lambda: len(load.seen) > 200, within=60)
        lasting = [each.way for each in connections if each.lasted is None]

    assert set(lasting) == SLOW.keys() - limits.keys()
    for each in connections:
        assert each.lasted is None or limits[each.way] - 1 < each.lasted < limits[each.way] + 8, (each.way, each.lasted)
    assert load.statuses("page").keys() == {200}
    assert load.statuses("program").keys() == {401}
    took = sorted(each.took for each in load.seen)
    assert took[len(took) * 99 // 100] < 1
    proxy.call("GET", "/done-" + proxy.kind)
    wait_until(lambda: "/done-" + proxy.kind in node.log.read_text()[written:], within=5)
    assert "/slow" not in node.log.read_text()[written:]


def test_one_address_holds_fifty_slow_bodies_open_and_no_more(node: Served, tmp_path: Path) -> None:
    """What nginx has instead of a limit on how long a body may take: who has fifty is told so, and nobody else notices."""
    greedy, way = "127.9.2.1", "a body, byte by byte"
    with proxied("nginx", tmp_path, node.port) as nginx:
        with slowly(nginx, [(greedy, way)] * 49):
            wait_until(lambda: nginx.call("GET", "/help", source=greedy).status == 200, within=5)
        with slowly(nginx, [(greedy, way)] * 50):
            wait_until(lambda: nginx.call("GET", "/help", source=greedy).status == 429, within=5)
            assert nginx.call("GET", "/help").status == 200
        wait_until(lambda: nginx.call("GET", "/help", source=greedy).status == 200, within=5)

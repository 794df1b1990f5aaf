"""A node that is told to stop says so first, answers what it took, and then ends."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.support.faults import World, furnish, own_engines
from tests.support.load import Load, under_load, wait_for_more, wait_until
from tests.support.served import Served

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Served, Served]]:
    """Two nodes of one provider behind what a proxy would do: it asks for readiness, and sends nothing to who is not ready."""
    with own_engines() as (engines, urls):
        with engines.connect_superuser("faults") as superuser:  # a test holds a lock for as long as it takes a busy machine to drain
            superuser.execute("ALTER ROLE idp_app SET lock_timeout = '2400ms'")
        first = Served(engines, urls, workers=2, extra={"IDP_ANNOUNCE_FOR": "1"})
        first.make_keys()
        second = Served(engines, urls, workers=2, extra={"IDP_ANNOUNCE_FOR": "1"})
        second.wrapping, second.issuer, second.host = first.wrapping, first.issuer, first.host
        first.start()
        second.start()
        yield first, second
        first.stop()
        second.stop()


@pytest.fixture(scope="module")
def world(nodes: tuple[Served, Served]) -> Iterator[World]:
    made = furnish(nodes[0])
    yield made
    made.op.close()


class Proxy:
    """Asks every node for its readiness again and again, and names one that is ready."""

    def __init__(self, nodes: tuple[Served, Served]) -> None:
        self._nodes = nodes
        self._ready = dict.fromkeys(range(len(nodes)), True)
        self._turn = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.05):
            for place, node in enumerate(self._nodes):
                try:
                    self._ready[place] = node.get("/health/ready")[0] == 200
                except OSError:
                    self._ready[place] = False

    def node(self) -> Served:
        self._turn += 1
        return next(self._nodes[(self._turn + each) % 2] for each in range(2) if self._ready[(self._turn + each) % 2])


def signing_in(world: World, proxy: Proxy) -> Callable[[Load], Callable[[], None]]:
    """Sign on through whichever node is ready, each step through another."""

    def step_of(load: Load) -> Callable[[], None]:
        cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in world.browser.cookies.items())}
        ask = world.portal.ask(scope="openid offline_access")
        form = {"grant_type": "authorization_code", "redirect_uri": world.portal.redirect_uri, "code_verifier": world.portal.verifier}
        headers = {"Authorization": world.portal.authorization}

        def step() -> None:
            _, sent, _ = load.timed("authorize", lambda: proxy.node().get(ask, cookies))
            code = dict(parse_qsl(urlsplit(sent.get("location", "")).query)).get("code", "")
            load.timed("token", lambda: proxy.node().post("/token", form | {"code": code}, headers))

        return step

    return step_of


def test_two_nodes_restarted_one_after_the_other_fail_nobody(world: World, nodes: tuple[Served, Served]) -> None:
    """Not ready first, then no more connections, then the end: 0 failures."""
    with Proxy(nodes) as proxy, under_load(signing_in(world, proxy), signing_in(world, proxy)) as load:
        for node in nodes:
            wait_for_more(load.seen, 21, within=20)
            assert node.process is not None
            node.process.send_signal(signal.SIGTERM)
            assert node.process.wait(15) == 0
            node.start()
        wait_for_more(load.seen, 21, within=20)

    assert load.statuses("authorize").keys() == {303}
    assert load.statuses("token").keys() == {200}
    assert len(load.seen) > 60


def test_it_is_not_ready_before_it_stops_taking_requests(world: World, nodes: tuple[Served, Served]) -> None:
    node = nodes[1]
    assert node.process is not None
    node.process.send_signal(signal.SIGTERM)
    told_at = time.monotonic()
    wait_until(lambda: node.get("/health/ready")[0] == 503, within=0.8)
    status, headers, body = node.get("/health/ready")
    assert (status, json.loads(body)["missing"]) == (503, ["draining"])
    assert int(headers["retry-after"]) >= 1
    assert node.get("/jwks")[0] == 200
    assert node.get("/health/live")[0] == 200
    assert time.monotonic() - told_at < 1
    assert node.process.wait(15) == 0
    assert time.monotonic() - told_at >= 1
    node.start()


def test_a_request_under_way_is_answered_before_the_end(world: World, nodes: tuple[Served, Served]) -> None:
    node, answers = nodes[1], []
    assert node.process is not None
    code = world.code()
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": world.portal.redirect_uri}
    headers = {"Authorization": world.portal.authorization}

    def ask() -> None:
        answers.append(node.post("/token", form | {"code_verifier": world.portal.verifier}, headers)[0])

    with world.engines.connect_superuser("faults") as superuser, superuser.transaction():
        superuser.execute("LOCK TABLE code IN ACCESS EXCLUSIVE MODE")
        asking = threading.Thread(target=ask)
        asking.start()
        waiting = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE NOT l.granted AND c.relname = 'code'"
        wait_until(lambda: superuser.execute(waiting).fetchone() != (0,), within=2)
        before = node.log.read_text().count("Shutting down")
        node.process.send_signal(signal.SIGTERM)
        wait_until(lambda: node.get("/health/ready")[0] == 503, within=0.5)
        node.process.send_signal(signal.SIGTERM)  # told twice, it does not wait for the proxy to find out
        wait_until(lambda: node.log.read_text().count("Shutting down") > before, within=0.3)
    asking.join()
    assert answers == [200]
    assert node.process.wait(15) == 0

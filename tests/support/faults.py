"""What fault tests need: engines that may be broken, a served world upon them, and a ledger of what was acknowledged."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from idp.demo.engines import DatabaseUrls, Engines, TemporaryEngines
from idp.kernel.clock import SystemClock, microseconds
from idp.kernel.digests import digest
from idp.storage.migrations import migrate
from tests.support.load import Load
from tests.support.provider import Answered, Browser, Person, Portal, Provider, make_provider
from tests.support.served import Served


@contextmanager
def own_engines(*, durable: bool = False, postgres_programs: Path | None = None) -> Iterator[tuple[Engines, DatabaseUrls]]:
    """Lend engines that nobody else uses, with a migrated database."""
    with TemporaryEngines(durable=durable, postgres_programs=postgres_programs) as engines:
        urls = engines.make_database("faults")
        migrate(urls.owner, datetime.now(UTC).date(), lambda _: None)
        with engines.connect_superuser("faults") as owner:
            owner.execute("INSERT INTO deployment (mode, issuer) VALUES ('test', 'http://localhost:8000')")
        yield engines, urls


class Remote(Provider):
    """The served provider as browsers and portals reach it; rooms and clock are of a provider beside it, to arrange things."""

    served: Served

    def call(
        self,
        method: str,
        target: str,
        form: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",  # noqa: ARG002 - over the network it is what it is
    ) -> Answered:
        """Send one request over the network and return the answer."""
        sent = dict(headers or {})
        if form is not None:
            body = urlencode(form).encode()
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        connection = http.client.HTTPConnection("127.0.0.1", self.served.port, timeout=15)
        try:
            connection.request(method, target, body, {"Host": self.host, **sent})
            response = connection.getresponse()
            named = [("Set-Cookie" if name.lower() == "set-cookie" else name.lower(), value) for name, value in response.getheaders()]
            return Answered(response.status, named, response.read())
        finally:
            connection.close()


@dataclass
class World:
    """A served provider on engines of its own, a portal, and somebody signed in."""

    engines: Engines
    urls: DatabaseUrls
    served: Served
    op: Remote
    portal: Portal
    citizen: Person
    browser: Browser

    def code(self) -> str:
        """Return a code from the live session."""
        answered = self.browser_beside().send("GET", self.portal.ask(scope="openid offline_access"))
        assert answered.status == 303, (answered.status, answered.text[:300])
        return answered.parameters["code"]

    def browser_beside(self) -> Browser:
        """Return a browser with the same cookies: one object for each thread."""
        return Browser(self.op, dict(self.browser.cookies))

    def redeem(self, code: str) -> tuple[int, dict[str, str], bytes]:
        """Send a code to the token endpoint."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.portal.redirect_uri,
            "code_verifier": self.portal.verifier,
        }
        return self.served.post("/token", form, {"Authorization": self.portal.authorization})

    def sign_in_again(self) -> None:
        """Sign the citizen in with a new browser."""
        self.browser = Browser(self.op)
        self.portal.code_for(self.browser, self.citizen, scope="openid offline_access")

    def settle(self, *, within: float = 5) -> None:
        """Wait until every worker is ready: the one asked is anyone's guess, so two dozen answers in a row count as all."""
        until, ready = time.monotonic() + within, 0
        while ready < 24:
            ready = ready + 1 if self.served.get("/health/ready")[0] == 200 else 0
            assert time.monotonic() < until, self.served.get("/health/ready")
            time.sleep(0.01)

    def settled(self, code: str) -> tuple[int, str]:
        """Send a code once the provider has recovered, and return the status with the error."""
        until = time.monotonic() + 5
        while True:
            status, _, body = self.redeem(code)
            if status != 503 or time.monotonic() > until:
                return status, str(json.loads(body).get("error", ""))
            time.sleep(0.05)

    def owner(self, statement: str, parameters: dict[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser and return its rows."""
        with self.engines.connect_superuser("faults") as superuser:
            cursor = superuser.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []


def known_to(served: Served, client_id: str) -> None:
    """Wait until every worker has seen a client: configuration is at most a second old (design §4)."""
    unknown = 0
    until = time.monotonic() + 10
    while unknown < 24:
        found = served.get("/authorize?" + urlencode({"client_id": client_id}))[2].find(b"unauthorized_client") < 0
        unknown = unknown + 1 if found else 0
        assert time.monotonic() < until, f"{served.host} does not know {client_id}"


@contextmanager
def own_world(*, durable: bool = False, **extra: str) -> Iterator[World]:
    """Lend a served provider of two workers on engines of its own. `durable` engines lose nothing when they are killed."""
    with own_engines(durable=durable) as (engines, urls):
        served = Served(engines, urls, workers=2, extra=extra)
        served.make_keys()
        served.start()
        world = None
        try:
            yield (world := furnish(served))
        finally:
            served.stop()
            if world is not None:
                world.op.close()


def furnish(served: Served) -> World:
    """Return the world around a served provider."""
    made = make_provider(
        served.engines, served.urls, SystemClock(served.offset_file), issuer=served.issuer, wrapping_key=served.wrapping
    )
    op = Remote(**vars(made))
    op.served = served
    portal = op.client("faulty")
    known_to(served, "faulty")
    citizen, browser = op.person(), Browser(op)
    portal.code_for(browser, citizen, scope="openid offline_access")
    return World(served.engines, served.urls, served, op, portal, citizen, browser)


def asking_for_metadata(world: World) -> Callable[[Load], Callable[[], None]]:
    """Keep asking for discovery and JWKS."""

    def step_of(load: Load) -> Callable[[], None]:
        def step() -> None:
            for kind, path in (("discovery", "/.well-known/openid-configuration"), ("jwks", "/jwks")):
                load.timed(kind, partial(world.served.get, path))

        return step

    return step_of


@dataclass
class Ledger:
    """What the provider acknowledged, as the relying party wrote it down."""

    codes: list[str] = field(default_factory=list)
    unknown_codes: list[str] = field(default_factory=list)
    """Sent, and not answered: spent or not, nobody knows."""
    access: list[str] = field(default_factory=list)
    refresh: list[str] = field(default_factory=list)

    def signing_in(self, world: World) -> Callable[[Load], Callable[[], None]]:
        """Keep using the live session: a code, its tokens, and the claims behind them."""

        def step_of(load: Load) -> Callable[[], None]:
            ask = world.portal.ask(scope="openid offline_access")
            cookies = "; ".join(f"{name}={value}" for name, value in world.browser.cookies.items())

            def step() -> None:
                status, headers, _ = load.timed("authorize", lambda: world.served.get(ask, {"Cookie": cookies}))
                if status != 303:
                    return
                code = dict(parse_qsl(urlsplit(headers["location"]).query))["code"]
                status, _, body = load.timed("token", lambda: world.redeem(code))
                if status != 200:
                    self.unknown_codes.append(code)
                    return
                answer = json.loads(body)
                self.codes.append(code)
                self.access.append(answer["access_token"])
                self.refresh.append(answer["refresh_token"])
                bearer = {"Authorization": "Bearer " + answer["access_token"]}
                load.timed("userinfo", lambda: world.served.get("/userinfo", bearer))

            return step

        return step_of

    def require_kept(self, world: World) -> None:
        """Nothing acknowledged is lost, each has its one record, and nothing used is good again."""
        stored = world.owner(
            "SELECT count(*) FROM access_token WHERE digest = ANY(%(digests)s)", {"digests": [digest(each) for each in self.access]}
        )
        assert stored == [(len(self.access),)]
        once = world.owner(
            """
            SELECT count(*), count(DISTINCT c.digest) FROM code c
            JOIN audit_event e ON e.family_id = c.family_id AND e.kind = 'grants.code_redeemed'
            WHERE c.digest = ANY(%(digests)s) AND c.used_at IS NOT NULL
            """,
            {"digests": [digest(each) for each in self.codes]},
        )
        assert once == [(len(self.codes), len(self.codes))]
        require_leaves(world)
        for code in self.codes[-5:]:
            assert world.settled(code) == (400, "invalid_grant")
        for code in self.unknown_codes[-5:]:
            assert world.settled(code) in {(200, ""), (400, "invalid_grant")}
            assert world.settled(code) == (400, "invalid_grant")


def require_leaves(world: World) -> int:
    """Every leaf is what its row says (law 10); return how many there are."""
    rows = world.owner(
        """
        SELECT id, at, account_id, client_id, session_id, family_id, object_id, body, salt, leaf
        FROM audit_event WHERE body IS NOT NULL
        """
    )
    for event_id, at, *related, body, salt, leaf in rows:
        hashed = hashlib.sha256(b"\x00" + salt + event_id.bytes + microseconds(at).to_bytes(8, "big", signed=True))
        for each in related:
            hashed.update(bytes(16) if each is None else each.bytes)
        hashed.update(hashlib.sha256(body).digest())
        assert hashed.digest() == leaf
    return len(rows)

"""One-time things under parallel tries on two nodes (law 1): one winner, and what should die is dead."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlencode

import pyotp
import pytest

from idp.demo.engines import DatabaseUrls, Engines
from idp.jose import Signer, new_private_key
from idp.kernel.clock import SystemClock
from idp.kernel.digests import new_bearer
from tests.support.journeys import Journeys
from tests.support.provider import OPERATOR, Browser, Person, Portal, Provider, make_provider
from tests.support.races import at_once
from tests.support.served import Served

pytestmark = pytest.mark.xdist_group("served")

Ready = tuple[str, dict[str, str], dict[str, str]]
"""A form that a browser is about to send: where to, its fields, its headers."""

ROUNDS = 100
FEW_ROUNDS = 10
"""Of what costs many password hashes to prepare."""
AT_ONCE = 20


@pytest.fixture(scope="module")
def nodes(engines: Engines, database_urls: DatabaseUrls) -> Iterator[tuple[Served, Served]]:
    """Two nodes of one provider: the issuer is the first one's address, the second is reached by its own port."""
    first = Served(engines, database_urls, workers=1, threads=12)
    first.make_keys()
    second = Served(engines, database_urls, workers=1, threads=12)
    second.wrapping, second.issuer = first.wrapping, first.issuer
    second.host = first.host
    first.start()
    second.start()
    yield first, second
    first.stop()
    second.stop()


@pytest.fixture(scope="module")
def beside(engines: Engines, database_urls: DatabaseUrls, nodes: tuple[Served, Served]) -> Iterator[Provider]:
    """The same provider inside the test, to arrange what the nodes are asked."""
    provider = make_provider(engines, database_urls, SystemClock(), issuer=nodes[0].issuer, wrapping_key=nodes[0].wrapping)
    yield provider
    provider.close()


def known_everywhere(nodes: tuple[Served, Served], portal: Portal) -> Portal:
    """Wait until both nodes have seen the client: configuration is at most a second old (design §4)."""
    for node in nodes:
        until = time.monotonic() + 5
        while node.get("/authorize?" + urlencode({"client_id": portal.client_id}))[2].find(b"unauthorized_client") >= 0:
            assert time.monotonic() < until, f"{node.host} does not know {portal.client_id}"
            time.sleep(0.05)
    return portal


@pytest.fixture(scope="module")
def portal(beside: Provider, nodes: tuple[Served, Served]) -> Portal:
    return known_everywhere(nodes, beside.client("racing"))


@pytest.fixture(scope="module")
def strict(beside: Provider, nodes: tuple[Served, Served]) -> Portal:
    """A portal that nobody comes to without a second factor."""
    return known_everywhere(nodes, beside.client("strict", minimum_acr="urn:motcua:acr:ial0.aal2"))


class Caller:
    """A connection that is open before the race begins."""

    def __init__(self, node: Served) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=20)
        self._connection.connect()
        self._host = node.host

    def post(self, path: str, form: dict[str, str], headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        sent = {"Host": self._host, "Content-Type": "application/x-www-form-urlencoded", **headers}
        self._connection.request("POST", path, urlencode(form), sent)
        response = self._connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    def close(self) -> None:
        self._connection.close()


@contextmanager
def connected(nodes: tuple[Served, Served], count: int) -> Iterator[list[Caller]]:
    """Open `count` connections, half of them to each node."""
    opened = [Caller(nodes[place % 2]) for place in range(count)]
    try:
        yield opened
    finally:
        for caller in opened:
            caller.close()


@pytest.fixture
def callers(nodes: tuple[Served, Served]) -> Iterator[list[Caller]]:
    with connected(nodes, AT_ONCE) as opened:
        yield opened


def post_at_once(
    callers: list[Caller], path: str, form: dict[str, str], headers: dict[str, str]
) -> list[tuple[int, dict[str, object]]]:
    answers = at_once([partial(caller.post, path, form, headers) for caller in callers])
    return [(status, json.loads(body)) for status, _, body in answers]


def send_at_once(nodes: tuple[Served, Served], pages: list[Ready]) -> list[tuple[int, dict[str, str], bytes]]:
    """Send the forms of several browsers, half of them to each node."""
    with connected(nodes, len(pages)) as callers:
        return at_once([partial(caller.post, *page) for caller, page in zip(callers, pages, strict=True)])


def no_deadlock(engines: Engines) -> None:
    log = (engines._var / "log" / "postgres.log").read_text(encoding="utf-8", errors="replace")
    assert "database system is ready" in log
    assert "deadlock detected" not in log


def test_a_code_is_spent_once_and_a_replay_kills_what_it_bought(
    beside: Provider, portal: Portal, callers: list[Caller], engines: Engines
) -> None:
    """RFC 6749 §4.1.2; law 1: the winner's tokens die too."""
    citizen, browser = beside.person(second_factor=False), Browser(beside)
    for _ in range(ROUNDS):
        code = portal.code_for(browser, citizen, scope="openid offline_access")
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": portal.redirect_uri, "code_verifier": portal.verifier}
        answers = post_at_once(callers, "/token", form, {"Authorization": portal.authorization})

        won = [body for status, body in answers if status == 200]
        assert len(won) == 1
        assert {body["error"] for status, body in answers if status != 200} == {"invalid_grant"}
        assert portal.userinfo(str(won[0]["access_token"])).status == 401
        assert portal.introspect(str(won[0]["access_token"])) == {"active": False}
        assert portal.refresh(str(won[0]["refresh_token"])).json["error"] == "invalid_grant"
    no_deadlock(engines)


def test_a_refresh_token_is_replaced_once_and_a_replay_kills_the_family(
    beside: Provider, portal: Portal, callers: list[Caller], engines: Engines
) -> None:
    """RFC 9700 §4.14.2."""
    citizen, browser = beside.person(second_factor=False), Browser(beside)
    for _ in range(ROUNDS):
        first = portal.redeem(portal.code_for(browser, citizen, scope="openid offline_access")).json
        form = {"grant_type": "refresh_token", "refresh_token": str(first["refresh_token"])}
        answers = post_at_once(callers, "/token", form, {"Authorization": portal.authorization})

        won = [body for status, body in answers if status == 200]
        assert len(won) == 1
        assert {body["error"] for status, body in answers if status != 200} == {"invalid_grant"}
        assert portal.userinfo(str(won[0]["access_token"])).status == 401
        assert portal.userinfo(str(first["access_token"])).status == 401
        assert portal.refresh(str(won[0]["refresh_token"])).json["error"] == "invalid_grant"
    no_deadlock(engines)


def test_a_client_assertion_is_taken_once(
    beside: Provider, nodes: tuple[Served, Served], callers: list[Caller], engines: Engines
) -> None:
    """RFC 7523 §3: a `jti` counts once for each client."""
    private = new_private_key("ES256")
    signer = Signer(private)
    machine = beside.client(
        "machine",
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [private.public]},
        grant_types=["client_credentials"],
        redirect_uris=None,
        post_logout_redirect_uris=None,
        response_types=None,
        scope="registry.read",
    )
    known_everywhere(nodes, machine)
    for _ in range(ROUNDS):
        now = int(beside.clock.now().timestamp())
        claims = {
            "iss": machine.client_id,
            "sub": machine.client_id,
            "aud": beside.rooms.issuer,
            "exp": now + 60,
            "iat": now,
            "jti": new_bearer(""),
        }
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": signer.sign(claims),
        }
        answers = post_at_once(callers, "/token", form, {})

        assert [status for status, _ in answers].count(200) == 1
        assert {body["error"] for status, body in answers if status != 200} == {"invalid_client"}
    no_deadlock(engines)


def require_one_got_in(answers: list[tuple[int, dict[str, str], bytes]]) -> None:
    """The others see the page again, or waited longer than a lock may take (503): nothing was taken for them."""
    statuses = [status for status, _, _ in answers]
    assert statuses.count(303) == 1, statuses
    assert set(statuses) <= {200, 303, 503}, statuses


def test_a_one_time_code_is_taken_once_by_five_sign_ins(
    beside: Provider, strict: Portal, nodes: tuple[Served, Served], engines: Engines
) -> None:
    """NIST SP 800-63B-4 §3.1.4; a new account each round, so that no guess limit is what refuses."""
    for _ in range(ROUNDS):
        citizen = beside.person()
        waiting = [_at_the_code_page(beside, strict, citizen) for _ in range(5)]
        code = pyotp.TOTP(citizen.totp_secret).at(beside.clock.now())
        answers = send_at_once(nodes, [(action, fields | {"code": code}, headers) for action, fields, headers in waiting])
        require_one_got_in(answers)
    no_deadlock(engines)


def test_a_recovery_code_is_taken_once_by_five_sign_ins(
    beside: Provider, strict: Portal, nodes: tuple[Served, Served], engines: Engines
) -> None:
    """NIST SP 800-63B-4 §3.1.2; a new account each round, for the same reason."""
    for _ in range(FEW_ROUNDS):
        citizen = beside.person()
        answers = send_at_once(nodes, [_at_the_recovery_code_page(beside, strict, citizen) for _ in range(5)])
        require_one_got_in(answers)
    no_deadlock(engines)


def test_an_activation_code_is_taken_once_and_only_the_winner_set_a_password(
    beside: Provider, portal: Portal, nodes: tuple[Served, Served], engines: Engines
) -> None:
    """ASVS 6.4.1: browsers at the last page with one code, each with a password and a second factor of its own."""
    for _ in range(FEW_ROUNDS):
        citizen = beside.person()
        code = beside.rooms.activation.issue(citizen.account_id, by="test", origin=OPERATOR)
        passwords = [new_bearer("") for _ in range(4)]
        answers = send_at_once(nodes, [_at_the_last_page_of_activation(beside, citizen, code, password) for password in passwords])

        statuses = [status for status, _, _ in answers]
        assert statuses.count(303) == 1, statuses  # the winner is led to the recovery codes
        assert set(statuses) <= {303, 400, 503}, statuses  # 503: no place at the hash; nothing was taken
        works = [_is_let_in(beside, portal, citizen, password) for password in passwords]
        assert works == [status == 303 for status in statuses]
    no_deadlock(engines)


def test_guesses_beyond_the_limit_are_not_evaluated_however_many_come_at_once(
    beside: Provider, portal: Portal, nodes: tuple[Served, Served]
) -> None:
    """A burst on two nodes evaluates no more than the account's allowance."""
    citizen = beside.person(second_factor=False)
    answers = send_at_once(nodes, [_at_the_password_page(beside, portal, citizen) for _ in range(AT_ONCE)])
    evaluated = [status for status, _, _ in answers if status == 200]
    assert len(evaluated) <= 5
    assert {status for status, _, _ in answers} <= {200, 429, 503}


def _at_the_password_page(op: Provider, portal: Portal, citizen: Person) -> Ready:
    browser = Browser(op)
    browser.open(portal.ask())
    return _ready(browser, username=citizen.username, password="not the password")


def _at_the_code_page(op: Provider, portal: Portal, citizen: Person) -> Ready:
    """Sign in by password up to the page that asks for the code."""
    browser = Browser(op)
    browser.open(portal.ask())
    browser.submit(username=citizen.username, password=citizen.password)
    return _ready(browser)


def _at_the_recovery_code_page(op: Provider, portal: Portal, citizen: Person) -> Ready:
    """Sign in by password up to the page that takes a recovery code instead."""
    browser = Browser(op)
    browser.open(portal.ask())
    browser.submit(username=citizen.username, password=citizen.password)
    browser.open(browser.at.removesuffix("/totp") + "/recovery-code")
    return _ready(browser, code=citizen.recovery_codes[0])


def _at_the_last_page_of_activation(op: Provider, citizen: Person, code: str, password: str) -> Ready:
    """Give the code, choose the password, and set up the authenticator application that the page offers."""
    browser = Browser(op)
    browser.open("/activate")
    browser.submit(username=citizen.username, code=code)
    browser.submit(password=password, repeat=password)
    return _ready(browser, code=pyotp.TOTP(Journeys.offered_secret(browser)).at(op.clock.now()))


def _ready(browser: Browser, **filled: str) -> Ready:
    """Return where the form of the page goes, its fields, and the headers of this browser."""
    action, fields = browser.form()
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    return action or browser.at, fields | filled, {"Cookie": cookies, "Sec-Fetch-Site": "same-origin"}


def _is_let_in(op: Provider, portal: Portal, citizen: Person, password: str) -> bool:
    """Whether the password opens the account."""
    browser = Browser(op)
    browser.open(portal.ask())
    return browser.submit(username=citizen.username, password=password).status == 200 and "/consent" in browser.at

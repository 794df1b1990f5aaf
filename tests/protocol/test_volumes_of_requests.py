"""How much one address or browser may ask for: counted alike on an endpoint and its twin, and no client is locked out."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from idp.kernel.clock import FixedClock
from tests.conftest import MORNING
from tests.support.provider import Answered, Browser, Portal, Provider, make_provider


@pytest.fixture(scope="module")
def op(engines: Engines, database_urls: DatabaseUrls) -> Iterator[Provider]:
    """A provider with the limits of production."""
    provider = make_provider(engines, database_urls, FixedClock(MORNING), volume_factor=1)
    provider.rooms.volumes.reset()
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_beginnings_are_counted_by_address_whichever_way_they_come(op: Provider, portal: Portal, method: str) -> None:
    """60 a minute, and the 61st is told when to come back."""
    address = {"GET": "192.0.2.1", "POST": "192.0.2.2"}[method]

    def begin(address: str) -> Answered:
        if method == "GET":
            return op.call("GET", portal.ask(), address=address)
        return op.call("POST", "/authorize", parse_qsl(urlsplit(portal.ask()).query), address=address)

    assert [begin(address).status for _ in range(60)] == [303] * 60
    refused = begin(address)
    assert refused.status == 429
    assert 1 <= int(refused.header("retry-after") or 0) <= 60
    assert begin("192.0.2.3").status == 303
    link = re.search(r'href="([^"]+)" id="continue"', refused.text)
    assert link
    again = urlsplit(html.unescape(link[1]))
    assert again.path == ("/authorize" if method == "GET" else "/"), "what came by a form is sent anew by its portal alone"
    assert ("client_id", "portal") in parse_qsl(again.query) or method == "POST"


def test_failed_authentications_are_counted_and_the_client_itself_is_not_locked_out(op: Provider, portal: Portal) -> None:
    """Ten a minute by client and address; whoever has the secret goes on, even from the same address."""
    wrong = {"Authorization": "Basic cG9ydGFsOndyb25n"}
    form = {"token": "x"}
    statuses = [op.call("POST", "/introspect", form, headers=wrong, address="192.0.2.10").status for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    right = {"Authorization": portal.authorization}
    assert op.call("POST", "/introspect", form, headers=right, address="192.0.2.10").status == 200


def test_made_up_client_ids_share_one_allowance_and_one_key(op: Provider) -> None:
    """Whoever invents client_ids gets neither more tries nor room in memory for them."""
    invented = [f"invented-{n}-" + "x" * 30_000 for n in range(12)]
    statuses = [
        op.call("POST", "/token", {"grant_type": "refresh_token", "client_id": each}, address="192.0.2.11").status for each in invented
    ]
    assert statuses == [401] * 10 + [429] * 2


def test_wrong_codes_are_counted_by_client_and_address(op: Provider, portal: Portal) -> None:
    """20 bad codes a minute; a good one from elsewhere is not kept waiting."""

    def redeem(address: str) -> Answered:
        form = {"grant_type": "authorization_code", "code": "moc_" + "x" * 43, "redirect_uri": portal.redirect_uri}
        form["code_verifier"] = portal.verifier
        return op.call("POST", "/token", form, headers={"Authorization": portal.authorization}, address=address)

    assert [redeem("192.0.2.12").status for _ in range(21)] == [400] * 20 + [429]
    refused = redeem("192.0.2.12")
    assert refused.status == 429
    assert 1 <= int(refused.header("retry-after") or 0) <= 60
    assert refused.header("access-control-allow-origin") == "*", "a single-page application has to see when to come back"
    assert redeem("192.0.2.13").status == 400


def test_a_browser_has_twenty_sign_ins_open_and_another_when_one_has_ended(op: Provider, portal: Portal) -> None:
    """A portal that sends its visitors here again and again fills nothing but their own browser's allowance."""
    op.rooms.volumes.reset()
    citizen, browser = op.person(second_factor=False), Browser(op)
    begun = [browser.send("GET", portal.ask(prompt="login")) for _ in range(20)]
    assert [each.status for each in begun] == [303] * 20
    refused = browser.send("GET", portal.ask(prompt="login"))
    assert refused.status == 429
    assert 1 <= int(refused.header("retry-after") or 0) <= 30 * 60
    assert Browser(op).send("GET", portal.ask()).status == 303

    assert "code" in browser.sign_in(citizen, browser.open(begun[0].location)).parameters
    op.clock.advance(timedelta(seconds=1))
    assert browser.send("GET", portal.ask(prompt="login")).location.startswith("/i/")
    assert browser.send("GET", portal.ask(prompt="login")).status == 429


def test_what_came_by_a_cross_site_post_counts_once_it_has_a_browser(op: Provider, portal: Portal) -> None:
    """The twin: such a request carries no cookie, so it is counted at the GET that follows."""
    op.rooms.volumes.reset()
    browser = Browser(op)

    def begin() -> int:
        kept = op.call("POST", "/authorize", parse_qsl(urlsplit(portal.ask()).query))
        return browser.open(kept.location).status

    assert [begin() for _ in range(21)] == [200] * 20 + [429]

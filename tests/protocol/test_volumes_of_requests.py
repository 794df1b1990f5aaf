"""How much one address may ask for: counted alike on an endpoint and its twin, and no client is locked out."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from idp.kernel.clock import FixedClock
from tests.conftest import MORNING
from tests.support.provider import Answered, Portal, Provider, make_provider


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

    def redeem(address: str) -> int:
        form = {"grant_type": "authorization_code", "code": "moc_" + "x" * 43, "redirect_uri": portal.redirect_uri}
        form["code_verifier"] = portal.verifier
        return op.call("POST", "/token", form, headers={"Authorization": portal.authorization}, address=address).status

    assert [redeem("192.0.2.12") for _ in range(22)] == [400] * 20 + [429] * 2
    assert redeem("192.0.2.13") == 400

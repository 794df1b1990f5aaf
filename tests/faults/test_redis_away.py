"""Redis killed, emptied, frozen in mid-flow (law 2): nobody signed in notices, nothing used is good again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta

import pyotp
import pytest
import redis

from idp.jose import Signer, new_private_key
from idp.kernel.digests import new_bearer
from tests.support.faults import Ledger, World, asking_for_metadata, known_to, own_world
from tests.support.load import under_load, wait_until
from tests.support.provider import Browser, Person, Portal

pytestmark = pytest.mark.xdist_group("faults")

LIVE = ("authorize", "token", "userinfo")
TWO_FACTORS = "urn:motcua:acr:ial0.aal2"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with own_world() as made:
        yield made


@pytest.fixture
def flushed(world: World) -> Iterator[redis.Redis]:
    """An operator's connection, to empty the engine with."""
    operator = redis.Redis.from_url(world.engines.redis_url)
    yield operator
    operator.close()


def require_unnoticed(world: World, ledger: Ledger) -> None:
    """Every session and token went on, and what was acknowledged is there."""
    assert len(ledger.access) > 15
    ledger.require_kept(world)


def at_the_password(world: World) -> Browser:
    browser = Browser(world.op)
    page = browser.open(world.portal.ask())
    assert page.status == 200, (page.status, page.text[:300])
    return browser


def can_begin(world: World) -> bool:
    return Browser(world.op).open(world.portal.ask()).status == 200


def test_killed_it_is_missed_by_nobody_who_is_signed_in(world: World) -> None:
    """Sessions, codes, tokens need no Redis; a sign-in that begins says 503; it is back by itself."""
    ledger, waiting = Ledger(), at_the_password(world)
    with under_load(asking_for_metadata(world), ledger.signing_in(world)) as load:
        wait_until(lambda: len(ledger.access) > 5, within=20)
        world.engines.kill_valkey()
        done = len(ledger.access)
        began = time.monotonic()
        page = Browser(world.op).open(world.portal.ask())
        assert (page.status, int(page.header("retry-after") or 0) >= 1) == (503, True)
        assert waiting.submit(username=world.citizen.username, password=world.citizen.password).status == 503
        assert time.monotonic() - began < 2
        status, _, body = world.served.get("/health/ready")
        assert (status, json.loads(body)["missing"]) == (503, ["redis"])
        wait_until(lambda: len(ledger.access) > done + 10, within=20)
        world.engines.restart_valkey()
        world.settle(within=5)
        assert can_begin(world)

    assert load.statuses(*LIVE).keys() <= {200, 303}
    assert load.statuses("discovery", "jwks").keys() == {200}
    require_unnoticed(world, ledger)


def test_frozen_it_costs_who_needs_it_at_most_a_second_and_a_half(world: World) -> None:
    """Socket time-out 100-200 ms; the breaker opens within a second."""
    ledger = Ledger()
    with under_load(asking_for_metadata(world), ledger.signing_in(world)) as load:
        wait_until(lambda: len(ledger.access) > 5, within=20)
        world.engines.freeze_valkey()
        try:
            done = len(ledger.access)
            for _ in range(8):
                began = time.monotonic()
                page = Browser(world.op).open(world.portal.ask())
                assert page.status == 503
                assert time.monotonic() - began < 1.5
            wait_until(lambda: len(ledger.access) > done + 10, within=20)
        finally:
            world.engines.thaw_valkey()
        world.settle(within=5)
        assert can_begin(world)

    assert load.statuses(*LIVE).keys() <= {200, 303}
    assert max(each.took for each in load.seen if each.kind in LIVE) < 1.5
    require_unnoticed(world, ledger)


def test_a_sign_in_that_was_forgotten_says_that_it_is_over_and_begins_anew_at_the_portal(world: World, flushed: redis.Redis) -> None:
    """Emptied in mid-flow, the page says what happened; starting again works."""
    browser = at_the_password(world)
    flushed.flushall()
    page = browser.submit(username=world.citizen.username, password=world.citizen.password)
    assert page.status == 400
    assert "Lần đăng nhập này đã kết thúc" in page.text

    again = Browser(world.op, dict(browser.cookies))
    assert world.portal.code_for(again, world.citizen)


def test_emptied_it_signs_nobody_out_and_revives_no_code(world: World, flushed: redis.Redis) -> None:
    """A live session needs nothing of what was lost; a used code stays used."""
    code = world.code()
    assert world.redeem(code)[0] == 200
    unused = world.code()
    flushed.flushall()
    assert json.loads(world.redeem(code)[2])["error"] == "invalid_grant"
    assert world.redeem(unused)[0] == 200
    assert world.code()


def test_emptied_it_takes_no_client_assertion_twice(world: World, flushed: redis.Redis) -> None:
    private = new_private_key("ES256")
    signer = Signer(private)
    world.op.client(
        "machine",
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [private.public]},
        grant_types=["client_credentials"],
        redirect_uris=None,
        post_logout_redirect_uris=None,
        response_types=None,
        scope="registry.read",
    )
    known_to(world.served, "machine")
    now = int(world.op.clock.now().timestamp())
    claims = {"iss": "machine", "sub": "machine", "aud": world.served.issuer, "exp": now + 60, "iat": now, "jti": new_bearer("")}
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": signer.sign(claims),
    }
    assert world.served.post("/token", form)[0] == 200
    flushed.flushall()
    assert world.served.post("/token", form)[0] == 401


@pytest.fixture(scope="module")
def strict(world: World) -> Portal:
    portal = world.op.client("strict", minimum_acr=TWO_FACTORS)
    known_to(world.served, "strict")
    return portal


def at_the_code(world: World, strict: Portal, citizen: Person) -> Browser:
    browser = Browser(world.op)
    browser.open(strict.ask())
    browser.submit(username=citizen.username, password=citizen.password)
    assert browser.at.endswith("/totp"), browser.at
    return browser


def test_emptied_it_takes_no_one_time_password_twice(world: World, strict: Portal, flushed: redis.Redis) -> None:
    """The step is a row in PostgreSQL."""
    citizen = world.op.person()
    code = pyotp.TOTP(citizen.totp_secret).at(world.op.clock.now())
    first = at_the_code(world, strict, citizen).submit(code=code)
    assert first.status in {200, 303}
    flushed.flushall()
    second = at_the_code(world, strict, citizen)
    answered = second.submit(code=code)
    assert answered.status == 200
    assert second.at.endswith("/totp")

    later = pyotp.TOTP(citizen.totp_secret).at(world.op.clock.now() + timedelta(seconds=30))
    assert not (second.submit(code=later).status == 200 and second.at.endswith("/totp"))


def test_emptied_it_gives_nobody_fresh_guesses(world: World, flushed: redis.Redis) -> None:
    """Five guesses of a password are five, however often Redis is emptied."""
    victim = world.op.person(second_factor=False)
    for _ in range(5):
        page = at_the_password(world).submit(username=victim.username, password="not the password")
        assert page.status == 200
        flushed.flushall()
    page = at_the_password(world).submit(username=victim.username, password=victim.password)
    assert page.status == 429
    assert int(page.header("retry-after") or 0) > 0

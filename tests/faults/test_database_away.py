"""PostgreSQL killed, frozen, cut off, under load: 503 at once, no data lost, back by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.faults import Ledger, World, asking_for_metadata, own_world
from tests.support.load import Load, require_clean, under_load, wait_for_more, wait_until

pytestmark = pytest.mark.xdist_group("faults")

NEEDS_DATABASE = ("authorize", "token", "userinfo")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with own_world(durable=True) as made:
        yield made


def is_signing_in(load: Load, since: float) -> Callable[[], bool]:
    """Whether a whole sign-on was asked for and answered since then."""
    return lambda: any(each.status == 200 for each in load.since(since, "userinfo"))


def require_served(load: Load, *, within: float) -> None:
    """Discovery and JWKS were always there."""
    assert load.statuses("discovery", "jwks").keys() == {200}
    assert max(each.took for each in load.seen if each.kind in {"discovery", "jwks"}) < within


def test_killed_and_restarted_under_load_it_loses_nothing(world: World) -> None:
    """Discovery and JWKS 100 % 200; all else 503 in under 2 s; the first success at most 5 s after it is back."""
    ledger = Ledger()
    with under_load(asking_for_metadata(world), ledger.signing_in(world), ledger.signing_in(world)) as load:
        wait_until(lambda: len(ledger.access) > 20, within=20)
        killed_at = time.monotonic()
        world.engines.kill_postgres()
        wait_until(lambda: len(load.since(killed_at + 1, *NEEDS_DATABASE)) > 20, within=10)
        before = time.monotonic()
        status, headers, body = world.redeem("moc_" + "a" * 43)
        assert (status, json.loads(body)["error"]) == (503, "temporarily_unavailable")
        assert int(headers["retry-after"]) >= 1
        page = world.browser_beside().open(world.portal.ask())
        assert page.status == 503
        assert int(page.header("retry-after") or 0) >= 1
        assert "<h1" in page.text
        assert time.monotonic() - before < 2
        world.engines.restart_postgres()
        back_at = time.monotonic()
        assert wait_until(is_signing_in(load, back_at), within=5) <= 5

    down = [each for each in load.since(killed_at + 0.5, *NEEDS_DATABASE) if each.at + each.took < back_at - 0.5]
    assert {each.status for each in down} == {503}
    require_clean([each for each in load.seen if each.kind in NEEDS_DATABASE], within=2)
    require_served(load, within=2)
    ledger.require_kept(world)


def test_frozen_it_costs_three_seconds_once_and_then_nothing(world: World) -> None:
    """A frozen server: 503 in at most 3.5 s, at once while the breaker is open; it recovers by itself."""
    ledger = Ledger()
    with under_load(asking_for_metadata(world), *[ledger.signing_in(world) for _ in range(3)]) as load:
        wait_until(lambda: len(ledger.access) > 20, within=20)
        frozen_at = time.monotonic()
        world.engines.freeze_postgres()
        try:
            later = frozen_at + 4
            wait_until(lambda: len([each for each in load.since(later, *NEEDS_DATABASE) if each.took < 0.3]) > 20, within=20)
        finally:
            world.engines.thaw_postgres()
        back_at = time.monotonic()
        wait_until(is_signing_in(load, back_at), within=5)

    require_clean([each for each in load.seen if each.kind in NEEDS_DATABASE], within=3.5)
    require_served(load, within=3.5)
    world.settle()
    ledger.require_kept(world)


def test_sessions_that_are_ended_again_and_again_cost_a_few_answers_and_no_500(world: World) -> None:
    """Nothing is retried blindly, so what was under way is a 503; whatever was idle is replaced without anybody noticing."""
    ledger = Ledger()
    rounds = 15
    with under_load(asking_for_metadata(world), ledger.signing_in(world), ledger.signing_in(world)) as load:
        for _ in range(rounds):
            wait_for_more(ledger.access, 8, within=20)
            world.owner("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'idp_app'")

    require_clean(load.seen, within=2)
    require_served(load, within=2)
    refused = [each for each in load.seen if each.status == 503]
    assert len(refused) <= 3 * rounds
    ledger.require_kept(world)


def test_a_locked_table_refuses_who_needs_it_and_lets_the_others_go_on(world: World) -> None:
    """The lock time-out of a second answers; nobody waits for the statement time-out."""
    code = world.code()
    tokens = json.loads(world.redeem(world.code())[2])
    with world.engines.connect_superuser("faults") as superuser, superuser.transaction():
        superuser.execute("LOCK TABLE code IN ACCESS EXCLUSIVE MODE")
        for _ in range(4):
            began = time.monotonic()
            status, headers, _ = world.redeem(code)
            assert status == 503
            assert "retry-after" in headers
            assert 0.8 < time.monotonic() - began < 2
            bearer = {"Authorization": "Bearer " + tokens["access_token"]}
            assert world.served.get("/userinfo", bearer)[0] == 200
    assert world.redeem(code)[0] == 200

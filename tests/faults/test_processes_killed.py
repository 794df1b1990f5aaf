"""The provider's processes killed at any moment, and started again without repair."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from idp.kernel.digests import digest
from tests.support.faults import Ledger, World, own_world, require_leaves
from tests.support.load import Load, under_load, wait_for_more, wait_until
from tests.support.races import at_once
from tests.support.served import Served

pytestmark = pytest.mark.xdist_group("faults")

WORKERS = 3
ROUNDS = 9
WHOLE_KILLS = 4
CRASH_LOOP = 6.0
"""The server takes two deaths of one worker within 5.5 s for a crash loop, and ends: a supervisor's business."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with own_world() as made:
        yield made


@pytest.fixture(scope="module")
def nodes(world: World) -> Iterator[tuple[Served, Served]]:
    """Two more nodes of the same provider, whose processes will be killed."""
    made = (beside(world, WORKERS), beside(world, WORKERS))
    yield made
    for node in made:
        node.stop()


def beside(world: World, workers: int = 1) -> Served:
    """Start another node of the world's provider."""
    node = Served(world.engines, world.urls, workers=workers)
    node.wrapping, node.issuer, node.host = world.served.wrapping, world.served.issuer, world.served.host
    return node.start()


class Retrying:
    """A portal that writes down what was acknowledged, and tries a code once more whenever it got no answer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger = Ledger()
        self.lost = 0
        self.retried = 0

    def at(self, node: Served) -> Callable[[Load], Callable[[], None]]:
        def step_of(load: Load) -> Callable[[], None]:
            world = self.world
            form = {"grant_type": "authorization_code", "redirect_uri": world.portal.redirect_uri, "code_verifier": world.portal.verifier}
            headers = {"Authorization": world.portal.authorization}

            def step() -> None:
                code = world.code()
                status, _, body = load.timed("token", lambda: node.post("/token", form | {"code": code}, headers))
                if status == 0:
                    self.retried += 1
                    status, _, body = load.timed("again", lambda: world.redeem(code))
                if status == 200:
                    tokens = json.loads(body)
                    self.ledger.codes.append(code)
                    self.ledger.access.append(tokens["access_token"])
                else:
                    assert json.loads(body)["error"] == "invalid_grant", (status, body)
                    self.lost += 1

            return step

        return step_of


def has_come(moment: float) -> bool:
    return time.monotonic() > moment


def test_workers_and_whole_nodes_killed_at_random_moments_break_no_invariant(world: World, nodes: tuple[Served, Served]) -> None:
    """A code that was lost with its answer is a clean invalid_grant; nothing acknowledged is missing, nothing is there twice."""
    chance, portal, killed = random.Random(19), Retrying(world), 0  # noqa: S311 - moments, not secrets
    last_killed: dict[int, float] = {}
    with under_load(*[portal.at(node) for node in nodes for _ in range(2)], pause=0) as load:
        for turn in range(ROUNDS):
            place = 1 + turn % WORKERS
            again_at = last_killed.get(place, 0.0) + CRASH_LOOP
            wait_until(partial(has_come, again_at), within=10)
            victims = [pid_of(node, place) for node in nodes]
            for pid in victims:
                time.sleep(chance.uniform(0, 0.05))  # not for luck: the moment of the kill is what varies
                os.kill(pid, signal.SIGKILL)
            last_killed[place] = time.monotonic()
            killed += len(victims)
        for _ in range(WHOLE_KILLS):
            wait_for_more(load.seen, 11, within=20)
            for node in nodes:
                time.sleep(chance.uniform(0, 0.05))
                node.kill()
            at_once([node.start for node in nodes])
            killed += len(nodes) * (1 + WORKERS)

    assert killed >= 50
    assert portal.retried >= 10, "the kills hit nothing"
    assert load.statuses("token").keys() <= {0, 200}
    assert load.statuses("again").keys() <= {200, 400}
    portal.ledger.require_kept(world)
    require_nothing_twice(world)
    assert require_leaves(world) > len(portal.ledger.codes)


def pid_of(node: Served, place: int) -> int:
    """Return the process that has the worker's place now, once it lives."""
    wait_until(lambda: len(node.worker_pids()) == WORKERS, within=15, what=f"{node.log.read_text()[-1500:]}")
    spawned = re.findall(rf"Spawning worker-{place} with PID: (\d+)", node.log.read_text())
    return int(spawned[-1])


def require_nothing_twice(world: World) -> None:
    """Each used code has one record that says so, and bought one access token."""
    twice = world.owner(
        """
        SELECT c.family_id, count(DISTINCT e.id), count(DISTINCT t.digest) FROM code c
        JOIN audit_event e ON e.family_id = c.family_id AND e.kind = 'grants.code_redeemed'
        LEFT JOIN access_token t ON t.family_id = c.family_id
        WHERE c.used_at IS NOT NULL
        GROUP BY c.family_id HAVING count(DISTINCT e.id) <> 1 OR count(DISTINCT t.digest) <> 1
        """
    )
    assert twice == []
    silent = world.owner(
        """
        SELECT count(*) FROM code c WHERE c.used_at IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM audit_event e WHERE e.family_id = c.family_id AND e.kind LIKE 'grants.code_re%')
        """
    )
    assert silent == [(0,)]


def test_when_the_first_process_is_killed_its_workers_end_and_the_next_start_finds_the_port_free(world: World) -> None:
    """Issue 4: killed with SIGKILL at any moment, it starts again without repair."""
    node = beside(world)
    workers = node.worker_pids()
    assert node.process is not None
    os.kill(node.process.pid, signal.SIGKILL)
    node.process.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in workers), within=5, what="the workers end")
    node.start()
    assert node.get("/health/ready")[0] == 200
    node.stop()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_code_whose_answer_was_lost_is_refused_cleanly_the_second_time(world: World) -> None:
    """The answer is cut after the commit; the same code again is `invalid_grant`, and what it bought is dead."""
    node, code, answers = beside(world), world.code(), []

    def ask() -> None:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": world.portal.redirect_uri}
        headers = {"Authorization": world.portal.authorization}
        try:
            answers.append(node.post("/token", form | {"code_verifier": world.portal.verifier}, headers)[0])
        except OSError:
            answers.append(0)

    with world.engines.connect_superuser("faults") as superuser, superuser.transaction():
        superuser.execute("LOCK TABLE audit_event IN SHARE MODE")  # the step waits in the middle
        asking = threading.Thread(target=ask)
        asking.start()
        waiting = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE NOT l.granted AND c.relname LIKE 'audit%%'"
        wait_until(lambda: superuser.execute(waiting).fetchone() != (0,), within=5)
        node.kill()
        asking.join()
    assert answers == [0]
    wait_until(lambda: world.owner("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%code SET used_at%'")
               == [(1,)], within=5)  # this look itself is the only one
    used = world.owner("SELECT used_at IS NOT NULL FROM code WHERE digest = %(digest)s", {"digest": digest(code)}) == [(True,)]
    assert world.settled(code) == ((400, "invalid_grant") if used else (200, ""))
    assert world.settled(code) == (400, "invalid_grant")

"""Work that is done again and again by one worker at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from idp.audit.model import Origin
from idp.audit.store import record
from idp.demo.engines import DatabaseUrls
from idp.jobs.periodic import Every, PeriodicWork, make_partitions_ahead
from idp.kernel.clock import FixedClock
from idp.sessions.model import SessionEnded
from idp.storage.postgres import Database


@pytest.fixture(scope="module")
def worker_database(database_urls: DatabaseUrls) -> Iterator[Database]:
    opened = Database(database_urls.worker)
    yield opened
    opened.close()


def test_work_is_done_when_due_and_not_before(worker_database: Database, clock: FixedClock) -> None:
    done: list[int] = []
    work, every = PeriodicWork(worker_database, clock), Every(timedelta(minutes=5), lambda: done.append(1))
    assert work.run_if_due("when due", every)
    assert not work.run_if_due("when due", every)
    clock.advance(timedelta(minutes=4))
    assert not work.run_if_due("when due", every)
    clock.advance(timedelta(minutes=1))
    assert work.run_if_due("when due", every)
    assert len(done) == 2


def test_of_eight_workers_one_does_the_work(worker_database: Database, clock: FixedClock) -> None:
    done: list[int] = []
    barrier = threading.Barrier(8)
    every = Every(timedelta(seconds=5), lambda: done.append(1))

    def run(_: int) -> bool:
        barrier.wait()
        return PeriodicWork(worker_database, clock).run_if_due("one of eight", every)

    with ThreadPoolExecutor(8) as workers:
        assert sum(workers.map(run, range(8))) == 1
    assert len(done) == 1


def test_work_that_fails_is_tried_again_soon_and_stops_nothing(worker_database: Database, clock: FixedClock) -> None:
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise ZeroDivisionError

    work, every = PeriodicWork(worker_database, clock), Every(timedelta(days=1), fail)
    assert work.run_if_due("fails", every)
    clock.advance(timedelta(seconds=29))
    assert not work.run_if_due("fails", every)
    clock.advance(timedelta(seconds=1))
    assert work.run_if_due("fails", every)
    assert len(tries) == 2


def test_work_of_a_worker_that_was_killed_is_taken_by_another_after_its_lease(worker_database: Database, clock: FixedClock) -> None:
    killed, done = PeriodicWork(worker_database, clock), []

    def die() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        killed.run_if_due("killed", Every(timedelta(days=1), die))
    every = Every(timedelta(days=1), lambda: done.append(1))
    assert not PeriodicWork(worker_database, clock).run_if_due("killed", every)
    clock.advance(timedelta(seconds=30))
    assert PeriodicWork(worker_database, clock).run_if_due("killed", every)
    assert done == [1]


def test_work_for_the_start_of_a_worker_is_done_then_unless_it_is_under_way(worker_database: Database, clock: FixedClock) -> None:
    done: list[int] = []
    work = PeriodicWork(worker_database, clock)
    every = Every(timedelta(days=1), lambda: done.append(1), at_start=True)
    assert work.run_if_due("at start", every, is_start=True)
    assert not work.run_if_due("at start", every)
    assert work.run_if_due("at start", every, is_start=True)
    within = Every(timedelta(days=1), lambda: done.append(int(work.run_if_due("at start", every, is_start=True))), at_start=True)
    assert work.run_if_due("at start", within, is_start=True)
    assert done == [1, 1, 0]


def test_the_worker_makes_partitions_that_its_role_could_not_create(
    worker_database: Database, owner_database: Database, clock: FixedClock
) -> None:
    """Design §3: made seven days ahead through a SECURITY DEFINER function; the second time there is nothing to do."""
    clock.advance(timedelta(days=28))
    assert make_partitions_ahead(worker_database, clock) == 2
    assert make_partitions_ahead(worker_database, clock) == 0
    with owner_database.transaction() as transaction:
        found = transaction.all(
            "SELECT relname FROM pg_class WHERE relname IN ('audit_event_2026_07', 'login_event_2026_07') ORDER BY relname"
        )
    assert [row.relname for row in found] == ["audit_event_2026_07", "login_event_2026_07"]


def test_rows_that_came_before_their_partition_move_into_it(
    worker_database: Database, owner_database: Database, clock: FixedClock
) -> None:
    """A worker that was away for months: what lay in the default partition neither forbids the new one nor is lost."""
    clock.advance(timedelta(days=1000))  # beyond every month that real time has reached
    with worker_database.transaction() as transaction:
        record(transaction, SessionEnded(Origin.operated("test"), reason="signed_out", portals=0), clock.now())
    assert make_partitions_ahead(worker_database, clock) >= 2
    with owner_database.transaction() as transaction:
        found = transaction.all("SELECT tableoid::regclass::text AS part FROM audit_event WHERE at = %(at)s", {"at": clock.now()})
        left = transaction.all("SELECT id FROM audit_event_default")
        indexes = transaction.all(
            "SELECT indexrelid FROM pg_index WHERE indrelid = 'audit_event_2029_02'::regclass AND indisvalid ORDER BY 1"
        )
        parent = transaction.all("SELECT indexrelid FROM pg_index WHERE indrelid = 'audit_event'::regclass AND indisvalid")
    assert [row.part for row in found] == ["audit_event_2029_02"]
    assert left == []
    assert len(indexes) == len(parent)

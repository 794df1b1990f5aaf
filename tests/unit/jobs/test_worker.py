"""What the worker makes of what handlers do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from idp.jobs import Again, Handler, Jobs, Later
from idp.jobs.worker import build_worker
from idp.kernel.clock import SystemClock
from idp.storage.postgres import Database

JOBS = "SELECT id, status FROM procrastinate_jobs WHERE task_name = %(task)s"
LISTENING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'idp worker' AND state = 'idle' AND query ILIKE 'listen %'
"""
SWITCH_NOTIFYING = "ALTER TABLE procrastinate_jobs {} TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1"
SELDOM = timedelta(hours=1)
"""How often a worker looks that has to be woken: far beyond any limit here."""
BEGUN_HERE = """
INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id)
VALUES ('tests', %(task)s, 'doing', (SELECT max(id) FROM procrastinate_workers))
"""


@contextmanager
def running(
    urls: DatabaseUrls,
    handlers: Mapping[str, Handler],
    periodic: Mapping[str, tuple[timedelta, Callable[[], object]]] | None = None,
    **options: timedelta,
) -> Iterator[threading.Thread]:
    worker = build_worker(urls.worker, SystemClock(), handlers=handlers, periodic=periodic or {}, **options)  # type: ignore[arg-type]  # one option
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield thread
    finally:
        worker.stop()
        thread.join(20)
        assert not thread.is_alive()


def defer(database: Database, task: str, **given: Any) -> None:
    with database.transaction() as transaction:
        Jobs().defer(transaction, Later(task, queue="tests", given=given))


def statuses(database: Database, task: str) -> list[str]:
    with database.transaction() as transaction:
        return [row.status for row in transaction.all(JOBS, {"task": task})]


def wait_until(holds: Callable[[], bool], *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@contextmanager
def unheard(owner: Database) -> Iterator[None]:
    """Have nobody told of the jobs that are deferred meanwhile."""
    with owner.transaction() as transaction:
        transaction.run(SWITCH_NOTIFYING.format("DISABLE"))
    try:
        yield
    finally:
        with owner.transaction() as transaction:
            transaction.run(SWITCH_NOTIFYING.format("ENABLE"))


def wait_until_it_listens(engines: Engines, urls: DatabaseUrls) -> None:
    with engines.connect_superuser(urlsplit(urls.app).path.lstrip("/")) as superuser:
        wait_until(lambda: (superuser.execute(LISTENING).fetchone() or (0,))[0] > 0, seconds=10)


def test_a_job_begins_because_the_worker_was_notified(engines: Engines, database: Database, database_urls: DatabaseUrls) -> None:
    """Design §3: LISTEN/NOTIFY. This worker looks once an hour, so nothing else explains that it begins."""
    begun: list[float] = []
    with running(database_urls, {"tests.notified": lambda _: begun.append(time.monotonic())}, poll_every=SELDOM):
        wait_until_it_listens(engines, database_urls)
        for number in range(1, 6):
            defer(database, "tests.notified")
            wait_until(lambda number=number: len(begun) == number, seconds=4)  # type: ignore[misc]  # on a busy machine
            wait_until(lambda: statuses(database, "tests.notified") == [], seconds=5)


def test_a_job_whose_notification_was_lost_is_found_by_looking(
    engines: Engines, database: Database, owner_database: Database, database_urls: DatabaseUrls
) -> None:
    """Beside it the control: a worker that looks once an hour does not find it, until it is notified of another one."""
    begun: list[Mapping[str, Any]] = []
    with running(database_urls, {"tests.lost": begun.append}):
        wait_until_it_listens(engines, database_urls)
        with unheard(owner_database):
            defer(database, "tests.lost", number=1)
            wait_until(lambda: begun == [{"number": 1}], seconds=8)
        wait_until(lambda: statuses(database, "tests.lost") == [], seconds=5)

    with running(database_urls, {"tests.lost": begun.append}, poll_every=SELDOM):
        wait_until_it_listens(engines, database_urls)
        with unheard(owner_database):
            defer(database, "tests.lost", number=2)
            time.sleep(4)  # four times as long as the other one looks away
            assert (begun[1:], statuses(database, "tests.lost")) == ([], ["todo"])
        defer(database, "tests.lost", number=3)
        wait_until(lambda: sorted(each["number"] for each in begun) == [1, 2, 3], seconds=8)


def test_a_job_is_done_with_what_it_was_given_and_removed(database: Database, database_urls: DatabaseUrls) -> None:
    done: list[Mapping[str, Any]] = []
    with running(database_urls, {"tests.done": done.append}):
        defer(database, "tests.done", name="Nguyễn", many=[1, 2])
        wait_until(lambda: done == [{"name": "Nguyễn", "many": [1, 2]}], seconds=5)
        wait_until(lambda: statuses(database, "tests.done") == [], seconds=5)


def test_a_handler_decides_when_its_job_comes_again(database: Database, database_urls: DatabaseUrls) -> None:
    tries: list[float] = []

    def handle(_: Mapping[str, Any]) -> None:
        tries.append(time.monotonic())
        if len(tries) < 2:
            raise Again(timedelta(seconds=2))

    with running(database_urls, {"tests.again": handle}):
        defer(database, "tests.again")
        wait_until(lambda: len(tries) == 2, seconds=8)
        wait_until(lambda: statuses(database, "tests.again") == [], seconds=5)
    assert 2.0 <= tries[1] - tries[0] < 4.0


def test_a_handler_that_fails_gets_its_job_again_and_what_it_raised_is_logged_without_values(
    database: Database, database_urls: DatabaseUrls, caplog: pytest.LogCaptureFixture
) -> None:
    """Law 10: no person and no secret in a log."""
    tries: list[int] = []

    def handle(_: Mapping[str, Any]) -> None:
        tries.append(1)
        if len(tries) < 2:
            raise LookupError("0912345678")

    with running(database_urls, {"tests.fails": handle}):
        defer(database, "tests.fails")
        wait_until(lambda: len(tries) == 2, seconds=8)
    assert "tests.fails failed: LookupError at test_worker.py" in caplog.text
    assert "0912345678" not in caplog.text


def test_a_job_that_an_older_worker_did_not_know_is_done_by_one_that_does(
    database: Database, database_urls: DatabaseUrls
) -> None:
    """A rolling update: the older one puts it down as failed."""
    done: list[object] = []
    with running(database_urls, {}):
        defer(database, "tests.newer")
        wait_until(lambda: statuses(database, "tests.newer") == ["failed"], seconds=8)
    with running(database_urls, {"tests.newer": done.append}):
        wait_until(lambda: done == [{}], seconds=8)


def test_a_job_whose_end_could_not_be_written_is_done_again(
    database: Database, owner_database: Database, database_urls: DatabaseUrls
) -> None:
    """The worker lives and does not do it, yet it stands there as being done by it."""
    done: list[object] = []
    with running(database_urls, {"tests.unended": done.append}):
        defer(database, "tests.unended")
        wait_until(lambda: done == [{}], seconds=5)
        with owner_database.transaction() as transaction:
            transaction.run(BEGUN_HERE, {"task": "tests.unended"})
        wait_until(lambda: done == [{}, {}], seconds=12)


def test_eight_jobs_are_done_at_once(database: Database, database_urls: DatabaseUrls) -> None:
    at_once = threading.Barrier(8)
    passed: list[int] = []

    def handle(_: Mapping[str, Any]) -> None:
        at_once.wait(10)
        passed.append(1)

    with running(database_urls, {"tests.together": handle}):
        for _ in range(8):
            defer(database, "tests.together")
        wait_until(lambda: len(passed) == 8, seconds=10)


def test_periodic_work_goes_on_after_it_failed(database: Database, database_urls: DatabaseUrls) -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise LookupError

    with running(database_urls, {}, {"tests work": (timedelta(seconds=1), work)}):
        wait_until(lambda: len(tries) >= 3, seconds=10)

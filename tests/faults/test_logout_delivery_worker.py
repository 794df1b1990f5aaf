"""The worker tells portals whatever happens to it (nobody blocks the others; killed, it loses nothing)."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from idp.demo.engines import DatabaseUrls, Engines, TemporaryEngines
from idp.kernel.clock import SystemClock
from idp.storage.breaker import EngineAway
from idp.storage.migrations import migrate
from idp.storage.postgres import Database
from tests.support.ended_sessions import House, start_worker_process
from tests.support.portal_sink import PortalSink

LOCK = """
INSERT INTO account_lock (id, account_id, reason, legal_basis, placed_by, placed_at)
VALUES (gen_random_uuid(), %(account_id)s, 'lost device', 'holder asked', 'test', %(now)s)
"""
OPEN_JOBS = """
SELECT count(*) AS jobs
FROM procrastinate_jobs j
JOIN logout_notice n ON n.id = (j.args ->> 'notice')::uuid
WHERE n.session_id = ANY(%(session_ids)s)
"""
NEWEST_WORKER = "SELECT coalesce(max(id), 0) AS id FROM procrastinate_workers"
LISTENING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'idp worker' AND state = 'idle' AND query ILIKE 'listen %'
"""
KILL_CONNECTIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'idp_worker' AND datname = current_database()"


@pytest.fixture
def sink() -> Iterator[PortalSink]:
    with PortalSink() as running:
        yield running


@pytest.fixture
def house(database: Database) -> House:
    made = House.over(database, SystemClock())
    made.make_keys()
    return made


@contextmanager
def running_worker(urls: DatabaseUrls, house: House, sink: PortalSink, **options: timedelta) -> Iterator[subprocess.Popen[bytes]]:
    before = read(house, NEWEST_WORKER, "id")
    process = start_worker_process(urls, sink.origin, **options)
    try:
        wait_until(lambda: read(house, NEWEST_WORKER, "id") > before, seconds=20)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)


def read(house: House, statement: str, column: str, parameters: dict[str, object] | None = None) -> int:
    with house.database.transaction() as transaction:
        row = transaction.one(statement, parameters)
    assert row is not None
    return int(getattr(row, column))


def open_jobs(house: House, *session_ids: UUID) -> int:
    return read(house, OPEN_JOBS, "jobs", {"session_ids": list(session_ids)})


def has_no_job(house: House, session_id: UUID) -> bool:
    return open_jobs(house, session_id) == 0


def wait_until(holds: Callable[[], bool], *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def add_portals(house: House, sink: PortalSink, **modes: str) -> list[str]:
    for name, mode in modes.items():
        sink.modes[name] = mode.split()
    house.add_portals({name: sink.url(name) for name in modes})
    return list(modes)


def test_a_portal_that_hangs_and_one_that_fails_hold_up_no_other(
    database_urls: DatabaseUrls, house: House, sink: PortalSink
) -> None:
    """Of five portals one hangs and one fails twice: the others are told before a first call to it has been given up (5 s), and the failing one a little later."""
    names = add_portals(house, sink, hangs="hang", fails="500 500 ok", one="ok", two="ok", three="ok")
    with running_worker(database_urls, house, sink):
        account_id = house.add_account()
        sessions = [house.begin_session(account_id, names) for _ in range(5)]
        for session_id in sessions:
            assert house.end(session_id) == 5
        assert sink.wait_for(["one", "two", "three"], seconds=4.5, times=5)
        assert sink.wait_for(["fails"], seconds=10, times=7)
        quick = house.clients.show("one.portal").id

        def told() -> bool:
            return all(
                notice.state == "told"
                for session_id in sessions
                for notice in house.sessions.notices(session_id)
                if notice.client_id == quick
            )

        wait_until(told, seconds=10)


def test_a_job_begins_within_a_second(database_urls: DatabaseUrls, engines: Engines, house: House, sink: PortalSink) -> None:
    """Design §3: woken by LISTEN/NOTIFY. This worker looks once an hour, so nothing else explains that it begins."""
    names = add_portals(house, sink, prompt="ok")
    with running_worker(database_urls, house, sink, poll_every=timedelta(hours=1)):
        with engines.connect_superuser(urlsplit(database_urls.app).path.lstrip("/")) as superuser:
            wait_until(lambda: (superuser.execute(LISTENING).fetchone() or (0,))[0] > 0, seconds=30)
        account_id = house.add_account()
        for times in range(1, 6):
            session_id = house.begin_session(account_id, names)
            house.end(session_id)
            assert sink.wait_for(names, seconds=4.0, times=times)  # a busy machine is no reason to fail
            wait_until(partial(has_no_job, house, session_id), seconds=5)


def test_a_worker_killed_in_the_middle_loses_nothing(database_urls: DatabaseUrls, house: House, sink: PortalSink) -> None:
    """SIGKILL while a portal is being told: after a restart it is told, and what waited behind it too."""
    names = add_portals(house, sink, stuck="hang ok", behind="ok")
    session_id = house.begin_session(house.add_account(), names)
    with running_worker(database_urls, house, sink) as process:
        house.end(session_id)
        assert sink.wait_for(["stuck"], seconds=5)
        process.kill()
        process.wait(10)
    assert open_jobs(house, session_id) >= 1
    with running_worker(database_urls, house, sink):
        assert sink.wait_for(["stuck"], seconds=30, times=2)
        wait_until(lambda: {each.state for each in house.sessions.notices(session_id)} == {"told"}, seconds=5)
        wait_until(lambda: open_jobs(house, session_id) == 0, seconds=5)
    first, second = (each.form["logout_token"] for each in sink.received["stuck"])
    assert first != second


def test_a_worker_told_to_end_finishes_what_it_began(database_urls: DatabaseUrls, house: House, sink: PortalSink) -> None:
    """SIGTERM: the call under way comes to its end, its outcome is recorded, and the process ends well."""
    names = add_portals(house, sink, slow="hang")
    session_id = house.begin_session(house.add_account(), names)
    with running_worker(database_urls, house, sink) as process:
        house.end(session_id)
        assert sink.wait_for(["slow"], seconds=5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    notice = house.sessions.notices(session_id)[0]
    assert (notice.attempts, notice.last_outcome) == (1, "timeout")


def test_sessions_of_a_locked_account_end_and_their_portals_are_told(
    database_urls: DatabaseUrls, owner_database: Database, house: House, sink: PortalSink
) -> None:
    """Law 8 and design §4: a lock ends sessions because a view joins it, and tells portals because a job does."""
    names = add_portals(house, sink, locked="ok")
    account_id = house.add_account()
    house.begin_session(account_id, names)
    with running_worker(database_urls, house, sink):
        with owner_database.transaction() as transaction:
            transaction.run(LOCK, {"account_id": account_id, "now": house.clock.now()})
            transaction.run("UPDATE account SET not_before = %(now)s WHERE id = %(id)s", {"id": account_id, "now": house.clock.now()})
        assert sink.wait_for(names, seconds=15)


def test_two_workers_tell_each_portal_once(database_urls: DatabaseUrls, house: House, sink: PortalSink) -> None:
    names = add_portals(house, sink, shared="ok")
    with running_worker(database_urls, house, sink), running_worker(database_urls, house, sink):
        account_id = house.add_account()
        sessions = [house.begin_session(account_id, names) for _ in range(40)]
        for session_id in sessions:
            house.end(session_id)
        assert sink.wait_for(names, seconds=15, times=40)
        wait_until(lambda: open_jobs(house, *sessions) == 0, seconds=5)
    assert len(sink.received["shared"]) == 40


def test_a_worker_whose_connections_were_cut_goes_on(
    database_urls: DatabaseUrls, owner_database: Database, engines: Engines, house: House, sink: PortalSink
) -> None:
    names = add_portals(house, sink, cut="ok")
    with running_worker(database_urls, house, sink):
        with engines.connect_superuser(urlsplit(database_urls.app).path.lstrip("/")) as superuser:
            superuser.execute(KILL_CONNECTIONS)
        session_id = house.begin_session(house.add_account(), names)
        house.end(session_id)
        assert sink.wait_for(names, seconds=20)


def test_a_worker_outlives_its_database(sink: PortalSink) -> None:
    """PostgreSQL killed and started again while a portal is being told: the job is not lost, and the worker comes back by itself."""
    with TemporaryEngines(durable=True) as engines:
        urls = engines.make_database("outage")
        migrate(urls.owner, SystemClock().now().date(), lambda _: None)
        database = Database(urls.app)
        house = House.over(database, SystemClock())
        house.make_keys()
        names = add_portals(house, sink, outage="hang ok")
        session_id = house.begin_session(house.add_account(), names)
        with running_worker(urls, house, sink) as process:
            house.end(session_id)
            assert sink.wait_for(names, seconds=5)
            engines.kill_postgres()
            engines.restart_postgres()

            def told() -> bool:
                try:
                    return {each.state for each in house.sessions.notices(session_id)} == {"told"}
                except EngineAway:
                    return False

            wait_until(told, seconds=45)
            assert process.poll() is None
        database.close()

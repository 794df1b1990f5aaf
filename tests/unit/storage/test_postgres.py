"""The two doors to PostgreSQL, and what each does when the server goes away in the middle (design §3)."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
import sqlalchemy.exc

from idp.demo.engines import DatabaseUrls, Engines, TemporaryEngines
from idp.storage.breaker import EngineAway
from idp.storage.postgres import Database
from tests.support.load import wait_until

PID = "SELECT pg_backend_pid() AS pid"
ADD = "INSERT INTO counted (id) VALUES (%(id)s) RETURNING id"
COUNT = "SELECT count(*) AS rows FROM counted WHERE id = %(id)s"


@pytest.fixture(scope="module")
def own() -> Iterator[Engines]:
    with TemporaryEngines() as engines:
        yield engines


@pytest.fixture(scope="module")
def urls(own: Engines) -> DatabaseUrls:
    made = own.make_database("doors")
    with psycopg.connect(made.owner) as owner:
        owner.execute("CREATE TABLE counted (id integer PRIMARY KEY)")
        owner.execute("GRANT SELECT, INSERT, UPDATE ON counted TO idp_app")
    return made


@pytest.fixture
def doors(urls: DatabaseUrls) -> Iterator[Database]:
    """A database whose watchdog waits less than a second, not three."""
    opened = Database(urls.app, call_limit=0.8)
    yield opened
    opened.close()


def backend(doors: Database) -> int:
    return int(doors.step(PID, {}).pid)  # type: ignore[union-attr]  # it has one row


def pooled_backend(doors: Database) -> int:
    with doors.transaction() as transaction:
        return int(transaction.one(PID).pid)  # type: ignore[union-attr]  # it has one row


def is_back(doors: Database) -> bool:
    try:
        return backend(doors) > 0
    except EngineAway:
        return False


def count(doors: Database, number: int) -> int:
    with doors.transaction() as transaction:
        return int(transaction.one(COUNT, {"id": number}).rows)  # type: ignore[union-attr]  # it has one row


def test_a_thread_keeps_its_connection_from_step_to_step(doors: Database) -> None:
    assert len({backend(doors) for _ in range(5)}) == 1


def test_an_idle_connection_is_replaced_after_a_restart_without_an_error(own: Engines, doors: Database) -> None:
    kept, pooled = backend(doors), pooled_backend(doors)
    own.restart_postgres()
    assert backend(doors) != kept
    assert pooled_backend(doors) != pooled


def test_an_idle_connection_that_was_ended_is_replaced_without_an_error(own: Engines, doors: Database) -> None:
    kept, pooled = backend(doors), pooled_backend(doors)
    with own.connect_superuser("doors") as superuser:
        for pid in (kept, pooled):
            superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert backend(doors) != kept
    assert pooled_backend(doors) != pooled


def test_a_step_whose_connection_is_ended_under_it_says_away_and_is_not_sent_again(doors: Database) -> None:
    """A write whose commit is unknown is never repeated."""
    with pytest.raises(EngineAway):
        doors.step("SELECT pg_terminate_backend(pg_backend_pid())", {})
    assert backend(doors) > 0


def test_a_killed_server_is_away_at_once_and_back_within_two_seconds(own: Engines, doors: Database) -> None:
    backend(doors)
    own.kill_postgres()
    began = time.monotonic()
    for _ in range(10):
        with pytest.raises(EngineAway):
            doors.step(PID, {})
        with pytest.raises(EngineAway), doors.transaction() as transaction:
            transaction.one(PID)
    assert time.monotonic() - began < 1
    own.restart_postgres()
    assert wait_until(lambda: is_back(doors), within=10) < 4


def test_a_frozen_server_holds_a_step_no_longer_than_the_limit_and_nobody_after_it(own: Engines, doors: Database) -> None:
    backend(doors)
    own.freeze_postgres()
    try:
        began = time.monotonic()
        with pytest.raises(EngineAway):
            doors.step(PID, {})
        assert 0.7 < time.monotonic() - began < 3
        began = time.monotonic()
        with pytest.raises(EngineAway, match="breaker open"):
            doors.step(PID, {})
        assert time.monotonic() - began < 0.4
    finally:
        own.thaw_postgres()
    assert wait_until(lambda: is_back(doors), within=5) < 4


def test_a_connection_to_a_frozen_server_is_given_up_after_two_seconds(own: Engines, urls: DatabaseUrls) -> None:
    own.freeze_postgres()
    fresh = Database(urls.app)
    try:
        began = time.monotonic()
        with pytest.raises(EngineAway):
            fresh.step(PID, {})
        assert time.monotonic() - began < 6
        with pytest.raises(EngineAway, match="breaker open"):
            fresh.breaker.admit()
    finally:
        own.thaw_postgres()
        fresh.close()


def test_a_server_that_freezes_before_the_commit_is_given_up_too(own: Engines, doors: Database) -> None:
    began = 0.0

    def add() -> None:
        nonlocal began
        with doors.transaction() as transaction:
            transaction.run(ADD, {"id": 1})
            own.freeze_postgres()
            began = time.monotonic()

    try:
        with pytest.raises(EngineAway):
            add()
        assert time.monotonic() - began < 3
    finally:
        own.thaw_postgres()
    wait_until(lambda: is_back(doors), within=5)


def test_a_statement_that_takes_too_long_is_ended_by_the_server_and_the_connection_stays(urls: DatabaseUrls) -> None:
    patient = Database(urls.app)
    kept = backend(patient)
    patient.step("SELECT set_config('statement_timeout', '100ms', false)", {})
    with pytest.raises(EngineAway, match="QueryCanceled"):
        patient.step("SELECT pg_sleep(5)", {})
    patient.breaker.admit()
    assert backend(patient) == kept
    patient.close()


def test_calls_of_one_block_take_together_no_longer_than_one_may(doors: Database) -> None:
    """A server that answers each call, but late: nobody waits for a dozen of them, and the breaker sends the others away."""
    backend(doors)
    began = time.monotonic()
    with doors.allowance():
        for _ in range(2):
            doors.step("SELECT pg_sleep(0.1)", {})
        with pytest.raises(EngineAway):
            doors.step("SELECT pg_sleep(0.9)", {})
        assert 0.7 < time.monotonic() - began < 3
        with pytest.raises(EngineAway, match="breaker open"):
            doors.step(PID, {})
    assert wait_until(lambda: is_back(doors), within=10) < 4


def test_calls_of_one_transaction_in_a_block_do_so_too(doors: Database) -> None:
    began = time.monotonic()
    with doors.allowance(), pytest.raises(EngineAway):
        sleep_in_a_transaction(doors, 0.6, 0.9)
    assert 0.7 < time.monotonic() - began < 3


def sleep_in_a_transaction(doors: Database, *seconds: float) -> None:
    with doors.transaction() as transaction:
        for each in seconds:
            transaction.run("SELECT pg_sleep(%(seconds)s)", {"seconds": each})


def test_an_allowance_that_is_used_up_asks_the_server_for_nothing_more(doors: Database) -> None:
    """What is known to come too late is not begun: nobody would learn whether it happened."""
    with doors.allowance():
        with pytest.raises(EngineAway):
            doors.step("SELECT pg_sleep(2)", {})
        wait_until(lambda: is_back_beside(doors), within=5)
        with pytest.raises(EngineAway, match="too slow"):
            doors.step(ADD, {"id": 71})
        wait_until(lambda: is_back_beside(doors), within=5)
        with pytest.raises(EngineAway, match="too slow"), doors.transaction() as transaction:
            transaction.run(ADD, {"id": 71})
    wait_until(lambda: is_back(doors), within=5)
    assert count(doors, 71) == 0


def is_back_beside(doors: Database) -> bool:
    """Whether the breaker lets another thread call, one without an allowance."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(is_back, doors).result()


def test_no_connection_is_begun_for_which_there_is_no_time_left(urls: DatabaseUrls) -> None:
    opened = Database(urls.app, call_limit=2.5)
    with opened.allowance():
        opened.step("SELECT pg_sleep(0.6)", {})
        with pytest.raises(EngineAway, match="too slow"), opened.transaction():
            pass
    opened.close()


def test_a_block_may_begin_with_a_connection_however_little_time_it_has(urls: DatabaseUrls) -> None:
    opened = Database(urls.app, call_limit=0.8)
    with opened.allowance():
        assert backend(opened) > 0
    with opened.allowance():
        assert pooled_backend(opened) > 0
    opened.close()


def test_waiting_for_a_pooled_connection_counts_as_the_calls_do(urls: DatabaseUrls) -> None:
    small = Database(urls.app, pool=1, call_limit=0.8)
    backend(small)
    with hold_every_pooled_connection(small), small.allowance():
        with pytest.raises(EngineAway, match="taken"):
            pooled_backend(small)
        with pytest.raises(EngineAway, match="too slow"):
            backend(small)
    wait_until(lambda: is_back(small), within=5)
    assert pooled_backend(small) > 0
    small.close()


def test_calls_outside_of_a_block_each_have_their_own_time(doors: Database) -> None:
    with doors.allowance():
        backend(doors)
    for _ in range(4):
        doors.step("SELECT pg_sleep(0.3)", {})
    assert backend(doors) > 0


def test_a_row_that_somebody_else_holds_says_nothing_about_the_server(doors: Database, urls: DatabaseUrls) -> None:
    """A locked table refuses who needs it, and nobody else."""
    take = "UPDATE counted SET id = id WHERE id = %(id)s RETURNING id"
    doors.step(ADD, {"id": 20})
    doors.step("SELECT set_config('lock_timeout', '50ms', false)", {})
    with psycopg.connect(urls.owner) as holder:
        holder.execute("SELECT id FROM counted WHERE id = 20 FOR UPDATE")
        for _ in range(5):
            with pytest.raises(EngineAway, match="LockNotAvailable"):
                doors.step(take, {"id": 20})
        assert backend(doors) > 0
    assert doors.step(take, {"id": 20}) is not None


def test_what_the_statement_did_wrong_is_raised_as_it_is(doors: Database) -> None:
    doors.step(ADD, {"id": 30})
    for _ in range(5):
        with pytest.raises(psycopg.errors.UniqueViolation):
            doors.step(ADD, {"id": 30})
        with pytest.raises(sqlalchemy.exc.IntegrityError), doors.transaction() as transaction:
            transaction.run(ADD, {"id": 30})
    assert backend(doors) > 0


def test_a_block_that_raises_leaves_nothing_behind(doors: Database) -> None:
    with pytest.raises(KeyError), doors.transaction() as transaction:  # noqa: PT012 - the block is the subject
        transaction.run(ADD, {"id": 40})
        raise KeyError
    assert count(doors, 40) == 0


def test_a_server_that_became_read_only_is_left(own: Engines, doors: Database, urls: DatabaseUrls) -> None:
    """Design §3: a kept connection is replaced on any read-only error, since the server was demoted."""
    kept, pooled = backend(doors), pooled_backend(doors)
    doors.step("SELECT set_config('default_transaction_read_only', 'on', false)", {})
    with pytest.raises(EngineAway):
        doors.step(ADD, {"id": 50})
    assert backend(doors) != kept

    with pytest.raises(EngineAway), doors.transaction() as transaction:  # noqa: PT012 - the block is the subject
        transaction.run("SET TRANSACTION READ ONLY")
        transaction.run(ADD, {"id": 51})
    assert pooled_backend(doors) != pooled

    with own.connect_superuser("doors") as superuser:
        superuser.execute("ALTER DATABASE doors SET default_transaction_read_only = on")
    late = Database(urls.app)
    try:
        with pytest.raises(EngineAway):
            late.step(PID, {})
    finally:
        with own.connect_superuser("doors") as superuser:
            superuser.execute("SET default_transaction_read_only = off")
            superuser.execute("ALTER DATABASE doors RESET default_transaction_read_only")
        late.close()


def test_a_transaction_that_dawdles_is_ended_by_the_server_and_says_away(own: Engines, doors: Database) -> None:
    with own.connect_superuser("doors") as superuser, pytest.raises(EngineAway), doors.transaction() as transaction:  # noqa: PT012 - the block is the subject
        transaction.run("SET idle_in_transaction_session_timeout = '50ms'")
        pid = transaction.one(PID).pid  # type: ignore[union-attr]  # it has one row
        gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        wait_until(lambda: superuser.execute(gone, [pid]).fetchone() == (0,), within=5)
        transaction.one(PID)
    assert pooled_backend(doors) > 0


def test_when_every_pooled_connection_is_taken_the_next_is_refused_and_steps_go_on(urls: DatabaseUrls) -> None:
    small = Database(urls.app, pool=1)
    with hold_every_pooled_connection(small):
        began = time.monotonic()
        with pytest.raises(EngineAway, match="taken"):
            pooled_backend(small)
        assert time.monotonic() - began < 1.5
        small.breaker.admit()
        assert backend(small) > 0
    assert pooled_backend(small) > 0
    small.close()


@contextmanager
def hold_every_pooled_connection(small: Database) -> Iterator[None]:
    """Take the three that a pool of one comes to."""
    ready, over = threading.Barrier(4), threading.Event()

    def hold() -> None:
        with small.transaction() as transaction:
            transaction.one(PID)
            ready.wait()
            over.wait(10)

    holders = [threading.Thread(target=hold) for _ in range(3)]
    for each in holders:
        each.start()
    try:
        ready.wait()
        yield
    finally:
        over.set()
        for each in holders:
            each.join()


def test_a_connection_is_closed_with_the_thread_that_kept_it(own: Engines, doors: Database) -> None:
    pids: list[int] = []
    thread = threading.Thread(target=lambda: pids.append(backend(doors)))
    thread.start()
    thread.join()
    gc.collect()
    with own.connect_superuser("doors") as superuser:
        gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        wait_until(lambda: superuser.execute(gone, pids).fetchone() == (0,), within=30)

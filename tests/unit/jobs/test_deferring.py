"""A job belongs to the transaction of the change that causes it (design §3)."""

from __future__ import annotations

import pytest

from idp.jobs import Jobs, Later
from idp.storage.breaker import EngineAway
from idp.storage.postgres import Database

COUNT = "SELECT count(*) AS jobs FROM procrastinate_jobs WHERE task_name = %(task)s"


def count(database: Database, task: str) -> int:
    with database.transaction() as transaction:
        return int(transaction.one(COUNT, {"task": task}).jobs)  # type: ignore[union-attr]  # one row


def test_a_job_is_there_once_its_transaction_has_committed(database: Database) -> None:
    with database.transaction() as transaction:
        Jobs().defer(transaction, Later("tests.committed", queue="tests", given={"who": "Cổng", "n": 1}))
        assert count(database, "tests.committed") == 0
    assert count(database, "tests.committed") == 1


def test_a_transaction_that_is_rolled_back_leaves_no_job(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as transaction:  # noqa: PT012 - what the block raises ends it
        Jobs().defer(transaction, Later("tests.rolled_back", queue="tests", given={}))
        assert transaction.one(COUNT, {"task": "tests.rolled_back"}).jobs == 1  # type: ignore[union-attr]  # one row
        raise ZeroDivisionError
    assert count(database, "tests.rolled_back") == 0


def test_two_transactions_of_one_connection_defer_apart(database: Database) -> None:
    jobs = Jobs()
    for rolls_back in (False, True, False):
        try:
            with database.transaction() as transaction:
                jobs.defer(transaction, Later("tests.apart", queue="tests", given={}))
                if rolls_back:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            continue
    assert count(database, "tests.apart") == 2


def test_the_database_that_fails_while_a_job_is_deferred_is_away_as_for_every_other_statement(database: Database) -> None:
    """The queue's own exception would be a 500."""
    with pytest.raises(EngineAway) as caught, database.transaction() as transaction:  # noqa: PT012 - one of many takes too long
        transaction.run("SET LOCAL statement_timeout = '1ms'")
        for _ in range(100):
            Jobs().defer(transaction, Later("tests.slow", queue="tests", given={"long": "x" * 100_000}))
    assert caught.value.code == "storage.engine_away"
    database.breaker.succeeded()
    assert count(database, "tests.slow") == 0

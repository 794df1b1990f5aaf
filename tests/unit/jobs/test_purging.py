"""What has passed is taken away, and nothing that could still do good."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from idp.clients.purge import purge as purge_assertions
from idp.demo.engines import DatabaseUrls
from idp.grants.purge import Purge
from idp.kernel.clock import FixedClock
from idp.kernel.digests import digest
from idp.kernel.ids import new_id
from idp.storage.postgres import Database

FAMILY = """
INSERT INTO family (id, kind, client_id, actor_account_id, principal_holder_id, consent_id, session_id, sid, sub, scopes, acr, ial, aal,
                    amr, auth_time, session_started_at, issued_at, expires_at)
VALUES (%(id)s, 'offline', %(id)s, %(id)s, %(id)s, %(id)s, %(id)s, 'sid', 'sub', '{openid}', 'urn:motcua:acr:ial0.aal1', 0, 1, '{pwd}',
        %(issued_at)s, %(issued_at)s, %(issued_at)s, %(expires_at)s)
"""
CODE = """
INSERT INTO code (digest, family_id, client_id, redirect_uri, issued_at, expires_at)
VALUES (%(digest)s, %(id)s, %(id)s, 'https://portal.example/', %(issued_at)s, %(expires_at)s)
"""
ACCESS = """
INSERT INTO access_token (digest, family_id, client_id, scopes, issued_at, expires_at)
VALUES (%(digest)s, %(id)s, %(id)s, '{openid}', %(issued_at)s, %(expires_at)s)
"""
REFRESH = """
INSERT INTO refresh_token (digest, family_id, client_id, scopes, issued_at, expires_at, used_at)
VALUES (%(digest)s, %(id)s, %(id)s, '{openid}', %(issued_at)s, %(expires_at)s, %(issued_at)s)
"""
ASSERTION = "INSERT INTO client_assertion (client_id, jti_digest, expires_at) VALUES (%(id)s, %(digest)s, %(expires_at)s)"
MONTH = timedelta(days=30)


@pytest.fixture(scope="module")
def worker_database(database_urls: DatabaseUrls) -> Iterator[Database]:
    opened = Database(database_urls.worker)
    yield opened
    opened.close()


def insert(database: Database, statement: str, name: str, issued_at: datetime, lasts_for: timedelta) -> None:
    row = {"id": new_id(issued_at), "digest": digest(name), "issued_at": issued_at, "expires_at": issued_at + lasts_for}
    with database.transaction() as transaction:
        transaction.run(statement, row)


def left(database: Database, table: str) -> int:
    with database.transaction() as transaction:
        return len(transaction.all(f"SELECT expires_at FROM {table}"))


def test_what_has_passed_goes_and_what_shows_a_replay_stays(
    database: Database, worker_database: Database, clock: FixedClock
) -> None:
    """A used refresh token stays as long as its family may live, expired or not: its replay has to kill the family (RFC 9700 §4.14)."""
    now = clock.now()
    for name, ago in (("old", timedelta(days=32)), ("recent", timedelta(hours=20))):
        insert(database, CODE, name, now - ago, timedelta(seconds=60))
        insert(database, ACCESS, name, now - ago, timedelta(minutes=10))
        insert(database, REFRESH, name, now - ago, timedelta(days=14))
        insert(database, FAMILY, name, now - ago, MONTH)
    insert(database, REFRESH, "used, expired, of a family that lives", now - timedelta(days=20), timedelta(days=14))
    purge = Purge(worker_database, clock, longest_family=MONTH)
    assert purge.purge() == 4
    assert purge.purge() == 0
    assert [left(database, table) for table in ("code", "access_token", "refresh_token", "family")] == [1, 1, 2, 1]


def test_more_than_a_batch_goes_in_batches(database: Database, worker_database: Database, clock: FixedClock) -> None:
    clock.advance(timedelta(days=100))
    for each in range(7):
        insert(database, ACCESS, f"batch {each}", clock.now() - timedelta(days=3), timedelta(minutes=10))
    purge = Purge(worker_database, clock, longest_family=MONTH)
    there = left(database, "access_token")
    purge.purge(at_most=2, batches=2)
    assert left(database, "access_token") == there - 4
    purge.purge(at_most=2, batches=9)
    assert left(database, "access_token") == 0


def test_assertions_go_when_no_clock_accepts_them_any_more(
    database: Database, worker_database: Database, clock: FixedClock
) -> None:
    insert(database, ASSERTION, "passed", clock.now() - timedelta(minutes=10), timedelta(minutes=9))
    insert(database, ASSERTION, "accepted still", clock.now() - timedelta(minutes=10), timedelta(minutes=11))
    assert purge_assertions(worker_database, clock) == 1
    assert purge_assertions(worker_database, clock) == 0
    assert left(database, "client_assertion") == 1

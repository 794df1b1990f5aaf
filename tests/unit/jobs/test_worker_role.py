"""What the role of the worker may do, and what it may not (design §3)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta

import psycopg
import pytest

from idp.accounts.model import PersonDeclaration, PersonType
from idp.accounts.service import Accounts
from idp.audit.model import Origin
from idp.demo.engines import DatabaseUrls
from idp.kernel.clock import FixedClock
from idp.kernel.sealing import Sealer
from idp.keys.purge import purge as purge_keys
from idp.reference.countries import get_country
from idp.reference.model import Sex
from idp.storage.postgres import Database
from idp.throttle.model import GuessKind, Lane
from idp.throttle.service import Guesses
from tests.support.ended_sessions import House

CLOSE = "UPDATE account SET state = 'closed', not_before = %(now)s WHERE id = (SELECT account_id FROM session WHERE id = %(id)s)"


@pytest.fixture(scope="module")
def worker_database(database_urls: DatabaseUrls) -> Iterator[Database]:
    opened = Database(database_urls.worker)
    yield opened
    opened.close()


@contextmanager
def deployment_forgets_before(owner_database: Database, instant: datetime) -> Iterator[None]:
    """What an operator does after going back to an earlier state of the database."""
    mark = "UPDATE deployment SET not_before = %(at)s::timestamptz"
    with owner_database.transaction() as transaction:
        assert transaction.run(mark, {"at": instant}) == 1
    try:
        yield
    finally:
        with owner_database.transaction() as transaction:
            transaction.run(mark, {"at": "-infinity"})


def test_it_lifts_locks_whose_end_has_come(database: Database, worker_database: Database, sealer: Sealer, clock: FixedClock) -> None:
    country, origin = get_country("VN"), Origin.operated("test")
    accounts = Accounts(database, sealer, clock, country)
    declaration = PersonDeclaration(
        person_type=PersonType.CITIZEN,
        personal_number="001099000007",
        full_name="Nguyễn Văn Thử",
        birth_date=date(1999, 1, 1),
        sex=Sex.MALE,
        nationality="VN",
    )
    account_id = accounts.add(declaration, origin)
    until = clock.now() + timedelta(hours=1)
    accounts.lock(account_id, reason="lost device", legal_basis="the holder asked", until=until, origin=origin)
    worker_accounts = Accounts(worker_database, sealer, clock, country)
    assert worker_accounts.lift_expired_locks() == 0
    clock.advance(timedelta(hours=1))
    assert worker_accounts.lift_expired_locks() == 1
    assert accounts.show(account_id).locks[0].lifted_at == clock.now()


def test_it_ends_the_sessions_of_accounts_that_died(database: Database, worker_database: Database, clock: FixedClock) -> None:
    house = House.over(database, clock)
    house.add_portals({"role": "http://127.0.0.1:18601/role"})
    session_id = house.begin_session(house.add_account(), ["role"])
    assert House.over(worker_database, clock).sessions.end_dead() == 0
    with database.transaction() as transaction:
        transaction.run(CLOSE, {"id": session_id, "now": clock.now()})
    assert House.over(worker_database, clock).sessions.end_dead() == 1
    assert [notice.state for notice in house.sessions.notices(session_id)] == ["waiting"]


def test_it_ends_the_sessions_that_a_restored_database_forgets(
    database: Database, owner_database: Database, worker_database: Database, clock: FixedClock
) -> None:
    """Design §3: nothing that was issued before `deployment.not_before` counts, and the portals have to hear of it like of any other end."""
    house = House.over(database, clock)
    house.add_portals({"restored": "http://127.0.0.1:18602/restored"})
    account_id = house.add_account()
    forgotten = house.begin_session(account_id, ["restored"])
    clock.advance(timedelta(minutes=1))
    with deployment_forgets_before(owner_database, clock.now()):
        kept = house.begin_session(account_id, ["restored"])
        assert House.over(worker_database, clock).sessions.end_dead(account_id=house.add_account()) == 0
        assert House.over(worker_database, clock).sessions.end_dead() == 1
    assert [notice.state for notice in house.sessions.notices(forgotten)] == ["waiting"]
    assert house.sessions.notices(kept) == []
    with database.transaction() as transaction:
        ended = transaction.one("SELECT end_reason FROM session WHERE id = %(id)s", {"id": forgotten})
    assert ended is not None
    assert ended.end_reason == "restored"


def test_who_had_an_account_die_is_on_record_with_the_end_of_its_sessions(database: Database, clock: FixedClock) -> None:
    """Law 10: an operator's own hand ends that account's sessions and no other's; what is left, the worker ends in its own name."""
    house = House.over(database, clock)
    locked, closed = house.add_account(), house.add_account()
    sessions = {account_id: house.begin_session(account_id, []) for account_id in (locked, closed)}
    with database.transaction() as transaction:
        for session_id in sessions.values():
            transaction.run(CLOSE, {"id": session_id, "now": clock.now()})
    officer = Origin("request-7", operator="officer.one")
    assert house.sessions.end_dead(officer, locked) == 1
    assert house.sessions.end_dead() == 1
    with database.transaction() as transaction:
        found = transaction.all(
            "SELECT session_id, convert_from(body, 'UTF8')::jsonb AS body FROM audit_event WHERE kind = 'sessions.session_ended'"
            " AND session_id = ANY(%(ids)s)",
            {"ids": list(sessions.values())},
        )
    by = {row.session_id: (row.body["request"], row.body["operator"], row.body["reason"]) for row in found}
    assert by == {
        sessions[locked]: ("request-7", "officer.one", "account_dead"),
        sessions[closed]: ("-", "worker", "account_dead"),
    }


def test_it_erases_the_private_half_of_a_key_that_signs_no_more_and_of_no_other(
    owner_database: Database, worker_database: Database, clock: FixedClock
) -> None:
    """Without waiting for the next rotation; what a key signed goes on being verified."""
    ends = {"ended": -61, "ending": -30, "signs": None, "staged": None, "will end": 60}
    with owner_database.transaction() as transaction:
        for kid, seconds in ends.items():
            until = None if seconds is None else clock.now() + timedelta(seconds=seconds)
            transaction.run(
                "INSERT INTO signing_key (kid, alg, public_jwk, private_wrapped, wrapped_with, created_at, signs_from, signs_until)"
                " VALUES (%(kid)s, 'RS256', '{}', 'wrapped', 'k', %(from)s, %(from)s, %(until)s)",
                {"kid": kid, "from": clock.now() - timedelta(days=1), "until": until},
            )
    assert purge_keys(worker_database, clock) == 1
    assert purge_keys(worker_database, clock) == 0
    with owner_database.transaction() as transaction:
        left = transaction.all("DELETE FROM signing_key WHERE public_jwk = '{}' AND private_wrapped <> '' RETURNING kid", {})
    assert {row.kid for row in left} == ends.keys() - {"ended"}


def test_it_purges_guesses(database: Database, worker_database: Database, sealer: Sealer, clock: FixedClock) -> None:
    Guesses(database, sealer, clock).reserve(GuessKind.PASSWORD, [Lane(identifier="nobody")], Origin(request_id="test"))
    clock.advance(timedelta(days=60))
    assert Guesses(worker_database, sealer, clock).purge() == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE password SET set_at = set_at",
        "UPDATE account SET state = 'active'",
        "UPDATE client SET disabled_at = NULL",
        "UPDATE session SET account_id = account_id",
        "UPDATE family SET killed_at = NULL",
        "INSERT INTO session_client (session_id, client_id, sid, sub, first_at) SELECT NULL, NULL, '', '', NULL WHERE false",
        "DELETE FROM session",
        "UPDATE signing_key SET private_wrapped = ''",
        "DELETE FROM audit_event",
        "UPDATE audit_event SET body = NULL",
        "DELETE FROM logout_notice",
        "CREATE TABLE mine ()",
    ],
)
def test_it_may_not_change_what_it_has_no_work_with(database_urls: DatabaseUrls, statement: str) -> None:
    with psycopg.connect(database_urls.worker) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)

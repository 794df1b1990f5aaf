"""Nothing tells whether a number has an account: same answers, same work, same record (ASVS 6.3.8)."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from idp.audit.reading import Wanted, latest
from idp.authenticators.hashing import HashParameters, HashSlots
from idp.authenticators.service import Passwords
from idp.reference.countries import get_country
from tests.support.citizens import IN_A_BROWSER, Rooms, activate, add_citizen, make_rooms
from tests.support.journeys import Journeys
from tests.support.provider import OPERATOR, Provider

if TYPE_CHECKING:
    from collections.abc import Callable

    from idp.kernel.clock import FixedClock
    from idp.kernel.sealing import Sealer
    from idp.storage.postgres import Database


@pytest.fixture
def rooms(database: Database, sealer: Sealer, clock: FixedClock) -> Rooms:
    return make_rooms(database, sealer, clock)


def test_a_wrong_password_takes_as_long_for_nobody_as_for_somebody(
    rooms: Rooms, database: Database, sealer: Sealer, clock: FixedClock
) -> None:
    """One hash of the same parameters, one look-up, one record. Interleaved, compared by their medians."""
    parameters = HashParameters(time_cost=1, memory_cost=4096, parallelism=1)
    rooms = make_rooms(database, sealer, clock)
    citizen = activate(rooms, add_citizen(rooms))
    passwords = Passwords(database, sealer, clock, HashSlots(), get_country("VN"), parameters=parameters)
    with database.transaction() as transaction:
        passwords.set_prepared(transaction, citizen.account_id, passwords.prepare("đàn cò trắng bay"), IN_A_BROWSER)
    without_password = add_citizen(rooms)

    def ratio() -> float:
        taken: dict[UUID | None, list[float]] = {citizen.account_id: [], without_password.account_id: [], None: []}
        for _ in range(40):
            for account_id, times in taken.items():
                started = time.perf_counter()
                assert not passwords.check(account_id, "sai rồi sai rồi", origin=IN_A_BROWSER)
                times.append(time.perf_counter() - started)
        medians = [statistics.median(times) for times in taken.values()]
        return max(medians) / min(medians)

    # A hash left out would show each time: it is most of what a try takes. Other work on the machine does not come three times alike.
    assert any(ratio() < 1.35 for _ in range(3))


def test_a_refused_password_is_recorded_for_nobody_as_for_somebody(rooms: Rooms, owner_database: Database) -> None:
    """A row that only known accounts leave would be a wait that only they have."""
    citizen = activate(rooms, add_citizen(rooms))
    count = "SELECT count(*) AS found FROM audit_event WHERE kind = 'authenticators.proof_refused'"

    def recorded(act: Callable[[], object]) -> int:
        with owner_database.transaction() as transaction:
            before = transaction.one(count)
        act()
        with owner_database.transaction() as transaction:
            after = transaction.one(count)
        assert before is not None
        assert after is not None
        return int(after.found - before.found)

    assert recorded(lambda: rooms.passwords.check(None, "sai rồi sai rồi", origin=IN_A_BROWSER)) == 1
    assert recorded(lambda: rooms.passwords.check(citizen.account_id, "sai rồi sai rồi", origin=IN_A_BROWSER)) == 1


@pytest.mark.parametrize(
    "typed", ["", "0", "x", "null", "' OR 1=1--", "001\x00099999901", "\ud800", "9" * 100_000, "%", "１２３４５６７８９０１２"]
)
def test_what_is_no_number_finds_nobody_and_breaks_nothing(rooms: Rooms, typed: str) -> None:
    assert rooms.accounts.find_by_number(typed) is None


def test_a_number_typed_with_spaces_finds_its_account(rooms: Rooms) -> None:
    citizen = add_citizen(rooms)
    number = citizen.personal_number
    spaced = f" {number[:3]} {number[3:6]}.{number[6:9]}-{number[9:]} "
    found = rooms.accounts.find_by_number(spaced)
    assert found is not None
    assert found.account_id == citizen.account_id
    assert rooms.accounts.canonical(spaced) == number


def test_full_width_digits_are_not_the_number(rooms: Rooms) -> None:
    """One account, one spelling; what only looks like it is refused."""
    number = add_citizen(rooms).personal_number
    lookalike = "".join(chr(ord("\N{FULLWIDTH DIGIT ZERO}") + int(digit)) for digit in number)
    assert rooms.accounts.find_by_number(lookalike) is None


def test_no_number_phone_or_mail_stands_in_the_database(rooms: Rooms, owner_database: Database) -> None:
    """Law 9: sealed or indexed, in tables and in audit bodies."""
    citizen = activate(rooms, add_citizen(rooms))
    person = rooms.accounts.person(citizen.holder_id)
    assert person.phone is not None
    assert person.email is not None
    with owner_database.transaction() as transaction:
        dump = transaction.one(
            "SELECT (SELECT string_agg(p::text, ' ') FROM person p) || (SELECT string_agg(n::text, ' ') FROM person_number n)"
            " || (SELECT string_agg(convert_from(body, 'UTF8'), ' ') FROM audit_event) AS everything"
        )
    assert dump is not None
    for value in (person.personal_number, person.phone, person.email, person.address):
        assert value is not None
        assert value not in dump.everything
        assert value.encode().hex() not in dump.everything


def test_the_right_password_of_a_locked_account_is_refused_on_the_record_like_a_wrong_one(op: Provider, journeys: Journeys) -> None:
    """ASVS 16.3.1: who knows it must not be the one who goes unrecorded, nor be told by a faster answer."""
    person = op.person()
    op.rooms.accounts.lock(person.account_id, reason="reported stolen", legal_basis="Decree 69/2024 Art. 14", origin=OPERATOR)
    wanted = Wanted(account_id=person.account_id, kind="authenticators.proof_refused")
    for number, password in enumerate((person.password, "sai rồi sai rồi"), start=1):
        assert journeys.at_sign_in().submit(username=person.username, password=password).status == 200
        assert len(latest(op.rooms.database, wanted, most=10)) == number

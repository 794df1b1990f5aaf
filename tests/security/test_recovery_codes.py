"""Recovery codes: once, only their owner's, gone when replaced (NIST SP 800-63B-4 §3.1.2)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from idp.authenticators.model import RecoveryCodeTaken, read_code, write_code
from idp.kernel.sealing import Sealer, SealingKeys
from tests.support.citizens import (
    Citizen,
    Rooms,
    activate,
    add_citizen,
    at_once,
    make_recovery_codes,
    make_rooms,
    take_recovery_code,
)

if TYPE_CHECKING:
    from idp.kernel.clock import FixedClock
    from idp.storage.postgres import Database


@pytest.fixture
def rooms(database: Database, sealer: Sealer, clock: FixedClock) -> Rooms:
    return make_rooms(database, sealer, clock)


@pytest.fixture
def citizen(rooms: Rooms) -> Citizen:
    return activate(rooms, add_citizen(rooms))


def take(rooms: Rooms, citizen: Citizen, code: str, _: int) -> RecoveryCodeTaken | None:
    return take_recovery_code(rooms, citizen.account_id, code)


def test_ten_codes_of_a_hundred_and_twenty_bits(citizen: Citizen) -> None:
    assert len(set(citizen.recovery_codes)) == 10
    for code in citizen.recovery_codes:
        assert [len(group) for group in code.split("-")] == [4, 4, 4, 4, 4, 4]
    assert write_code(b"\xff" * 15) == "ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ"
    assert write_code(bytes(14) + b"\x21") == "0000-0000-0000-0000-0000-0011"


def test_a_code_is_used_once(rooms: Rooms, citizen: Citizen) -> None:
    code = citizen.recovery_codes[3]
    assert take_recovery_code(rooms, citizen.account_id, code) == RecoveryCodeTaken(left=9)
    assert take_recovery_code(rooms, citizen.account_id, code) is None
    assert take_recovery_code(rooms, citizen.account_id, citizen.recovery_codes[4]) == RecoveryCodeTaken(left=8)


def test_one_of_many_at_once_uses_it(rooms: Rooms, citizen: Citizen) -> None:
    for code in citizen.recovery_codes[:5]:
        taken = at_once(20, partial(take, rooms, citizen, code))
        assert sum(each is not None for each in taken) == 1


def test_somebody_elses_code_is_refused_and_stays_good(rooms: Rooms, citizen: Citizen) -> None:
    """CVE-2026-78619: a code opens the account it was made for."""
    other = activate(rooms, add_citizen(rooms))
    assert take_recovery_code(rooms, citizen.account_id, other.recovery_codes[0]) is None
    assert take_recovery_code(rooms, other.account_id, other.recovery_codes[0])


def test_new_codes_void_the_old_ones(rooms: Rooms, citizen: Citizen) -> None:
    fresh = make_recovery_codes(rooms, citizen.account_id)
    assert take_recovery_code(rooms, citizen.account_id, citizen.recovery_codes[0]) is None
    assert take_recovery_code(rooms, citizen.account_id, fresh[0])


def test_codes_may_be_typed_as_people_type(rooms: Rooms, citizen: Citizen) -> None:
    first, second, third, *_ = citizen.recovery_codes
    assert take_recovery_code(rooms, citizen.account_id, first.lower())
    assert take_recovery_code(rooms, citizen.account_id, f"  {second.replace('-', ' ')} ")
    misread = third.replace("-", "").replace("0", "o").replace("1", "l")
    assert take_recovery_code(rooms, citizen.account_id, misread)


@pytest.mark.parametrize(
    "typed",
    ["", "-", "0000", "U" * 24, "ı" * 24, "ſ" * 24, "０" * 24, "0" * 23 + "\x00", "null", "%" * 24, "0" * 25, "A" * 100_000],
)
def test_what_is_no_code_is_refused(rooms: Rooms, citizen: Citizen, typed: str) -> None:
    assert read_code(typed) is None
    assert take_recovery_code(rooms, citizen.account_id, typed) is None


def test_codes_are_found_through_a_rotation_of_the_index_key(
    database: Database, rooms: Rooms, citizen: Citizen, clock: FixedClock
) -> None:
    both = {2: bytes(range(32, 64)), 9: bytes(range(64, 96))}
    rotated = Sealer(SealingKeys(sealing={1: bytes(range(32))}, indexing=both, seal_with=1, index_with=9))
    later = make_rooms(database, rotated, clock)
    assert take_recovery_code(later, citizen.account_id, citizen.recovery_codes[0])


def test_a_dump_holds_no_code(rooms: Rooms, citizen: Citizen, owner_database: Database) -> None:
    """Law 9: what is stored is a keyed index; audit bodies name no code."""
    with owner_database.transaction() as transaction:
        dump = transaction.one(
            "SELECT (SELECT string_agg(r::text, ' ') FROM recovery_code r) AS codes,"
            " (SELECT string_agg(convert_from(body, 'UTF8'), ' ') FROM audit_event) AS events"
        )
    assert dump is not None
    for code in citizen.recovery_codes:
        assert code not in dump.codes + dump.events
        assert code.replace("-", "") not in dump.codes + dump.events

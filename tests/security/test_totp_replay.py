"""A one-time password is used once, in whatever spelling and however many try (NIST SP 800-63B-4 §3.1.4)."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from idp.authenticators.model import TotpRefused, TotpTaken
from idp.enrolment.model import NewSecondFactor
from tests.support.citizens import (
    AT_THE_COUNTER,
    GOOD_PASSWORD,
    IN_A_BROWSER,
    Citizen,
    Rooms,
    activate,
    add_citizen,
    at_once,
    confirm_totp,
    make_rooms,
    otp,
    take_step,
)

if TYPE_CHECKING:
    from idp.kernel.clock import FixedClock
    from idp.kernel.sealing import Sealer
    from idp.storage.postgres import Database

STEP = timedelta(seconds=30)


@pytest.fixture
def rooms(database: Database, sealer: Sealer, clock: FixedClock) -> Rooms:
    return make_rooms(database, sealer, clock)


@pytest.fixture
def citizen(rooms: Rooms, clock: FixedClock) -> Citizen:
    """Somebody whose activation is some steps ago."""
    activated = activate(rooms, add_citizen(rooms))
    clock.advance(10 * STEP)
    return activated


def take(rooms: Rooms, citizen: Citizen, code: str, _: int) -> TotpTaken | None:
    return take_step(rooms, citizen.account_id, code)


def test_the_same_code_is_refused_the_second_time(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    code = otp(clock, citizen.totp_secret)
    assert isinstance(take_step(rooms, citizen.account_id, code), TotpTaken)
    assert take_step(rooms, citizen.account_id, code) is None


def test_an_earlier_step_is_refused_after_a_later_one(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    """Accepting it would let somebody use what they read over a shoulder half a minute ago."""
    before, ahead = otp(clock, citizen.totp_secret, -1), otp(clock, citizen.totp_secret, 1)
    assert take_step(rooms, citizen.account_id, ahead)
    assert take_step(rooms, citizen.account_id, before) is None
    assert take_step(rooms, citizen.account_id, otp(clock, citizen.totp_secret)) is None
    clock.advance(2 * STEP)
    assert take_step(rooms, citizen.account_id, otp(clock, citizen.totp_secret))


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_clock_half_a_minute_off_is_forgiven(rooms: Rooms, citizen: Citizen, clock: FixedClock, steps: int) -> None:
    """RFC 6238 §5.2: one step of drift either way."""
    assert take_step(rooms, citizen.account_id, otp(clock, citizen.totp_secret, steps))


@pytest.mark.parametrize("steps", [-2, 2, -100])
def test_a_clock_more_than_that_off_is_not(rooms: Rooms, citizen: Citizen, clock: FixedClock, steps: int) -> None:
    assert take_step(rooms, citizen.account_id, otp(clock, citizen.totp_secret, steps)) is None


def _spelled(code: str, zero: str) -> str:
    return "".join(chr(ord(zero) + int(digit)) for digit in code)


@pytest.mark.parametrize("zero", ["\N{FULLWIDTH DIGIT ZERO}", "\N{ARABIC-INDIC DIGIT ZERO}", "\N{DEVANAGARI DIGIT ZERO}"])
def test_digits_of_other_scripts_are_no_code(rooms: Rooms, citizen: Citizen, clock: FixedClock, zero: str) -> None:
    """PyOTP and int() take them; then a used code would have other spellings."""
    code = otp(clock, citizen.totp_secret)
    assert take_step(rooms, citizen.account_id, _spelled(code, zero)) is None
    assert take_step(rooms, citizen.account_id, code)


@pytest.mark.parametrize("typed", ["", "0", "12_34_56", "+12345", "1234567", "12345\x00", "null", "0x1234", "1" * 100_000])
def test_what_is_no_code_is_refused(rooms: Rooms, citizen: Citizen, typed: str) -> None:
    assert take_step(rooms, citizen.account_id, typed) is None


def test_a_code_may_be_typed_in_two_groups(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    code = otp(clock, citizen.totp_secret)
    assert take_step(rooms, citizen.account_id, f"{code[:3]} {code[3:]}")


def test_another_persons_code_is_refused(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    other = activate(rooms, add_citizen(rooms))
    clock.advance(3 * STEP)
    assert take_step(rooms, citizen.account_id, otp(clock, other.totp_secret)) is None


def test_one_of_many_at_once_takes_the_step(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    """Law 1: test and consumption are one statement. Five rounds of twenty."""
    for _ in range(5):
        clock.advance(2 * STEP)
        code = otp(clock, citizen.totp_secret)
        taken = at_once(20, partial(take, rooms, citizen, code))
        assert sum(each is not None for each in taken) == 1


def test_the_code_that_confirmed_an_authenticator_is_used_up(rooms: Rooms, clock: FixedClock) -> None:
    citizen = activate(rooms, add_citizen(rooms))
    assert take_step(rooms, citizen.account_id, otp(clock, citizen.totp_secret)) is None


def test_an_authenticator_that_is_not_confirmed_proves_nothing(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    offered = rooms.totp.enrol(citizen.account_id, "Điện thoại")
    assert take_step(rooms, citizen.account_id, otp(clock, offered.secret)) is None
    with pytest.raises(TotpRefused):
        confirm_totp(rooms, citizen.account_id, offered.id, otp(clock, offered.secret, 5))
    confirm_totp(rooms, citizen.account_id, offered.id, otp(clock, offered.secret))
    assert take_step(rooms, citizen.account_id, otp(clock, offered.secret, 1))


def test_an_offer_lapses_and_is_nobody_elses(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    other = add_citizen(rooms)
    offered = rooms.totp.enrol(citizen.account_id, "Điện thoại")
    with pytest.raises(TotpRefused):
        confirm_totp(rooms, other.account_id, offered.id, otp(clock, offered.secret))
    clock.advance(timedelta(hours=1))
    with pytest.raises(TotpRefused):
        confirm_totp(rooms, citizen.account_id, offered.id, otp(clock, offered.secret))


def test_a_removed_authenticator_proves_nothing(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    with rooms.database.transaction() as transaction:
        assert rooms.totp.remove_in(transaction, citizen.account_id, IN_A_BROWSER) == 1
    assert take_step(rooms, citizen.account_id, otp(clock, citizen.totp_secret)) is None


@pytest.mark.parametrize("secret", ["", "MFRGG", "not base32!", "ệ" * 32, "A" * 4096])
def test_a_secret_that_is_not_ours_is_not_taken(rooms: Rooms, secret: str) -> None:
    """It came back from a browser: a short one would be guessed from one code."""
    code = rooms.activation.issue(add_citizen(rooms).account_id, by="officer.one", origin=AT_THE_COUNTER)
    with pytest.raises(TotpRefused):
        rooms.activation.complete(code, GOOD_PASSWORD, NewSecondFactor(secret, "123456"), IN_A_BROWSER)


def test_a_refused_code_is_recorded_with_its_account(
    rooms: Rooms, citizen: Citizen, owner_database: Database
) -> None:
    take_step(rooms, citizen.account_id, "000000")
    with owner_database.transaction() as transaction:
        row = transaction.one(
            "SELECT body FROM audit_event WHERE account_id = %(id)s AND kind = 'authenticators.proof_refused'",
            {"id": citizen.account_id},
        )
    assert row is not None
    assert b'"method":"otp"' in bytes(row.body)
    assert b"000000" not in bytes(row.body)

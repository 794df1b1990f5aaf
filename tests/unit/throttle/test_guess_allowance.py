"""How many guesses each lane has, and who gets them back (NIST SP 800-63B-4 §3.2.2)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from idp.audit.model import Origin
from idp.kernel.sealing import Sealer, SealingKeys
from idp.throttle.model import AuthenticatorDisabled, GuessKind, Lane, TooManyGuesses
from idp.throttle.service import Guesses

if TYPE_CHECKING:
    from idp.kernel.clock import FixedClock
    from idp.storage.postgres import Database

ORIGIN = Origin("req-1", address="192.0.2.7")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def guesses(database: Database, sealer: Sealer, clock: FixedClock) -> Guesses:
    return Guesses(database, sealer, clock)


@pytest.fixture
def account_id() -> UUID:
    return uuid4()


def allowed(guesses: Guesses, kind: GuessKind, *lanes: Lane, tries: int = 60) -> int:
    """Return how many of `tries` guesses in a row are let through."""
    count = 0
    for _ in range(tries):
        try:
            guesses.reserve(kind, lanes, ORIGIN)
        except TooManyGuesses:
            break
        count += 1
    return count


def forgive(guesses: Guesses, kind: GuessKind, lane: Lane) -> None:
    with guesses._database.transaction() as transaction:
        guesses.forgive_in(transaction, kind, lane)


def test_a_password_has_five_guesses_in_fifteen_minutes(guesses: Guesses, account_id: UUID, clock: FixedClock) -> None:
    lane = Lane.of_account(account_id)
    assert allowed(guesses, GuessKind.PASSWORD, lane) == 5
    with pytest.raises(TooManyGuesses) as refusal:
        guesses.reserve(GuessKind.PASSWORD, [lane], ORIGIN)
    assert refusal.value.retry_after == 15 * MINUTE
    clock.advance(15 * MINUTE)
    assert allowed(guesses, GuessKind.PASSWORD, lane) == 5


def test_after_ten_passwords_in_an_hour_comes_a_pause_that_grows(
    guesses: Guesses, account_id: UUID, clock: FixedClock
) -> None:
    lane = Lane.of_account(account_id)
    allowed(guesses, GuessKind.PASSWORD, lane)
    clock.advance(50 * MINUTE)
    assert allowed(guesses, GuessKind.PASSWORD, lane) == 5
    clock.advance(15 * MINUTE)  # the short window is over, the hour too, the pause is not
    assert allowed(guesses, GuessKind.PASSWORD, lane) == 0
    clock.advance(15 * MINUTE)
    assert allowed(guesses, GuessKind.PASSWORD, lane) == 5
    clock.advance(50 * MINUTE)
    assert allowed(guesses, GuessKind.PASSWORD, lane) == 5
    clock.advance(59 * MINUTE)
    assert allowed(guesses, GuessKind.PASSWORD, lane) == 0
    clock.advance(MINUTE)
    assert allowed(guesses, GuessKind.PASSWORD, lane) == 5


def test_a_known_device_has_guesses_that_strangers_cannot_use_up(guesses: Guesses, account_id: UUID) -> None:
    """Shutting somebody out by guessing does not reach their own device."""
    account, device = Lane.of_account(account_id), Lane.of_device(account_id, uuid4())
    assert allowed(guesses, GuessKind.PASSWORD, account) == 5
    assert guesses.reserve(GuessKind.PASSWORD, [device, account], ORIGIN) == device


def test_an_exhausted_device_is_like_an_unknown_one(guesses: Guesses, account_id: UUID) -> None:
    account, device = Lane.of_account(account_id), Lane.of_device(account_id, uuid4())
    assert allowed(guesses, GuessKind.PASSWORD, device, account) == 10 + 5


def test_an_unknown_identifier_is_counted_exactly_like_an_account(guesses: Guesses, clock: FixedClock) -> None:
    """Neither the number of guesses nor the wait tells whether somebody has an account."""
    lane = Lane.of_identifier("012345678901")
    assert allowed(guesses, GuessKind.PASSWORD, lane) == 5
    with pytest.raises(TooManyGuesses) as refusal:
        guesses.reserve(GuessKind.PASSWORD, [lane], ORIGIN)
    assert refusal.value.retry_after == 15 * MINUTE
    assert allowed(guesses, GuessKind.PASSWORD, Lane.of_identifier("012345678902")) == 5


def test_what_is_stored_of_an_unknown_identifier_is_a_keyed_index(
    guesses: Guesses, sealer: Sealer, owner_database: Database
) -> None:
    """Law 9: a dump does not tell which numbers were tried."""
    guesses.reserve(GuessKind.PASSWORD, [Lane.of_identifier("055555555555")], ORIGIN)
    with owner_database.transaction() as transaction:
        stored = [bytes(row.lane) for row in transaction.all("SELECT lane FROM guess_allowance")]
    assert sealer.index("guesses", "055555555555") in stored
    assert not any(b"055555555555" in subject for subject in stored)


def test_one_kind_of_guess_does_not_use_up_another(guesses: Guesses, account_id: UUID) -> None:
    """Keycloak #46164: a flood of passwords must not lock one-time passwords."""
    lane = Lane.of_account(account_id)
    assert allowed(guesses, GuessKind.PASSWORD, lane) == 5
    assert allowed(guesses, GuessKind.OTP, lane) == 5
    assert allowed(guesses, GuessKind.RECOVERY_CODE, lane) == 5


def test_ten_one_time_passwords_a_day_and_no_more(guesses: Guesses, account_id: UUID, clock: FixedClock) -> None:
    lane = Lane.of_account(account_id)
    counts = []
    for _ in range(4):
        counts.append(allowed(guesses, GuessKind.OTP, lane))
        clock.advance(15 * MINUTE)
    assert counts == [5, 5, 0, 0]
    clock.advance(timedelta(hours=23))
    assert allowed(guesses, GuessKind.OTP, lane) == 5


def test_a_success_opens_the_short_window_but_not_the_day(guesses: Guesses, account_id: UUID, clock: FixedClock) -> None:
    """Who knows the password must not buy fresh guesses of one-time passwords with each sign-in of its owner."""
    lane = Lane.of_account(account_id)
    assert allowed(guesses, GuessKind.OTP, lane, tries=4) == 4
    forgive(guesses, GuessKind.OTP, guesses.reserve(GuessKind.OTP, [lane], ORIGIN))  # the owner's success itself is not counted
    assert allowed(guesses, GuessKind.OTP, lane) == 5
    forgive(guesses, GuessKind.OTP, lane)
    assert allowed(guesses, GuessKind.OTP, lane) == 2
    clock.advance(timedelta(hours=24))
    assert allowed(guesses, GuessKind.OTP, lane) == 5


def test_many_right_one_time_passwords_a_day_are_no_guesses(guesses: Guesses, account_id: UUID) -> None:
    lane = Lane.of_account(account_id)
    for _ in range(25):
        forgive(guesses, GuessKind.OTP, guesses.reserve(GuessKind.OTP, [lane], ORIGIN))
    assert allowed(guesses, GuessKind.OTP, lane) == 5


def test_a_right_password_opens_both_windows(guesses: Guesses, account_id: UUID, clock: FixedClock) -> None:
    lane = Lane.of_account(account_id)
    allowed(guesses, GuessKind.PASSWORD, lane)
    clock.advance(15 * MINUTE)
    assert allowed(guesses, GuessKind.PASSWORD, lane, tries=4) == 4
    forgive(guesses, GuessKind.PASSWORD, guesses.reserve(GuessKind.PASSWORD, [lane], ORIGIN))
    assert allowed(guesses, GuessKind.PASSWORD, lane) == 5


def test_a_hundred_failures_in_a_row_disable_the_authenticator(
    guesses: Guesses, account_id: UUID, clock: FixedClock
) -> None:
    """NIST SP 800-63B-4 §3.2.2: a hundred consecutive failures, then only binding it anew helps."""
    lane, evaluated = Lane.of_account(account_id), 0
    for _ in range(30):
        evaluated += allowed(guesses, GuessKind.OTP, lane)
        clock.advance(timedelta(hours=12))
    assert evaluated == 100
    clock.advance(timedelta(days=400))
    with pytest.raises(AuthenticatorDisabled):
        guesses.reserve(GuessKind.OTP, [lane], ORIGIN)
    guesses.reset(account_id, reason="bound anew", origin=Origin.operated("operator"))
    assert allowed(guesses, GuessKind.OTP, lane) == 5


def test_a_guess_that_was_never_checked_is_given_back(guesses: Guesses, account_id: UUID) -> None:
    lane = Lane.of_account(account_id)
    for _ in range(20):
        guesses.refund(GuessKind.PASSWORD, guesses.reserve(GuessKind.PASSWORD, [lane], ORIGIN))
    assert allowed(guesses, GuessKind.PASSWORD, lane) == 5


def test_an_operator_gives_one_account_its_guesses_back_and_no_other(
    guesses: Guesses, account_id: UUID, owner_database: Database
) -> None:
    account, device, other = Lane.of_account(account_id), Lane.of_device(account_id, uuid4()), Lane.of_account(uuid4())
    for lane in (account, device, other):
        allowed(guesses, GuessKind.PASSWORD, lane)
    allowed(guesses, GuessKind.OTP, account)
    assert guesses.reset(account_id, reason="called in", origin=Origin.operated("operator")) == 3
    assert allowed(guesses, GuessKind.PASSWORD, device) == 10
    assert allowed(guesses, GuessKind.PASSWORD, account) == 5
    assert allowed(guesses, GuessKind.OTP, account) == 5
    assert allowed(guesses, GuessKind.PASSWORD, other) == 0
    with owner_database.transaction() as transaction:
        kinds = [row.kind for row in transaction.all(_EVENTS, {"account_id": account_id})]
    assert kinds.count("throttle.guesses_reset") == 1


def test_the_guess_that_uses_up_an_allowance_is_recorded_once(
    guesses: Guesses, account_id: UUID, owner_database: Database
) -> None:
    """Refused guesses write nothing: a flood of them must not fill the record."""
    lane = Lane.of_account(account_id)
    allowed(guesses, GuessKind.OTP, lane)
    for _ in range(10):
        assert allowed(guesses, GuessKind.OTP, lane) == 0
    allowed(guesses, GuessKind.OTP, Lane.of_identifier("nobody"))
    with owner_database.transaction() as transaction:
        events = transaction.all(_EVENTS, {"account_id": account_id})
        nobody = transaction.one("SELECT count(*) AS found FROM audit_event WHERE account_id IS NULL")
    assert [event.kind for event in events] == ["throttle.guesses_exhausted"]
    assert b'"guesses_of":"otp"' in bytes(events[0].body)
    assert nobody is not None
    assert nobody.found == 0


def test_a_purge_takes_only_what_refuses_nobody(guesses: Guesses, clock: FixedClock, owner_database: Database) -> None:
    """Consecutive failures of one-time passwords count for ever; a purge that forgot them would give fresh guesses."""
    kept, gone, live = Lane.of_account(uuid4()), Lane.of_identifier("long ago"), Lane.of_account(uuid4())
    allowed(guesses, GuessKind.OTP, kept)
    allowed(guesses, GuessKind.PASSWORD, gone)
    clock.advance(timedelta(days=2))
    allowed(guesses, GuessKind.PASSWORD, live)
    with owner_database.transaction() as transaction:
        before = transaction.one("SELECT count(*) AS rows FROM guess_allowance")
    removed = guesses.purge()
    with owner_database.transaction() as transaction:
        after = transaction.one("SELECT count(*) AS rows FROM guess_allowance")
    assert before is not None
    assert after is not None
    assert removed == before.rows - after.rows
    assert removed >= 1
    assert allowed(guesses, GuessKind.PASSWORD, live) == 0
    clock.advance(timedelta(days=2))
    evaluated = 0
    for _ in range(30):
        evaluated += allowed(guesses, GuessKind.OTP, kept)
        clock.advance(timedelta(hours=12))
    assert evaluated == 95


def test_rotating_the_index_key_gives_no_account_fresh_guesses(
    database: Database, guesses: Guesses, account_id: UUID, clock: FixedClock
) -> None:
    lane = Lane.of_account(account_id)
    allowed(guesses, GuessKind.OTP, lane)
    keys = SealingKeys(sealing={1: bytes(32)}, indexing={7: bytes(range(1, 33))}, seal_with=1, index_with=7)
    assert allowed(Guesses(database, Sealer(keys), clock), GuessKind.OTP, lane) == 0


_EVENTS = "SELECT kind, body FROM audit_event WHERE account_id = %(account_id)s ORDER BY id"

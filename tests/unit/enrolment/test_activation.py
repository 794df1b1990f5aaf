"""Activation: a code that works once, for its own person, who alone sets everything (ASVS 6.4.1, 6.4.6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from idp.accounts.model import NoSuchAccount
from idp.authenticators.model import HashSlotsBusy, PasswordOfContext, PasswordRefused, PasswordTooShort, TotpRefused
from idp.enrolment.model import Activated, ActivationCodeRefused, NewSecondFactor, NotActivatable, SecondFactorRequired
from idp.throttle.model import GuessKind, Lane, TooManyGuesses
from tests.support.citizens import (
    AT_THE_COUNTER,
    GOOD_PASSWORD,
    IN_A_BROWSER,
    Citizen,
    Rooms,
    activate,
    add_citizen,
    at_once,
    make_rooms,
    otp,
    remember_device,
    take_recovery_code,
    take_step,
)

if TYPE_CHECKING:
    from idp.authenticators.service.passwords import PreparedPassword
    from idp.kernel.clock import FixedClock
    from idp.kernel.sealing import Sealer
    from idp.storage.postgres import Database


@pytest.fixture
def rooms(database: Database, sealer: Sealer, clock: FixedClock) -> Rooms:
    return make_rooms(database, sealer, clock)


@pytest.fixture
def citizen(rooms: Rooms) -> Citizen:
    return add_citizen(rooms)


def issue(rooms: Rooms, citizen: Citizen) -> str:
    return rooms.activation.issue(citizen.account_id, by="officer.one", origin=AT_THE_COUNTER)


def factor(rooms: Rooms) -> NewSecondFactor:
    secret = rooms.totp.new_secret()
    return NewSecondFactor(secret, otp(rooms.clock, secret))


def complete(rooms: Rooms, code: str) -> Activated:
    return rooms.activation.complete(code, GOOD_PASSWORD, factor(rooms), IN_A_BROWSER)


def test_a_code_gives_an_account_its_person(rooms: Rooms, citizen: Citizen, owner_database: Database) -> None:
    code = issue(rooms, citizen)
    begun = rooms.activation.begin(code)
    assert (begun.account_id, begun.full_name, begun.has_second_factor) == (citizen.account_id, citizen.full_name, False)
    done = complete(rooms, code.lower().replace("-", " "))
    assert done.account_id == citizen.account_id
    assert len(done.recovery_codes) == 10
    assert rooms.authenticators.possible(citizen.account_id) == {"password", "otp", "rc"}
    found = rooms.accounts.find_by_number(citizen.personal_number)
    assert found is not None
    assert found.is_alive
    with owner_database.transaction() as transaction:
        rows = transaction.all(
            "SELECT kind, convert_from(body, 'UTF8') AS body FROM audit_event WHERE account_id = %(id)s",
            {"id": citizen.account_id},
        )
    assert {
        "accounts.account_added",
        "enrolment.activation_code_issued",
        "authenticators.password_set",
        "authenticators.totp_added",
        "authenticators.recovery_codes_made",
        "accounts.account_activated",
        "enrolment.activation_completed",
    } <= {row.kind for row in rows}
    assert not any(code in row.body for row in rows)


def test_a_code_works_once(rooms: Rooms, citizen: Citizen) -> None:
    code = issue(rooms, citizen)
    complete(rooms, code)
    for act in (lambda: complete(rooms, code), lambda: rooms.activation.begin(code)):
        with pytest.raises(ActivationCodeRefused):
            act()


def test_of_many_at_once_one_activates(rooms: Rooms, citizen: Citizen, database: Database) -> None:
    """Law 1; and what the losers chose is nowhere: neither their password nor their second factor."""
    code = issue(rooms, citizen)

    def act(n: int) -> str | None:
        password = f"mưa rào trên mái tôn số {n}"
        try:
            rooms.activation.complete(code, password, factor(rooms), IN_A_BROWSER)
        except ActivationCodeRefused:
            return None
        return password

    won = [password for password in at_once(16, act, database, threads=8) if password]
    assert len(won) == 1
    right = [
        n for n in range(16) if rooms.passwords.check(citizen.account_id, f"mưa rào trên mái tôn số {n}", origin=IN_A_BROWSER)
    ]
    assert won == [f"mưa rào trên mái tôn số {right[0]}"]
    assert len(right) == 1


def test_a_newer_code_voids_the_older(rooms: Rooms, citizen: Citizen) -> None:
    older, newer = issue(rooms, citizen), issue(rooms, citizen)
    with pytest.raises(ActivationCodeRefused):
        complete(rooms, older)
    complete(rooms, newer)


def test_a_code_lives_for_a_day(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    code = issue(rooms, citizen)
    clock.advance(timedelta(hours=24) - timedelta(microseconds=1))
    assert rooms.activation.begin(code).account_id == citizen.account_id
    clock.advance(timedelta(microseconds=1))
    with pytest.raises(ActivationCodeRefused):
        rooms.activation.begin(code)
    with pytest.raises(ActivationCodeRefused):
        complete(rooms, code)


def test_what_goes_wrong_uses_nothing_up_and_leaves_nothing(rooms: Rooms, citizen: Citizen) -> None:
    """ASVS 2.3.3: all or nothing."""
    code = issue(rooms, citizen)
    good = factor(rooms)
    rooms.activation.require_good_password(rooms.activation.begin(code), GOOD_PASSWORD)
    with pytest.raises(PasswordOfContext):
        rooms.activation.require_good_password(rooms.activation.begin(code), citizen.personal_number)
    with pytest.raises(PasswordTooShort):
        rooms.activation.complete(code, "ngắn", good, IN_A_BROWSER)
    with pytest.raises(PasswordOfContext):
        rooms.activation.complete(code, citizen.personal_number, good, IN_A_BROWSER)
    with pytest.raises(PasswordRefused):
        rooms.activation.complete(code, citizen.full_name + "1", good, IN_A_BROWSER)
    with pytest.raises(TotpRefused):
        rooms.activation.complete(code, GOOD_PASSWORD, replace(good, code="12345"), IN_A_BROWSER)
    assert rooms.authenticators.possible(citizen.account_id) == frozenset()
    rooms.activation.complete(code, GOOD_PASSWORD, good, IN_A_BROWSER)


def test_a_wrong_code_of_the_second_factor_costs_no_hash(rooms: Rooms, citizen: Citizen) -> None:
    """Nobody counts these codes, whose secret is on the page: trying them again and again keeps no sign-in from the hash."""
    code, good = issue(rooms, citizen), factor(rooms)
    with rooms.passwords._slots.take(known_device=True):
        with pytest.raises(TotpRefused):
            rooms.activation.complete(code, GOOD_PASSWORD, replace(good, code="12345"), IN_A_BROWSER)
        with pytest.raises(HashSlotsBusy):
            rooms.activation.complete(code, GOOD_PASSWORD, good, IN_A_BROWSER)


@pytest.mark.parametrize("typed", ["", "null", "0" * 24, "0000-0000-0000-0000-0000-0000", "\ud800", "x" * 100_000])
def test_a_code_that_was_never_issued_opens_nothing(rooms: Rooms, typed: str) -> None:
    with pytest.raises(ActivationCodeRefused):
        rooms.activation.begin(typed)


def test_a_locked_or_closed_account_is_not_activated(rooms: Rooms, citizen: Citizen) -> None:
    code = issue(rooms, citizen)
    rooms.accounts.lock(citizen.account_id, reason="r", legal_basis="b", origin=AT_THE_COUNTER)
    with pytest.raises(ActivationCodeRefused):
        complete(rooms, code)
    with pytest.raises(NotActivatable):
        issue(rooms, citizen)
    rooms.accounts.unlock(citizen.account_id, origin=AT_THE_COUNTER)
    complete(rooms, code)
    again = issue(rooms, citizen)
    rooms.accounts.close(citizen.account_id, reason="test", origin=AT_THE_COUNTER)
    with pytest.raises(ActivationCodeRefused):
        complete(rooms, again)
    with pytest.raises(NoSuchAccount):
        rooms.activation.issue(uuid4(), by="officer.one", origin=AT_THE_COUNTER)


def test_an_account_locked_while_its_password_is_hashed_is_not_activated(
    rooms: Rooms, citizen: Citizen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 1: whoever locks because a code was stolen is not late; the thief's password never becomes the account's."""
    code = issue(rooms, citizen)
    prepare = rooms.passwords.prepare

    def prepare_and_lock(password: str, words: tuple[str, ...]) -> PreparedPassword:
        prepared = prepare(password, words)
        rooms.accounts.lock(citizen.account_id, reason="r", legal_basis="b", origin=AT_THE_COUNTER)
        return prepared

    monkeypatch.setattr(rooms.passwords, "prepare", prepare_and_lock)
    with pytest.raises(ActivationCodeRefused):
        complete(rooms, code)
    assert rooms.authenticators.possible(citizen.account_id) == set()


def test_activating_anew_voids_everything_that_was_bound(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    """Whoever had the old phone, password, codes, browser or session has nothing (NIST SP 800-63B-4 §4.2)."""
    before = activate(rooms, citizen)
    device = remember_device(rooms, citizen.account_id, None)
    for _ in range(5):
        rooms.guesses.reserve(GuessKind.OTP, [Lane.of_account(citizen.account_id)], IN_A_BROWSER)
    clock.advance(timedelta(days=1))
    code = issue(rooms, citizen)
    with pytest.raises(SecondFactorRequired):
        rooms.activation.complete(code, "đàn cò trắng bay", None, IN_A_BROWSER)
    rooms.activation.complete(code, "đàn cò trắng bay", factor(rooms), IN_A_BROWSER)
    clock.advance(timedelta(minutes=5))
    assert not rooms.passwords.check(citizen.account_id, before.password, origin=IN_A_BROWSER)
    assert take_step(rooms, citizen.account_id, otp(clock, before.totp_secret)) is None
    assert take_recovery_code(rooms, citizen.account_id, before.recovery_codes[0]) is None
    assert rooms.devices.recognise(citizen.account_id, device.cookie) is None
    with rooms.database.transaction() as transaction:
        row = transaction.one("SELECT not_before FROM account WHERE id = %(id)s", {"id": citizen.account_id})
    assert row is not None
    assert row.not_before == clock.now() - timedelta(minutes=5)
    rooms.guesses.reserve(GuessKind.OTP, [Lane.of_account(citizen.account_id)], IN_A_BROWSER)


def test_a_person_may_begin_without_a_second_factor(rooms: Rooms, citizen: Citizen) -> None:
    """Their sign-ins then carry one factor, and no recovery code stands in for a second one."""
    done = rooms.activation.complete(issue(rooms, citizen), GOOD_PASSWORD, None, IN_A_BROWSER)
    assert done.recovery_codes == ()
    assert rooms.authenticators.possible(citizen.account_id) == {"password"}


def test_issuing_and_completing_at_once_do_not_wait_for_each_other_for_ever(rooms: Rooms, citizen: Citizen) -> None:
    code = issue(rooms, citizen)

    def act(n: int) -> None:
        try:
            issue(rooms, citizen) if n % 2 else complete(rooms, code)
        except ActivationCodeRefused:
            return

    at_once(16, act, rooms.database, threads=8)
    complete(rooms, issue(rooms, citizen))


def test_guessing_stays_limited_while_an_account_is_pending(rooms: Rooms, citizen: Citizen) -> None:
    lane = [Lane.of_account(citizen.account_id)]
    for _ in range(5):
        rooms.guesses.reserve(GuessKind.PASSWORD, lane, IN_A_BROWSER)
    with pytest.raises(TooManyGuesses):
        rooms.guesses.reserve(GuessKind.PASSWORD, lane, IN_A_BROWSER)

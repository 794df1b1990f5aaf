"""What is checked in one step and counts in the next is asked again under the lock: an activation may have come between (laws 1 and 3)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pyotp
import pytest

from idp.audit.model import Origin
from idp.authenticators.model import OTP, SecondFactorHeld, TotpRefused, TotpTaken
from idp.demo.engines import DatabaseUrls, Engines
from idp.enrolment.model import NewSecondFactor, SecondFactorRequired
from idp.interactions.signing_in import Enrolled, SignedIn, SignIn, Where
from idp.kernel.clock import FixedClock
from idp.kernel.digests import new_bearer
from idp.kernel.refusals import Refusal
from idp.sessions.model import Begun, LiveSession, NoSuchSession
from idp.sessions.service import Proof
from idp.storage.postgres import Transaction
from tests.conftest import MORNING
from tests.support.citizens import make_recovery_codes, take_recovery_code
from tests.support.journeys import Journeys
from tests.support.journeys import session_of as cookie_of
from tests.support.load import wait_until
from tests.support.provider import OPERATOR, Person, Provider, make_provider
from tests.support.races import at_once

ROUNDS = 60
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'idp_app' AND wait_event_type = 'Lock'"
WHERE = Where(OPERATOR, None, "Mozilla/5.0", None)


class Ticking(FixedClock):
    """A clock that shows no instant twice: what began earlier and what later is the question here. It leaves no time step behind."""

    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        self._one_at_a_time = threading.Lock()

    def now(self) -> datetime:
        with self._one_at_a_time:
            self.advance(timedelta(microseconds=1))
            return super().now()


@pytest.fixture(scope="module")
def op(engines: Engines, database_urls: DatabaseUrls) -> Iterator[Provider]:
    provider = make_provider(engines, database_urls, Ticking(MORNING))
    yield provider
    provider.close()


class Interrupted:
    """Passwords after whose check something happens before anything follows from it."""

    def __init__(self, op: Provider, happens: Callable[[], object]) -> None:
        self._passwords, self._happens = op.rooms.passwords, happens

    def check(self, *given: Any, **named: Any) -> Any:
        checked = self._passwords.check(*given, **named)
        self._happens()
        return checked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._passwords, name)


def sign_in_interrupted_by(op: Provider, happens: Callable[[], object]) -> SignIn:
    rooms = op.rooms
    return SignIn(
        rooms.database,
        accounts=rooms.accounts,
        authenticators=rooms.authenticators,
        passwords=Interrupted(op, happens),  # type: ignore[arg-type]  # stands in the place of the service, and asks it
        totp=rooms.totp,
        recovery_codes=rooms.recovery_codes,
        devices=rooms.devices,
        guesses=rooms.guesses,
        sessions=rooms.sessions,
    )


def activate_anew(op: Provider, code: str, secret: str | None = None) -> str:
    """Complete an activation with a new password and, with `secret`, a second factor; return the password."""
    password = new_bearer("")
    factor = NewSecondFactor(secret, pyotp.TOTP(secret).at(op.clock.now())) if secret else None
    op.rooms.activation.complete(code, password, factor, OPERATOR)
    return password


def issue(op: Provider, person: Person) -> str:
    return op.rooms.activation.issue(person.account_id, by="test", origin=OPERATOR)


def is_alive(op: Provider, signed_in: SignedIn | None) -> bool:
    return signed_in is not None and op.rooms.sessions.find(signed_in.session.cookie) is not None


def seal_anew(op: Provider, person: Person) -> None:
    """What a rotation of the sealing key does to a hash."""
    sealer, place = op.rooms.keys.sealer, f"password.hash_sealed:{person.account_id}"
    with op.owner.transaction() as transaction:
        held = transaction.one("SELECT hash_sealed FROM password WHERE account_id = %(id)s", {"id": person.account_id})
        assert held is not None
        sealed = sealer.seal(sealer.open(held.hash_sealed, place), place)
        parameters = {"id": person.account_id, "sealed": sealed}
        transaction.run("UPDATE password SET hash_sealed = %(sealed)s WHERE account_id = %(id)s", parameters)


def rows_of(op: Provider, person: Person, table: str, condition: str = "true") -> int:
    with op.owner.transaction() as transaction:
        return len(transaction.all(f"SELECT 1 FROM {table} WHERE account_id = %(id)s AND {condition}", {"id": person.account_id}))


# the password ------------------------------------------------------------------------------------------------------------------------------


def test_a_password_replaced_after_its_check_begins_no_session(op: Provider) -> None:
    """Law 1: what was checked has to be what is stored when the session begins; it is refused, recorded, and no device is remembered."""
    person = op.person(second_factor=False)
    code = issue(op, person)
    sign_in = sign_in_interrupted_by(op, lambda: activate_anew(op, code))
    assert sign_in.with_password(person.username, person.password, None, WHERE) is None
    assert rows_of(op, person, "session") == 0
    assert rows_of(op, person, "known_device") == 0
    assert rows_of(op, person, "audit_event", "kind = 'authenticators.proof_refused'") == 1


def test_a_password_replaced_after_its_check_raises_no_session(op: Provider) -> None:
    """A sign-in anew in a browser that is signed in: the same."""
    person = op.person(second_factor=False)
    begun = op.rooms.sign_in.with_password(person.username, person.password, None, WHERE)
    assert begun is not None
    current = op.rooms.sessions.find(begun.session.cookie)
    code = issue(op, person)
    sign_in = sign_in_interrupted_by(op, lambda: activate_anew(op, code))
    assert sign_in.with_password(person.username, person.password, current, WHERE) is None
    assert rows_of(op, person, "session") == 1
    assert not is_alive(op, begun)


def test_what_leaves_the_password_as_it_is_is_no_obstacle(op: Provider) -> None:
    """The control: the same hash sealed anew, a code issued, another's activation."""
    person, other = op.person(second_factor=False), op.person(second_factor=False)

    def happens() -> None:
        issue(op, person)
        activate_anew(op, issue(op, other))
        seal_anew(op, person)

    signed_in = sign_in_interrupted_by(op, happens).with_password(person.username, person.password, None, WHERE)
    assert is_alive(op, signed_in)


def test_of_a_sign_in_and_an_activation_at_once_no_session_of_the_old_password_is_left(op: Provider) -> None:
    """Whichever is first: the session is refused, or it is dead. And the new password is good."""
    person = op.person(second_factor=False)
    password = person.password
    for _ in range(ROUNDS):
        code = issue(op, person)

        def sign_in(password: str = password) -> SignedIn | str:
            return op.rooms.sign_in.with_password(person.username, password, None, WHERE) or "refused"

        def activate(code: str = code) -> str:
            return activate_anew(op, code)

        calls: list[Callable[[], SignedIn | str]] = [sign_in, activate]
        *begun, password = at_once(calls)  # type: ignore[assignment]  # the last is the activation's
        assert not any(is_alive(op, each) for each in begun if isinstance(each, SignedIn))
        assert is_alive(op, op.rooms.sign_in.with_password(person.username, password, None, WHERE))


# a second factor ----------------------------------------------------------------------------------------------------------------------------


def session_of(op: Provider, person: Person) -> LiveSession:
    """A session that the password began."""
    begun = op.rooms.sign_in.with_password(person.username, person.password, None, WHERE)
    assert begun is not None
    session = op.rooms.sessions.find(begun.session.cookie)
    assert session is not None
    return session


class Enrolling:
    """Somebody with the password of an account without a second factor, about to send the first code of one."""

    def __init__(self, op: Provider, person: Person) -> None:
        self.op, self.person, self.session = op, person, session_of(op, person)
        self.offered = op.rooms.totp.enrol(person.account_id, person.name)

    def send(self) -> Enrolled:
        code = pyotp.TOTP(self.offered.secret).at(self.op.clock.now())
        return self.op.rooms.sign_in.enrol_otp(self.offered.id, code, self.session, WHERE)

    def try_to_send(self) -> Enrolled | Refusal:
        try:
            return self.send()
        except Refusal as refusal:
            return refusal


def methods_of(op: Provider, person: Person) -> frozenset[str]:
    return op.rooms.authenticators.possible(person.account_id)


def test_whoever_has_none_sets_one_up_and_it_counts(op: Provider) -> None:
    """The control beside all that follows."""
    person = op.person(second_factor=False)
    enrolled = Enrolling(op, person).send()
    found = op.rooms.sessions.find(enrolled.session.cookie)
    assert found is not None
    assert OTP in found.proofs


def test_a_second_factor_that_came_meanwhile_has_to_be_proved_first(op: Provider) -> None:
    """Law 3: what is set up during a sign-in counts only after the strongest earlier level; the dispatcher's look may be old."""
    person = op.person(second_factor=False)
    first = Enrolling(op, person).send()
    late = Enrolling(op, person)
    with pytest.raises(SecondFactorHeld):
        late.send()
    assert rows_of(op, person, "totp", "confirmed_at IS NOT NULL") == 1
    assert take_recovery_code(op.rooms, person.account_id, first.recovery_codes[0]) is not None


def test_a_recovery_code_that_is_left_is_a_second_factor(op: Provider) -> None:
    """Law 3: an application that was lost is not replaced by the password alone."""
    person = op.person(second_factor=False)
    (code, *_) = make_recovery_codes(op.rooms, person.account_id)
    with pytest.raises(SecondFactorHeld):
        Enrolling(op, person).send()
    assert take_recovery_code(op.rooms, person.account_id, code) is not None
    assert methods_of(op, person) == {"password", "rc"}


def test_what_is_enrolled_while_the_account_is_held_is_seen_by_who_waits(op: Provider, database_urls: DatabaseUrls) -> None:
    """Under the lock, not before it: the other transaction has not committed yet when this one begins."""
    person = op.person(second_factor=False)
    late, now = Enrolling(op, person), op.clock.now()
    outcome: list[Enrolled | Refusal] = []
    thread = threading.Thread(target=lambda: outcome.append(late.try_to_send()))
    with psycopg.connect(database_urls.superuser, autocommit=True) as looking, psycopg.connect(database_urls.owner) as other:
        other.execute("SELECT id FROM account WHERE id = %s FOR NO KEY UPDATE", [person.account_id])
        row = [person.account_id, b"x", now]
        other.execute("INSERT INTO recovery_code (account_id, code_index, created_at) VALUES (%s, %s, %s)", row)
        thread.start()
        wait_until(lambda: looking.execute(WAITING).fetchone() == (1,), within=10)
        other.commit()
    thread.join()
    assert isinstance(outcome[0], SecondFactorHeld)
    assert rows_of(op, person, "totp", "confirmed_at IS NOT NULL") == 0


def test_of_an_enrolment_and_an_activation_without_a_second_factor_at_once_one_is_refused(op: Provider) -> None:
    """Whichever is first: the activation would leave without it an account that has one, the enrolment belongs to a dead session."""
    won: set[str] = set()
    for _ in range(ROUNDS):
        person = op.person(second_factor=False)
        code, enrolling = issue(op, person), Enrolling(op, person)

        def activate(code: str = code) -> str | Refusal:
            try:
                return activate_anew(op, code)
            except Refusal as refusal:
                return refusal

        calls: list[Callable[[], Enrolled | str | Refusal]] = [enrolling.try_to_send, activate]
        enrolled, activated = at_once(calls)
        if isinstance(activated, SecondFactorRequired):
            assert isinstance(enrolled, Enrolled)
            assert methods_of(op, person) == {"password", "otp", "rc"}
            won.add("enrolment")
        else:
            assert isinstance(activated, str)
            assert isinstance(enrolled, TotpRefused)
            assert methods_of(op, person) == {"password"}
            won.add("activation")
    assert won


def test_a_dead_session_sets_nothing_up(op: Provider) -> None:
    """Law 8: the account was activated anew, and what its earlier session offers itself afterwards is nobody's."""
    person = op.person(second_factor=False)
    enrolling = Enrolling(op, person)
    activate_anew(op, issue(op, person))
    enrolling.offered = op.rooms.totp.enrol(person.account_id, person.name)
    with pytest.raises(NoSuchSession):
        enrolling.send()
    assert methods_of(op, person) == {"password"}


# a session that ended ------------------------------------------------------------------------------------------------------------------------


def test_a_code_given_to_a_session_that_ended_meanwhile_is_refused_and_not_used_up(op: Provider) -> None:
    """A second factor begins no session; the code is still good in the next one."""
    person = op.person()
    session = session_of(op, person)
    op.rooms.sessions.end(session.id, "signed_out", OPERATOR, account_id=person.account_id)
    code = person.code(op.clock)
    with pytest.raises(NoSuchSession):
        op.rooms.sign_in.with_otp(code, session, WHERE)
    with pytest.raises(NoSuchSession):
        op.rooms.sign_in.with_recovery_code(person.recovery_codes[0], session, WHERE)
    assert rows_of(op, person, "session") == 1
    session = session_of(op, person)
    assert op.rooms.sign_in.with_otp(code, session, WHERE) is not None


def test_a_session_that_ends_while_its_code_is_on_the_way_is_said_on_a_page(
    op: Provider, journeys: Journeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page had found it alive: the person reads that the sign-in is over, and gets no cookie."""
    person = op.person()
    browser = journeys.at_totp(person)
    session = op.rooms.sessions.find(cookie_of(browser) or "")
    assert session is not None
    take = op.rooms.totp.take_step_in

    def end_and_take(transaction: Transaction, account_id: UUID, typed: str, origin: Origin) -> TotpTaken | None:
        op.rooms.sessions.end(session.id, "signed_out", OPERATOR, account_id=person.account_id)
        return take(transaction, account_id, typed, origin)

    with monkeypatch.context() as patched:
        patched.setattr(op.rooms.totp, "take_step_in", end_and_take)
        answered = browser.submit(code=person.code(op.clock))
    assert answered.status == 400
    assert "This sign-in is over" in answered.text or "Lần đăng nhập này đã kết thúc" in answered.text
    assert answered.header("set-cookie") is None
    again = journeys.at_totp(person)
    again.submit(code=person.code(op.clock))
    assert again.at.endswith("/consent")


def test_a_second_factor_that_comes_while_the_first_code_is_on_the_way_is_asked_for(
    op: Provider, journeys: Journeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 3: no error, but the page that is due now."""
    person = op.person(second_factor=False)
    browser = journeys.at_enrol(person)
    reserve = op.rooms.guesses.reserve

    def regenerate_and_reserve(*given: Any) -> Any:
        make_recovery_codes(op.rooms, person.account_id)
        return reserve(*given)

    with monkeypatch.context() as patched:
        patched.setattr(op.rooms.guesses, "reserve", regenerate_and_reserve)
        browser.submit(code=journeys.offered_code(browser))
    assert browser.at.endswith("/recovery-code")
    assert methods_of(op, person) == {"password", "rc"}


@pytest.mark.parametrize("death", ["lock", "lock and unlock", "activation"])
def test_a_dead_session_is_not_raised_and_a_password_begins_another(op: Provider, death: str) -> None:
    """Law 8: what ends an account's sessions ends them for the next proof, too."""
    person = op.person()
    session, password = session_of(op, person), person.password
    if death == "activation":
        secret = op.rooms.totp.new_secret()
        password = activate_anew(op, issue(op, person), secret)
        code = pyotp.TOTP(secret).at(op.clock.now() + timedelta(seconds=30))
    else:
        op.rooms.accounts.lock(person.account_id, reason="test", legal_basis="test", origin=OPERATOR)
        code = person.code(op.clock)
        if death == "lock and unlock":
            op.rooms.accounts.unlock(person.account_id, origin=OPERATOR)
    with pytest.raises(NoSuchSession):
        op.rooms.sign_in.with_otp(code, session, WHERE)
    if death == "lock":
        op.rooms.accounts.unlock(person.account_id, origin=OPERATOR)
    begun = op.rooms.sign_in.with_password(person.username, password, session, WHERE)
    assert begun is not None
    assert begun.session.id != session.id
    assert is_alive(op, begun)


@pytest.mark.parametrize("method", ["otp", "rc"])
def test_a_second_factor_alone_begins_no_session(op: Provider, method: str) -> None:
    """Neither in a browser without a session, nor in that of somebody else, whose session stays."""
    person, other = op.person(), op.person(second_factor=False)
    proof = Proof(person.account_id, method, None, None, "Mozilla/5.0")
    others = session_of(op, other)
    for current in (None, others):
        with pytest.raises(NoSuchSession), op.rooms.database.transaction() as transaction:
            op.rooms.sessions.prove_in(transaction, proof, current, OPERATOR)
    assert rows_of(op, person, "session") == 0
    assert rows_of(op, other, "session", "ended_at IS NULL") == 1
    with op.rooms.database.transaction() as transaction:
        begun = op.rooms.sessions.prove_in(transaction, replace(proof, method="password"), None, OPERATOR)
    assert op.rooms.sessions.find(begun.cookie) is not None


@pytest.mark.parametrize("faster", ["otp", "password"])
def test_a_proof_raises_only_the_session_that_was_read(op: Provider, faster: str) -> None:
    """Whoever holds a session's cookie from before its second factor does not come to hold what that factor proved."""
    person = op.person()
    session = session_of(op, person)
    password = Proof(person.account_id, "password", None, None, "Mozilla/5.0")
    otp = replace(password, method="otp")

    def prove(proof: Proof) -> Begun:
        with op.rooms.database.transaction() as transaction:
            return op.rooms.sessions.prove_in(transaction, proof, session, OPERATOR)

    first = prove(otp if faster == "otp" else password)
    assert first.id == session.id
    if faster == "otp":
        second = prove(password)
        assert second.id != session.id
        found = op.rooms.sessions.find(second.cookie)
        assert found is not None
        assert set(found.proofs) == {"password"}
    else:
        with pytest.raises(NoSuchSession):
            prove(otp)
    held = op.rooms.sessions.find(first.cookie)
    assert held is not None
    assert held.id == session.id

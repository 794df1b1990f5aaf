"""What is checked in one step and counts in the next is asked again under the lock: an activation may have come between (laws 1 and 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyotp
import pytest

from idp.demo.engines import DatabaseUrls, Engines
from idp.enrolment.model import NewSecondFactor
from idp.interactions.signing_in import SignedIn, SignIn, Where
from idp.kernel.clock import SystemClock
from idp.kernel.digests import new_bearer
from tests.support.provider import OPERATOR, Person, Provider, make_provider
from tests.support.races import at_once

ROUNDS = 60
WHERE = Where(OPERATOR, None, "Mozilla/5.0", None)


@pytest.fixture(scope="module")
def op(engines: Engines, database_urls: DatabaseUrls) -> Iterator[Provider]:
    """A provider whose clock runs: what began earlier and what later is the question here."""
    provider = make_provider(engines, database_urls, SystemClock())
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
        passwords=Interrupted(op, happens),  # type: ignore[arg-type]
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

        def sign_in(password: str = password) -> SignedIn | None:
            return op.rooms.sign_in.with_password(person.username, password, None, WHERE)

        def activate(code: str = code) -> str:
            return activate_anew(op, code)

        *begun, password = at_once([sign_in, activate])  # type: ignore[list-item]
        assert not any(is_alive(op, each) for each in begun)  # type: ignore[arg-type]
        assert is_alive(op, op.rooms.sign_in.with_password(person.username, password, None, WHERE))

"""Synthetic people with accounts, and the rooms that make them, wired as the application wires them but with a cheap hash."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import pyotp

from idp.accounts.model import PersonDeclaration, PersonType
from idp.accounts.service import Accounts
from idp.assurance.policy import load_policy
from idp.assurance.service import Levels
from idp.audit.model import Origin
from idp.authenticators.hashing import HashParameters, HashSlots
from idp.authenticators.model import RecoveryCodeTaken, TotpTaken
from idp.authenticators.service import Authenticators, KnownDevices, Passwords, RecoveryCodes, Remembered, Totp
from idp.demo.people import synthetic_person
from idp.enrolment.model import NewSecondFactor
from idp.enrolment.service import Activation
from idp.reference.countries import get_country
from idp.throttle.service import Guesses

if TYPE_CHECKING:
    from idp.kernel.clock import Clock
    from idp.kernel.sealing import Sealer
    from idp.rooms import Rooms as ServingRooms
    from idp.storage.postgres import Database

T = TypeVar("T")

CHEAP = HashParameters(time_cost=1, memory_cost=8, parallelism=1)
AT_THE_COUNTER = Origin("-", operator="officer.one")
IN_A_BROWSER = Origin("req-1", address="192.0.2.7")
GOOD_PASSWORD = "mưa rào trên mái tôn"

_ordinals = itertools.count(1)


@dataclass(frozen=True)
class Rooms:
    database: Database
    clock: Clock
    accounts: Accounts
    guesses: Guesses
    authenticators: Authenticators
    passwords: Passwords
    totp: Totp
    recovery_codes: RecoveryCodes
    devices: KnownDevices
    activation: Activation
    levels: Levels


@dataclass(frozen=True)
class Citizen:
    account_id: UUID
    holder_id: UUID
    personal_number: str
    full_name: str
    password: str = ""
    totp_secret: str = ""
    recovery_codes: tuple[str, ...] = ()


def make_rooms(database: Database, sealer: Sealer, clock: Clock) -> Rooms:
    country = get_country("VN")
    accounts = Accounts(database, sealer, clock, country)
    guesses = Guesses(database, sealer, clock)
    authenticators = Authenticators(database)
    passwords = Passwords(database, sealer, clock, HashSlots(places=50), country, parameters=CHEAP)
    totp = Totp(database, sealer, clock)
    recovery_codes = RecoveryCodes(database, sealer, clock)
    devices = KnownDevices(database, clock)
    activation = Activation(
        database,
        clock,
        accounts=accounts,
        authenticators=authenticators,
        passwords=passwords,
        totp=totp,
        recovery_codes=recovery_codes,
        devices=devices,
        guesses=guesses,
    )
    levels = Levels(database, load_policy("vn-2026-1"), clock)
    return Rooms(
        database, clock, accounts, guesses, authenticators, passwords, totp, recovery_codes, devices, activation, levels
    )


def declaration(n: int | None = None) -> PersonDeclaration:
    """Return what synthetic citizen `n` declares (None: the next one nobody asked for yet)."""
    person = synthetic_person(next(_ordinals) if n is None else n)
    return PersonDeclaration(
        person_type=PersonType.CITIZEN,
        personal_number=person.personal_number,
        full_name=person.full_name,
        birth_date=person.birth_date,
        sex=person.sex,
        nationality="VN",
        phone=person.phone,
        email=person.email,
        address=person.address,
    )


def add_citizen(rooms: Rooms) -> Citizen:
    """Return a citizen whose account is pending."""
    declared = declaration()
    with rooms.database.transaction() as transaction:
        added = rooms.accounts.add_in(transaction, declared, AT_THE_COUNTER)
    return Citizen(added.account_id, added.holder_id, declared.personal_number, declared.full_name)


def activate(rooms: Rooms, citizen: Citizen, password: str = GOOD_PASSWORD) -> Citizen:
    """Return the citizen with password, second factor and recovery codes, all made through an activation code."""
    code = rooms.activation.issue(citizen.account_id, by="officer.one", origin=AT_THE_COUNTER)
    secret = rooms.totp.new_secret()
    second_factor = NewSecondFactor(secret, otp(rooms.clock, secret))
    done = rooms.activation.complete(code, password, second_factor, IN_A_BROWSER)
    return replace(citizen, password=password, totp_secret=secret, recovery_codes=done.recovery_codes)


def set_password(rooms: Rooms, account_id: UUID, password: str) -> None:
    """Give an account a password."""
    prepared = rooms.passwords.prepare(password)
    with rooms.database.transaction() as transaction:
        rooms.passwords.set_prepared(transaction, account_id, prepared, IN_A_BROWSER)


def take_step(rooms: Rooms, account_id: UUID, code: str) -> TotpTaken | None:
    """Prove a one-time code, and nothing else in the same transaction."""
    with rooms.database.transaction() as transaction:
        return rooms.totp.take_step_in(transaction, account_id, code, IN_A_BROWSER)


def confirm_totp(rooms: Rooms, account_id: UUID, totp_id: UUID, code: str) -> None:
    """Confirm an offered authenticator."""
    with rooms.database.transaction() as transaction:
        rooms.totp.confirm_in(transaction, account_id, totp_id, code, IN_A_BROWSER)


def make_recovery_codes(rooms: Rooms | ServingRooms, account_id: UUID) -> tuple[str, ...]:
    """Make ten recovery codes in place of the earlier ones."""
    with rooms.database.transaction() as transaction:
        return rooms.recovery_codes.regenerate_in(transaction, account_id, IN_A_BROWSER)


def take_recovery_code(rooms: Rooms | ServingRooms, account_id: UUID, code: str) -> RecoveryCodeTaken | None:
    """Use up a recovery code, and do nothing else in the same transaction."""
    with rooms.database.transaction() as transaction:
        return rooms.recovery_codes.take_code_in(transaction, account_id, code, IN_A_BROWSER)


def remember_device(rooms: Rooms, account_id: UUID, cookie: str | None) -> Remembered:
    """Remember a browser, as a finished sign-in does."""
    with rooms.database.transaction() as transaction:
        return rooms.devices.remember_in(transaction, account_id, cookie, IN_A_BROWSER)


def otp(clock: Clock, secret: str, steps: int = 0) -> str:
    """Return the code of the present time step, or of one `steps` later."""
    return pyotp.TOTP(secret).generate_otp(int(clock.now().timestamp()) // 30 + steps)


def at_once(tries: int, act: Callable[[int], T], *databases: Database, threads: int = 20) -> list[T]:
    """Run `act` `tries` times in `threads` threads that begin together at a barrier; return what each gave.

    `databases` are those whose hot steps `act` runs: each thread ends the connection it kept.
    """
    barrier = threading.Barrier(threads)

    def work(first: int) -> list[T]:
        barrier.wait(timeout=20)
        try:
            return [act(n) for n in range(first, tries, threads)]
        finally:
            for database in databases:
                database._drop()

    with ThreadPoolExecutor(threads) as pool:
        return [each for share in pool.map(work, range(threads)) for each in share]

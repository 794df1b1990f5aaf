"""The people of a demo: entered, identified and activated by the same steps as everybody, so that nothing is bypassed.

Owns who they are and what they can show. Passwords, TOTP secrets and recovery codes are random and made here, at run time.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyotp

from idp.accounts.model import NumberTaken, PersonDeclaration, PersonType
from idp.assurance.events import CheckedFact
from idp.audit.model import Origin
from idp.authenticators.model import TotpRefused
from idp.demo.people import COUNTRY_CODE, synthetic_person
from idp.demo.record import changed_kept
from idp.enrolment.model import NewSecondFactor
from idp.kernel.digests import random_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from uuid import UUID

    from idp.demo.people import SyntheticPerson
    from idp.rooms import Rooms

BY: Final = "demo"
_ORIGIN: Final = Origin.operated(BY)
_STEP: Final = 30
_CONSONANTS: Final = "bcdghklmnprstvxz"
_VOWELS: Final = "aeiouyaeiouyaeio"
_GROUPS: Final = 4

_LEVELS: Final = {
    0: (),
    1: ("register_match", "phone_owned"),
    2: ("register_match", "phone_owned", "counter_identity_check", "card_chip_read", "biometric_match"),
}
"""What is checked about a citizen until the policy grants this level. The level itself is computed, and asked for afterwards."""


@dataclass(frozen=True, slots=True)
class Persona:
    """One kind of demo person: what was checked about them, and what became of their account."""

    note: str
    ial: int
    has_second_factor: bool = True
    is_locked: bool = False


PERSONAS: Final = (
    Persona("mức 2 · level 2", 2),
    Persona("mức 1 · level 1", 1),
    Persona("mức 0 · level 0, self-asserted", 0),
    Persona("chưa có yếu tố thứ hai · no second factor yet", 1, has_second_factor=False),
    Persona("đang bị khoá · locked", 2, is_locked=True),
)


def make_demo_people(rooms: Rooms, var: Path) -> None:
    """Make one account of each persona, and keep what they sign in with in `var`."""
    made = [_make(rooms, _next_person(var), persona) for persona in PERSONAS]
    with changed_kept(var) as kept:
        kept.accounts = made


def are_there(rooms: Rooms, accounts: list[dict[str, Any]]) -> bool:
    """Whether the database has these demo people; it may have been removed without them."""
    return bool(accounts) and all(rooms.accounts.find_by_number(each["username"]) is not None for each in accounts)


def make_people(rooms: Rooms, var: Path, count: int, *, ial: int, threads: int, tell: Callable[[int], None]) -> list[dict[str, Any]]:
    """Make `count` more synthetic people with password and TOTP, in `threads` that hash at once; `tell` hears how many are made.

    Numbering goes on where any earlier call ended, even one that failed.
    """
    with changed_kept(var) as kept:
        first = kept.next_person
        kept.next_person += count
    persona = Persona("", ial)
    made: list[dict[str, Any]] = []

    def make(n: int) -> dict[str, Any]:
        account = _make(rooms, iter([n]), persona, spare=lambda: _next_person(var))
        return {name: account[name] for name in ("username", "password", "totp_secret", "name", "ial")}

    with ThreadPoolExecutor(threads, thread_name_prefix="people") as pool:
        for account in pool.map(make, range(first, first + count)):
            made.append(account)
            tell(len(made))
    return made


def _next_person(var: Path) -> Iterator[int]:
    """Yield numbers of people that nobody asked for yet."""
    while True:
        with changed_kept(var) as kept:
            n = kept.next_person
            kept.next_person = n + 1
        yield n


def _make(
    rooms: Rooms, numbers: Iterator[int], persona: Persona, *, spare: Callable[[], Iterator[int]] | None = None
) -> dict[str, Any]:
    person, account_id, holder_id = _enter(rooms, numbers, persona, spare)
    password, secret = new_password(), rooms.totp.new_secret() if persona.has_second_factor else None
    recovery_codes = _activate(rooms, account_id, password, secret)
    if persona.is_locked:
        reason = "báo mất điện thoại (mẫu) · phone reported lost (sample)"
        rooms.accounts.lock(account_id, reason=reason, legal_basis="demo", origin=_ORIGIN)
    return {
        "name": person.full_name,
        "username": person.personal_number,
        "password": password,
        "totp_secret": secret,
        "recovery_codes": list(recovery_codes),
        "ial": rooms.levels.current(holder_id).ial,
        "note": persona.note,
    }


def _activate(rooms: Rooms, account_id: UUID, password: str, secret: str | None) -> tuple[str, ...]:
    """Do what a person does with an activation code; return the recovery codes."""
    code = rooms.activation.issue(account_id, by=BY, origin=_ORIGIN)
    while True:
        # The step before the present one is in the window too; taking it leaves the present one for the first sign-in.
        step_before = int(rooms.clock.now().timestamp()) // _STEP - 1
        factor = None if secret is None else NewSecondFactor(secret, pyotp.TOTP(secret).generate_otp(step_before))
        try:
            return rooms.activation.complete(code, password, factor, _ORIGIN).recovery_codes
        except TotpRefused:  # a step ended while the password was hashed; the activation code is still good
            if int(rooms.clock.now().timestamp()) // _STEP - 1 == step_before:
                raise


def _enter(
    rooms: Rooms, numbers: Iterator[int], persona: Persona, spare: Callable[[], Iterator[int]] | None
) -> tuple[SyntheticPerson, UUID, UUID]:
    """Enter the first of these people whom nobody entered yet, with their evidence; return who it is and their two ids."""
    while True:
        n = next(numbers, None)
        if n is None:
            if spare is None:
                raise NumberTaken
            numbers, spare = spare(), None
            continue
        person = synthetic_person(n)
        try:
            with rooms.database.transaction() as transaction:
                added = rooms.accounts.add_in(transaction, _declaration(person), _ORIGIN)
                for kind in _LEVELS[persona.ial]:
                    fact = CheckedFact(kind, "văn phòng mẫu · sample office", "demo", rooms.clock.now())
                    rooms.levels.add_evidence_in(transaction, added.holder_id, fact, _ORIGIN)
        except NumberTaken:
            continue  # of a demo whose record was removed
        return person, added.account_id, added.holder_id


def _declaration(person: SyntheticPerson) -> PersonDeclaration:
    return PersonDeclaration(
        person_type=PersonType.CITIZEN,
        personal_number=person.personal_number,
        full_name=person.full_name,
        birth_date=person.birth_date,
        sex=person.sex,
        nationality=COUNTRY_CODE,
        phone=person.phone,
        email=person.email,
        address=person.address,
    )


def new_password() -> str:
    """Return a random password that can be read aloud and typed: four groups of two syllables, about 50 bits."""
    syllables = [_CONSONANTS[each >> 4] + _VOWELS[each & 15] for each in random_bytes(2 * _GROUPS)]
    return "-".join(syllables[2 * at] + syllables[2 * at + 1] for at in range(_GROUPS))


def how_many_at_once() -> int:
    """Return how many password hashes this machine computes at once: as many as it has cores for us."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

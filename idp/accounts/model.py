"""Persons and accounts: nouns, rules, refusals and events.

Owns what a person is to this provider, when an account is alive, and how channels and numbers are masked. Must not know
authenticators, levels or sessions: those rooms stand above and read `account_alive`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Final
from uuid import UUID

from idp.audit.model import Event
from idp.kernel.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from idp.reference.model import Sex

MAX_IDENTIFIER: Final = 64
"""Longer texts are no personal number of any country; they are cut before anything is computed from them."""


class PersonType(StrEnum):
    """Who a person is to the law (Decree 69/2024 Art. 7; Law on Identification Art. 30 for certificates)."""

    CITIZEN = "citizen"
    FOREIGNER = "foreigner"
    IDENTITY_CERTIFICATE = "identity_certificate"


class AccountState(StrEnum):
    """Pending until activated by its person; closed for ever."""

    PENDING = "pending"
    ACTIVE = "active"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class PersonDeclaration:
    """What somebody says of a person, before any of it is checked. Phone in any form the country's people write it."""

    person_type: PersonType
    personal_number: str
    full_name: str
    birth_date: date
    sex: Sex
    nationality: str | None = None
    """ISO 3166-1 alpha-2; None: the country's own."""
    phone: str | None = None
    email: str | None = None
    address: str | None = None
    locale: str | None = None
    """The language they are spoken to in; None: the country's."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person with everything opened: for claims and for the person's own pages, never for a log.

    `phone` is E.164. `personal_number` is the current one.
    """

    holder_id: UUID
    person_type: PersonType
    personal_number: str
    full_name: str
    birth_date: date
    sex: Sex
    nationality: str
    phone: str | None
    phone_verified_at: datetime | None
    email: str | None
    email_verified_at: datetime | None
    address: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class AccountFound:
    """The account that an identifier names. `is_alive`: active, and no lock holds it."""

    account_id: UUID
    holder_id: UUID
    state: AccountState
    is_locked: bool
    locale: str

    @property
    def is_alive(self) -> bool:
        """Whether a sign-in may end in a session."""
        return self.state is AccountState.ACTIVE and not self.is_locked


@dataclass(frozen=True, slots=True)
class Lock:
    """Why an account is held: the reason, on what legal basis, by whom, since when, and until when (None: until lifted)."""

    id: UUID
    account_id: UUID
    reason: str
    legal_basis: str
    placed_by: str
    placed_at: datetime
    until: datetime | None
    lifted_at: datetime | None
    lifted_by: str | None

    @property
    def is_held(self) -> bool:
        """Whether it holds; one past its `until` does until the job has lifted it."""
        return self.lifted_at is None


@dataclass(frozen=True, slots=True)
class AccountShown:
    """An account as an operator sees it: channels and number masked."""

    account_id: UUID
    holder_id: UUID
    state: AccountState
    locale: str
    created_at: datetime
    activated_at: datetime | None
    not_before: datetime | None
    person_type: PersonType
    full_name: str
    masked_number: str
    masked_phone: str | None
    masked_email: str | None
    locks: tuple[Lock, ...]

    @property
    def is_locked(self) -> bool:
        """Whether any lock is left; several may overlap."""
        return is_locked(self.locks)


def is_locked(locks: Iterable[Lock]) -> bool:
    """Tell whether any of `locks` holds."""
    return any(lock.is_held for lock in locks)


_DOT: Final = "\N{BULLET}"
_SHOWN_DIGITS: Final = 3


def masked_number(number: str) -> str:
    """Return a number with all but its last three characters hidden."""
    return _DOT * max(0, len(number) - _SHOWN_DIGITS) + number[-_SHOWN_DIGITS:]


def masked_phone(phone: str) -> str:
    """Return a phone number (E.164) with its country code's beginning and its last three digits shown."""
    return phone[:_SHOWN_DIGITS] + _DOT * max(0, len(phone) - 2 * _SHOWN_DIGITS) + phone[-_SHOWN_DIGITS:]


def masked_email(email: str) -> str:
    """Return an address of mail with its first character and its domain shown."""
    local, at, domain = email.rpartition("@")
    return local[:1] + _DOT * max(2, len(local) - 1) + at + domain


_IN_WORDS: Final[Mapping[str, str]] = {
    "control_character": "has a control character",
    "empty": "is empty",
    "impossible": "is no number that can be called",
    "in_future": "is in the future",
    "malformed": "is not written as one",
    "not_alpha_2": "is not the two letters of a country",
    "not_two_letters": "is not the two letters of a language",
    "too_long": "is too long",
}
"""What the codes of reasons mean to whoever enters a person; those of a country's numbers, the country puts into words."""


class NumberRefused(Refusal):
    """The personal number is not one, or contradicts what was declared. `reason` is a code of the country's rule."""

    code = "accounts.number_refused"

    def __init__(self, reason: str, words: str = "") -> None:
        """Refuse for `reason`, which `words` (the end of a sentence) put into words; never with the number."""
        super().__init__(f"personal_number: {words or reason}")
        self.reason = reason


class NumberTaken(Refusal):
    """Another person has or had this personal number: idp accounts show finds who has it."""

    code = "accounts.number_taken"


class DeclarationRefused(Refusal):
    """A declared fact has no acceptable form. `field` says which."""

    code = "accounts.declaration_refused"

    def __init__(self, field: str, reason: str) -> None:
        """Refuse `field` for `reason`, a code or a sentence's end, never with its value."""
        super().__init__(f"{field}: {_IN_WORDS.get(reason, reason)}")
        self.field = field
        self.reason = reason


class NoSuchAccount(Refusal):
    """No account has this id or number."""

    code = "accounts.no_such_account"


class NoSuchLock(Refusal):
    """The account holds no such lock."""

    code = "accounts.no_such_lock"


class AccountClosed(Refusal):
    """The account is closed for ever."""

    code = "accounts.closed"


class LockRefused(Refusal):
    """A lock needs a reason and a legal basis, and an end in the future if it has one."""

    code = "accounts.lock_refused"


@dataclass(frozen=True, slots=True)
class AccountAdded(Event):
    """A person was entered and an account made for them, not active yet."""

    kind: ClassVar[str] = "accounts.account_added"

    person_type: str


@dataclass(frozen=True, slots=True)
class AccountLookedUp(Event):
    """An operator had shown to them what is held of a person: `what` is the account, its sessions, grants or evidence."""

    kind: ClassVar[str] = "accounts.account_looked_up"

    what: str


@dataclass(frozen=True, slots=True)
class AccountActivated(Event):
    """The person set up their account: from now on it can be signed in to. What began before counts no more."""

    kind: ClassVar[str] = "accounts.account_activated"

    first: bool


@dataclass(frozen=True, slots=True)
class AccountLocked(Event):
    """A lock was placed. Sessions and grants of the account are dead from this moment, and stay so when it is lifted."""

    kind: ClassVar[str] = "accounts.account_locked"

    lock_id: UUID
    reason: str
    legal_basis: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class AccountUnlocked(Event):
    """A lock was lifted; `left` others still hold the account."""

    kind: ClassVar[str] = "accounts.account_unlocked"

    lock_id: UUID
    left: int
    because_it_ended: bool


@dataclass(frozen=True, slots=True)
class AccountEnded(Event):
    """The account was closed for ever; its record stays."""

    kind: ClassVar[str] = "accounts.account_closed"

    reason: str

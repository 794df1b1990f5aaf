"""Adding, finding, showing, locking and closing accounts, and the `sub` of a person in a sector.

Owns the sealing of what identifies a person. Must not know sessions or clients: a lock ends sessions because their view joins it,
and a job tells portals (design §4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from idp.accounts import store
from idp.accounts.declarations import Declared, canonical_number, check_declaration
from idp.accounts.model import (
    AccountActivated,
    AccountAdded,
    AccountClosed,
    AccountEnded,
    AccountFound,
    AccountLocked,
    AccountLookedUp,
    AccountShown,
    AccountState,
    AccountUnlocked,
    Lock,
    LockRefused,
    NoSuchAccount,
    NoSuchLock,
    NumberTaken,
    Person,
    PersonDeclaration,
    PersonType,
    masked_email,
    masked_number,
    masked_phone,
)
from idp.audit import store as audit
from idp.audit.model import Origin
from idp.kernel.digests import new_bearer
from idp.kernel.ids import new_id
from idp.keys.sealed import PERSON_ADDRESS, PERSON_EMAIL, PERSON_NUMBER, PERSON_PHONE
from idp.reference.model import Sex

if TYPE_CHECKING:
    from datetime import datetime

    from idp.kernel.clock import Clock
    from idp.kernel.sealing import Sealer
    from idp.keys.model import SealedColumn
    from idp.reference.model import Country
    from idp.storage.postgres import Database, Row, Transaction

_NUMBER = "person.number"
_PHONE = "person.phone"
_EMAIL = "person.email"


@dataclass(frozen=True, slots=True)
class Added:
    """The ids of a new account and of its holder."""

    account_id: UUID
    holder_id: UUID


class Accounts:
    """Persons and their accounts."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock, country: Country) -> None:
        """Keep accounts in `database`, sealed by `sealer`, under the number rules of `country`."""
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._country = country

    # adding and finding ----------------------------------------------------------------------------------------

    def add(self, declaration: PersonDeclaration, origin: Origin) -> UUID:
        """Enter a person and make their account, pending until they activate it; return the account's id.

        Raises:
            NumberRefused, DeclarationRefused: a field is wrong.
            NumberTaken: somebody has or had this personal number.
        """
        with self._database.transaction() as transaction:
            return self.add_in(transaction, declaration, origin).account_id

    def add_in(self, transaction: Transaction, declaration: PersonDeclaration, origin: Origin) -> Added:
        """Do what `add` does within a transaction; return both ids."""
        now = self._clock.now()
        declared = check_declaration(declaration, self._country, today=now.astimezone(self._country.zone).date())
        account_id, holder_id, number_id = new_id(now), new_id(now), new_id(now)
        number = declared.declaration.personal_number
        if transaction.one(store.FIND_NUMBER_EVER, {"number_indexes": self._sealer.indexes(_NUMBER, number)}):
            raise NumberTaken
        transaction.run(store.INSERT_HOLDER, {"holder_id": holder_id, "now": now})
        transaction.run(store.INSERT_PERSON, self._sealed(declared, holder_id) | {"now": now})
        numbered = transaction.one(
            store.INSERT_NUMBER,
            {
                "number_id": number_id,
                "holder_id": holder_id,
                "number_sealed": self._sealer.seal(number.encode(), PERSON_NUMBER.place(number_id)),
                "number_index": self._sealer.index(_NUMBER, number),
                "now": now,
            },
        )
        if numbered is None:
            raise NumberTaken
        row = {"account_id": account_id, "holder_id": holder_id, "locale": declared.declaration.locale, "now": now}
        transaction.run(store.INSERT_ACCOUNT, row)
        event = AccountAdded(origin, person_type=declaration.person_type.value)
        audit.record(transaction, event, now, {"account_id": account_id, "object_id": holder_id})
        return Added(account_id, holder_id)

    def _sealed(self, declared: Declared, holder_id: UUID) -> dict[str, object]:
        person = declared.declaration
        return {
            "holder_id": holder_id,
            "person_type": person.person_type.value,
            "full_name": person.full_name,
            "search_key": declared.search_key,
            "birth_date": person.birth_date,
            "sex": person.sex.value,
            "nationality": person.nationality,
            "phone_sealed": self._seal(person.phone, PERSON_PHONE, holder_id),
            "phone_index": self._sealer.index(_PHONE, person.phone) if person.phone else None,
            "email_sealed": self._seal(person.email, PERSON_EMAIL, holder_id),
            "email_index": self._sealer.index(_EMAIL, person.email.casefold()) if person.email else None,
            "address_sealed": self._seal(person.address, PERSON_ADDRESS, holder_id),
        }

    def _seal(self, value: str | None, column: SealedColumn, row_id: UUID) -> bytes | None:
        return None if value is None else self._sealer.seal(value.encode(), column.place(row_id))

    def _open(self, sealed: bytes | None, column: SealedColumn, row_id: UUID) -> str | None:
        return None if sealed is None else self._sealer.open(sealed, column.place(row_id)).decode()

    def canonical(self, typed: str) -> str:
        """Return a typed identifier in the form in which it is looked up, and counted when it names no account."""
        return canonical_number(typed, self._country)

    def find_by_number(self, typed: str) -> AccountFound | None:
        """Return the account of whoever has this personal number now, in whatever state; former numbers find nobody."""
        indexes = self._sealer.indexes(_NUMBER, self.canonical(typed))
        row = self._database.step(store.FIND_BY_NUMBER, {"number_indexes": indexes})
        if row is None:
            return None
        return AccountFound(
            account_id=row.id,
            holder_id=row.holder_id,
            state=AccountState(row.state),
            is_locked=row.is_locked,
            locale=row.locale,
        )

    def person(self, holder_id: UUID) -> Person:
        """Return a person with everything opened: for claims, and for the person's own eyes.

        Raises:
            NoSuchAccount: no person has this id.
        """
        row = self._database.step(store.FIND_PERSON, {"holder_id": holder_id})
        if row is None:
            raise NoSuchAccount
        return self._opened(row)

    def _opened(self, row: Row) -> Person:
        number = self._sealer.open(row.number_sealed, PERSON_NUMBER.place(row.number_id))
        return Person(
            holder_id=row.holder_id,
            person_type=PersonType(row.person_type),
            personal_number=number.decode(),
            full_name=row.full_name,
            birth_date=row.birth_date,
            sex=Sex(row.sex),
            nationality=row.nationality,
            phone=self._open(row.phone_sealed, PERSON_PHONE, row.holder_id),
            phone_verified_at=row.phone_verified_at,
            email=self._open(row.email_sealed, PERSON_EMAIL, row.holder_id),
            email_verified_at=row.email_verified_at,
            address=self._open(row.address_sealed, PERSON_ADDRESS, row.holder_id),
            updated_at=row.updated_at,
        )

    def look_up(self, account_id: UUID, what: str, origin: Origin) -> AccountShown:
        """Return what `show` returns, on the record: an operator looks at `what` is held of this person.

        Raises:
            NoSuchAccount: there is none.
        """
        shown = self.show(account_id)
        with self._database.transaction() as transaction:
            audit.record(transaction, AccountLookedUp(origin, what=what), self._clock.now(), {"account_id": account_id})
        return shown

    def show(self, account_id: UUID) -> AccountShown:
        """Return an account as an operator sees it: number and channels masked, every lock it ever had.

        Raises:
            NoSuchAccount: there is none.
        """
        with self._database.transaction() as transaction:
            account = transaction.one(store.FIND_ACCOUNT, {"account_id": account_id})
            if account is None:
                raise NoSuchAccount
            row = transaction.one(store.FIND_PERSON, {"holder_id": account.holder_id})
            locks = tuple(_lock(each) for each in transaction.all(store.FIND_LOCKS, {"account_id": account_id}))
        if row is None:
            raise NoSuchAccount
        person = self._opened(row)
        return AccountShown(
            account_id=account.id,
            holder_id=account.holder_id,
            state=AccountState(account.state),
            locale=account.locale,
            created_at=account.created_at,
            activated_at=account.activated_at,
            not_before=account.not_before,
            person_type=person.person_type,
            full_name=person.full_name,
            masked_number=masked_number(person.personal_number),
            masked_phone=masked_phone(person.phone) if person.phone else None,
            masked_email=masked_email(person.email) if person.email else None,
            locks=locks,
        )

    # life and death --------------------------------------------------------------------------------------------

    def may_be_activated_in(self, transaction: Transaction, account_id: UUID) -> bool:
        """Hold an account and return whether it is neither locked nor closed, until the transaction ends.

        Raises:
            NoSuchAccount: there is none.
        """
        try:
            self._hold(transaction, account_id)
        except AccountClosed:
            return False
        return not self._held_locks(transaction, account_id)

    def activate_in(self, transaction: Transaction, account_id: UUID, origin: Origin) -> None:
        """Make an account active within a transaction. Its earlier sessions and grants are dead.

        Raises:
            NoSuchAccount, AccountClosed: there is none, or not any more.
        """
        held = self._hold(transaction, account_id)
        now = self._clock.now()
        transaction.run(store.ACTIVATE, {"account_id": account_id, "now": now})
        event = AccountActivated(origin, first=held.activated_at is None)
        audit.record(transaction, event, now, {"account_id": account_id})

    def lock(
        self, account_id: UUID, *, reason: str, legal_basis: str, origin: Origin, until: datetime | None = None
    ) -> UUID:
        """Place a lock, beside those that already hold; return its id. The account is dead at once, everywhere.

        Raises:
            LockRefused: no reason or legal basis, or an end that has passed.
            NoSuchAccount, AccountClosed: there is nothing to lock.
        """
        now = self._clock.now()
        if not reason.strip() or not legal_basis.strip():
            raise LockRefused("reason and legal basis are required")
        if until is not None and until <= now:
            raise LockRefused("the end of this lock has passed already")
        lock_id = new_id(now)
        placed = {"lock_id": lock_id, "account_id": account_id, "reason": reason.strip(), "now": now, "until": until}
        placed |= {"legal_basis": legal_basis.strip(), "placed_by": origin.operator or "the holder"}
        event = AccountLocked(
            origin, lock_id=lock_id, reason=reason.strip(), legal_basis=legal_basis.strip(), until=until
        )
        with self._database.transaction() as transaction:
            self._hold(transaction, account_id)
            transaction.run(store.INSERT_LOCK, placed)
            transaction.run(store.FORGET_BEFORE, {"account_id": account_id, "now": now})
            audit.record(transaction, event, now, {"account_id": account_id, "object_id": lock_id})
        return lock_id

    def unlock(self, account_id: UUID, lock_id: UUID | None = None, *, origin: Origin) -> int:
        """Lift one lock, or all of them; return how many still hold.

        What the lock killed stays dead: sessions and grants begin anew.

        Raises:
            NoSuchLock: nothing to lift.
            NoSuchAccount, AccountClosed: there is no such account, or not any more.
        """
        with self._database.transaction() as transaction:
            return self._lift(transaction, account_id, lock_id, origin, because_it_ended=False)

    def lift_expired_locks(self, *, at_most: int = 1000) -> int:
        """Lift the locks whose end has come, each in a transaction of its own; return how many were lifted."""
        parameters = {"now": self._clock.now(), "at_most": at_most}
        with self._database.transaction() as transaction:
            ended = transaction.all(store.FIND_ENDED_LOCKS, parameters)
        lifted = 0
        for each in ended:
            try:
                with self._database.transaction() as transaction:
                    origin = Origin.operated("lock end")
                    self._lift(transaction, each.account_id, each.id, origin, because_it_ended=True)
                lifted += 1
            except (NoSuchLock, AccountClosed):
                continue  # somebody was faster
        return lifted

    def _lift(
        self, transaction: Transaction, account_id: UUID, lock_id: UUID | None, origin: Origin, *, because_it_ended: bool
    ) -> int:
        self._hold(transaction, account_id)
        now = self._clock.now()
        parameters = {"account_id": account_id, "lock_id": lock_id, "now": now}
        lifted = transaction.all(store.LIFT_LOCK, parameters | {"lifted_by": origin.operator or "the holder"})
        if not lifted:
            raise NoSuchLock("" if lock_id else "no lock holds this account")
        left = self._held_locks(transaction, account_id)
        transaction.run(store.FORGET_BEFORE, {"account_id": account_id, "now": now})
        for each in lifted:
            event = AccountUnlocked(origin, lock_id=each.id, left=left, because_it_ended=because_it_ended)
            audit.record(transaction, event, now, {"account_id": account_id, "object_id": each.id})
        return left

    def close(self, account_id: UUID, *, reason: str, origin: Origin) -> None:
        """Close an account for ever; its record, number and subjects stay, so that nobody else ever gets them.

        Raises:
            NoSuchAccount, AccountClosed: there is no such account, or it is closed already.
        """
        with self._database.transaction() as transaction:
            self._hold(transaction, account_id)
            now = self._clock.now()
            transaction.run(store.CLOSE, {"account_id": account_id, "now": now})
            audit.record(transaction, AccountEnded(origin, reason=reason), now, {"account_id": account_id})

    @staticmethod
    def _held_locks(transaction: Transaction, account_id: UUID) -> int:
        counted = transaction.one(store.COUNT_HELD_LOCKS, {"account_id": account_id})
        return int(counted.held) if counted is not None else 0

    def _hold(self, transaction: Transaction, account_id: UUID) -> Row:
        """Hold the row, so that locks, unlocks and activations of one account follow each other."""
        row = transaction.one(store.HOLD_ACCOUNT, {"account_id": account_id})
        if row is None:
            raise NoSuchAccount
        if row.state == AccountState.CLOSED:
            raise AccountClosed
        return row

    # subjects --------------------------------------------------------------------------------------------------

    def subject(self, holder_id: UUID, sector: str) -> str:
        """Return the `sub` of a holder in a sector: random when first asked for, the same ever after (OIDC Core §8.1)."""
        found = self._database.step(store.FIND_SUBJECT, {"holder_id": holder_id, "sector": sector})
        if found is None:
            fresh = {"holder_id": holder_id, "sector": sector, "sub": new_bearer(""), "now": self._clock.now()}
            found = self._database.step(store.INSERT_SUBJECT, fresh)
        if found is None:
            raise NoSuchAccount
        return str(found.sub)


def _lock(row: Row) -> Lock:
    return Lock(
        id=row.id,
        account_id=row.account_id,
        reason=row.reason,
        legal_basis=row.legal_basis,
        placed_by=row.placed_by,
        placed_at=row.placed_at,
        until=row.until,
        lifted_at=row.lifted_at,
        lifted_by=row.lifted_by,
    )

"""Passwords: checked in the same time for everybody, set only by their own person.

Must not know how many guesses are left (`throttle` was asked before) nor what a right password leads to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from uuid import UUID

from idp.audit import store as audit
from idp.authenticators import store
from idp.authenticators.hashing import Hasher, HashParameters, HashSlots
from idp.authenticators.model import PASSWORD, PasswordSet, ProofRefused, check_password
from idp.keys.sealed import PASSWORD_HASH

if TYPE_CHECKING:
    from idp.audit.model import Origin
    from idp.kernel.clock import Clock
    from idp.kernel.sealing import Sealer
    from idp.reference.model import Country
    from idp.storage.postgres import Database, Transaction

_NOBODY: Final = UUID(int=0)
_ABOUT_US: Final = ("motcua", "mot cua")


def read_common_passwords() -> frozenset[str]:
    """Return the list that ships with the room: passwords and words that are guessed first everywhere, in the form of `comparable`."""
    lines = (files("idp.authenticators") / "common_passwords.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


@dataclass(frozen=True, slots=True)
class PreparedPassword:
    """A password that passed the rules, hashed: so that no transaction waits for the hash."""

    hash: str


@dataclass(frozen=True, slots=True)
class RightPassword:
    """A password that was the account's when it was checked: whatever follows from it holds it first, by `hold_in`."""

    account_id: UUID
    version: int


class Passwords:
    """The passwords of accounts."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        clock: Clock,
        slots: HashSlots,
        country: Country,
        *,
        parameters: HashParameters | None = None,
    ) -> None:
        """Hash within `slots` under `parameters`; what is guessed first everywhere or in `country` may not be set."""
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._slots = slots
        self._hasher = Hasher(parameters or HashParameters())
        self._common = read_common_passwords() | country.common_passwords
        self._about_us = (*_ABOUT_US, *country.service_names)

    @cached_property
    def _nobodys_sealed(self) -> bytes:
        """What is checked for an identifier that names nobody. Sealed at the first use: the keys may be away when we start."""
        return self._sealer.seal(self._hasher.nobodys.encode(), PASSWORD_HASH.place(_NOBODY))

    def check(
        self,
        account_id: UUID | None,
        password: str,
        *,
        origin: Origin,
        is_dead: bool = False,
        known_device: bool = False,
        client_id: UUID | None = None,
    ) -> RightPassword | None:
        """Return that `password` is the account's, or None; no account is an identifier that names nobody, and takes the same time.

        A guess was reserved before. A wrong password is recorded; what follows from a right one, the caller records. The right one
        of an account that `is_dead` is none: it takes the same time and leaves the same record as a wrong one.
        The hash is renewed when its parameters are outdated.

        Raises:
            HashSlotsBusy: nothing was checked; give the guess back with `Guesses.refund`.
        """
        looked_up = account_id or _NOBODY
        row = self._database.step(store.FIND_HASH, {"account_id": looked_up})
        sealed, place = (row.hash_sealed, PASSWORD_HASH.place(looked_up)) if row else (self._nobodys_sealed, PASSWORD_HASH.place(_NOBODY))
        stored = self._sealer.open(sealed, place).decode()
        renewed: str | None = None
        with self._slots.take(known_device=known_device):
            is_right = self._hasher.check(stored, password)
            right = RightPassword(looked_up, row.version) if is_right and row is not None and not is_dead else None
            if right and self._hasher.is_outdated(stored):
                renewed = self._hasher.hash(password)
        if right is None:
            event = ProofRefused(origin, method=PASSWORD)
            refused = audit.bodies(self._clock.now(), refused=event) | {"account_id": account_id, "client_id": client_id}
            self._database.step(store.RECORD_REFUSAL, refused)
        elif renewed is not None:
            self._renew(looked_up, sealed, renewed)
        return right

    def hold_in(self, transaction: Transaction, right: RightPassword, origin: Origin, *, client_id: UUID | None = None) -> bool:
        """Hold a password that was checked, and tell whether it is still the account's: an activation may have come between (law 1).

        False: the refusal is recorded in this same transaction, which is therefore to be committed.
        """
        wanted = {"account_id": right.account_id, "version": right.version}
        if transaction.one(store.HOLD_HASH, wanted) is not None:
            return True
        ids = {"account_id": right.account_id, "client_id": client_id}
        audit.record(transaction, ProofRefused(origin, method=PASSWORD), self._clock.now(), ids)
        return False

    def _renew(self, account_id: UUID, old_sealed: bytes, renewed: str) -> None:
        sealed = self._sealer.seal(renewed.encode(), PASSWORD_HASH.place(account_id))
        parameters = {"account_id": account_id, "old_sealed": old_sealed, "hash_sealed": sealed}
        self._database.step(store.REPLACE_HASH, parameters)

    def require_good(self, password: str, context: tuple[str, ...] = ()) -> None:
        """Let a new password pass the rules, and hash nothing. `context` are words of its person: number, name.

        Raises:
            PasswordRefused: by a subclass that says why.
        """
        check_password(password, common=self._common, context=(*context, *self._about_us))

    def prepare(self, password: str, context: tuple[str, ...] = ()) -> PreparedPassword:
        """Return a new password checked against the rules and hashed. `context` are words of its person: number, name.

        Raises:
            PasswordRefused: by a subclass that says why.
            HashSlotsBusy: try again.
        """
        self.require_good(password, context)
        with self._slots.take(known_device=True):
            return PreparedPassword(self._hasher.hash(password))

    def set_prepared(
        self, transaction: Transaction, account_id: UUID, prepared: PreparedPassword, origin: Origin
    ) -> None:
        """Store a prepared password within a transaction, in place of an earlier one."""
        now = self._clock.now()
        sealed = self._sealer.seal(prepared.hash.encode(), PASSWORD_HASH.place(account_id))
        row = transaction.one(store.SET_HASH, {"account_id": account_id, "hash_sealed": sealed, "now": now})
        event = PasswordSet(origin, first=row is not None and row.is_first)
        audit.record(transaction, event, now, {"account_id": account_id})

"""What the room does for others: one class for each authenticator, and the question which of them an account has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idp.accounts.store import HOLD_ACCOUNT
from idp.authenticators import store
from idp.authenticators.model import OTP, PASSWORD, RECOVERY_CODE, Held, has_second
from idp.authenticators.service.devices import KnownDevices, Remembered
from idp.authenticators.service.passwords import Passwords, PreparedPassword, RightPassword
from idp.authenticators.service.recovery_codes import RecoveryCodes
from idp.authenticators.service.totp import PreparedTotp, Totp

if TYPE_CHECKING:
    from uuid import UUID

    from idp.storage.postgres import Database, Row, Transaction

__all__ = [
    "Authenticators",
    "KnownDevices",
    "Passwords",
    "PreparedPassword",
    "PreparedTotp",
    "RecoveryCodes",
    "Remembered",
    "RightPassword",
    "Totp",
]


class Authenticators:
    """Which authenticators an account has."""

    def __init__(self, database: Database) -> None:
        """Ask `database`."""
        self._database = database

    def possible(self, account_id: UUID) -> frozenset[str]:
        """Return the names of the methods that this account's person could prove now; one question to the database."""
        return _methods(self._database.step(store.FIND_POSSIBLE, {"account_id": account_id}))

    def held(self, account_id: UUID) -> tuple[Held, ...]:
        """Return what the account's person proves with, to be shown to the person; used up codes still tell that there were some."""
        with self._database.transaction() as transaction:
            row = transaction.one(store.FIND_HELD, {"account_id": account_id})
        if row is None:
            return ()
        found = ((PASSWORD, row.password_at, None), (OTP, row.otp_at, None), (RECOVERY_CODE, row.rc_at, row.rc_left))
        return tuple(Held(method, since, left) for method, since, left in found if since is not None)

    def has_second_in(self, transaction: Transaction, account_id: UUID) -> bool:
        """Hold the account, and tell whether it has a second factor: until the transaction ends, nobody sets one up."""
        transaction.one(HOLD_ACCOUNT, {"account_id": account_id})
        return has_second(_methods(transaction.one(store.FIND_POSSIBLE, {"account_id": account_id})))


def _methods(row: Row | None) -> frozenset[str]:
    if row is None:
        return frozenset()
    held = {PASSWORD: row.password, OTP: row.otp, RECOVERY_CODE: row.rc}
    return frozenset(method for method, is_held in held.items() if is_held)

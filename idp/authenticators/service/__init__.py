"""What the room does for others: one class for each authenticator, and the question which of them an account has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idp.authenticators import store
from idp.authenticators.model import OTP, PASSWORD, RECOVERY_CODE
from idp.authenticators.service.devices import KnownDevices, Remembered
from idp.authenticators.service.passwords import Passwords, PreparedPassword, RightPassword
from idp.authenticators.service.recovery_codes import RecoveryCodes
from idp.authenticators.service.totp import Totp

if TYPE_CHECKING:
    from uuid import UUID

    from idp.storage.postgres import Database

__all__ = [
    "Authenticators",
    "KnownDevices",
    "Passwords",
    "PreparedPassword",
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
        row = self._database.step(store.FIND_POSSIBLE, {"account_id": account_id})
        if row is None:
            return frozenset()
        held = {PASSWORD: row.password, OTP: row.otp, RECOVERY_CODE: row.rc}
        return frozenset(method for method, is_held in held.items() if is_held)

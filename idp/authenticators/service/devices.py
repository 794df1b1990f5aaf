"""Known devices: browsers from which an account signed in before. They have an allowance of guesses of their own.

A known device proves nothing and is no factor: it only keeps strangers' guesses from shutting its person out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from idp.audit import store as audit
from idp.authenticators import store
from idp.authenticators.model import DeviceForgotten, DeviceRemembered
from idp.kernel.digests import digest, new_bearer
from idp.kernel.ids import new_id

if TYPE_CHECKING:
    from datetime import datetime

    from idp.audit.model import Origin
    from idp.kernel.clock import Clock
    from idp.storage.postgres import Database, Transaction

REMEMBERED_FOR: Final = timedelta(days=180)
"""Since the device was last seen."""

_PREFIX: Final = "mod_"


@dataclass(frozen=True, slots=True)
class Remembered:
    """A device of an account, and the value that its cookie is to have. One cookie may stand for several accounts."""

    device_id: UUID
    cookie: str


class KnownDevices:
    """The devices of accounts."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Keep digests of cookies in `database`."""
        self._database = database
        self._clock = clock

    def recognise(self, account_id: UUID | None, cookie: str | None) -> UUID | None:
        """Return the device that this cookie names for this account, or None. None as account takes the same time."""
        if cookie is None:
            return None
        row = self._database.step(
            store.FIND_DEVICE,
            {"account_id": account_id, "device_digest": digest(cookie), "seen_since": self._seen_since()},
        )
        return None if row is None else UUID(str(row.id))

    def remember_in(
        self, transaction: Transaction, account_id: UUID, cookie: str | None, origin: Origin
    ) -> Remembered:
        """Remember the browser of a finished sign-in; its present cookie is kept when it is one of ours."""
        now = self._clock.now()
        if cookie is not None:
            known = {"device_digest": digest(cookie), "seen_since": self._seen_since()}
            cookie = cookie if transaction.one(store.IS_DEVICE_OF_ANYBODY, known) else None
        for value in (cookie, new_bearer(_PREFIX)):
            if value is None:
                continue
            device = {"device_id": new_id(now), "account_id": account_id, "device_digest": digest(value), "now": now}
            row = transaction.one(store.REMEMBER_DEVICE, device)
            if row is not None:
                if row.is_first:
                    self._record(transaction, DeviceRemembered(origin, device_id=row.id), account_id, row.id, now)
                return Remembered(row.id, value)
        message = "a fresh cookie is nobody's"
        raise AssertionError(message)

    def forget_in(self, transaction: Transaction, account_id: UUID, origin: Origin) -> int:
        """Make every device of an account like any other again; return how many were known."""
        now = self._clock.now()
        forgotten = transaction.all(store.FORGET_DEVICES, {"account_id": account_id, "now": now})
        for row in forgotten:
            self._record(transaction, DeviceForgotten(origin, device_id=row.id), account_id, row.id, now)
        return len(forgotten)

    def _seen_since(self) -> datetime:
        return self._clock.now() - REMEMBERED_FOR

    def _record(
        self,
        transaction: Transaction,
        event: DeviceRemembered | DeviceForgotten,
        account_id: UUID,
        device_id: UUID,
        now: datetime,
    ) -> None:
        audit.record(transaction, event, now, {"account_id": account_id, "object_id": device_id})

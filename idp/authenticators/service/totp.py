"""One-time passwords by time (RFC 6238): enrolled, confirmed by a first code, each time step taken once.

PyOTP computes codes; it is never asked to verify one, since it would accept the same code for ever.
Must not know how many guesses are left, nor what a taken step leads to.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

import pyotp

from idp.accounts.store import HOLD_ACCOUNT
from idp.audit import store as audit
from idp.authenticators import store
from idp.authenticators.model import (
    DIGITS,
    MOST_TOTPS,
    OTP,
    PENDING_FOR,
    STEP_SECONDS,
    WINDOW,
    ProofRefused,
    TooManyTotps,
    TotpAdded,
    TotpOffered,
    TotpRefused,
    TotpRemoved,
    TotpTaken,
    read_otp,
)
from idp.kernel.digests import random_bytes, same
from idp.kernel.ids import new_id
from idp.keys.sealed import TOTP_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from idp.audit.model import Origin
    from idp.kernel.clock import Clock
    from idp.kernel.sealing import Sealer
    from idp.storage.postgres import Database, Transaction

_SECRET_BYTES: Final = 20
_NEVER: Final = -1


@dataclass(frozen=True, slots=True)
class PreparedTotp:
    """An authenticator whose first code was right: `step` is what that code used up."""

    secret: str
    step: int


class Totp:
    """The one-time-password authenticators of accounts."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock, *, issuer: str = "Một Cửa") -> None:
        """Keep secrets sealed in `database`; `issuer` is the name that authenticator applications show."""
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._issuer = issuer

    # enrolment -------------------------------------------------------------------------------------------------

    def new_secret(self) -> str:
        """Return a fresh secret in base32: 160 bits (RFC 4226 §4)."""
        return base64.b32encode(random_bytes(_SECRET_BYTES)).decode("ascii")

    def uri(self, secret: str, label: str) -> str:
        """Return what a QR code shows an authenticator application; `label` tells the person which account it is."""
        return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS).provisioning_uri(name=label, issuer_name=self._issuer)

    def enrol(self, account_id: UUID, label: str) -> TotpOffered:
        """Offer an account a new authenticator, which counts once it is confirmed; an earlier offer lapses.

        Raises:
            TooManyTotps: the account has as many as it may.
        """
        with self._database.transaction() as transaction:
            now = self._clock.now()
            transaction.one(HOLD_ACCOUNT, {"account_id": account_id})
            transaction.run(store.DROP_PENDING_TOTPS, {"account_id": account_id, "now": now})
            self._require_room(transaction, account_id)
            totp_id, secret = new_id(now), self.new_secret()
            self._insert(transaction, account_id, totp_id, secret, now=now)
        return TotpOffered(totp_id, secret, self.uri(secret, label))

    def offered(self, account_id: UUID, totp_id: UUID, label: str) -> TotpOffered | None:
        """Return an offer again, for a page that is shown again; None when it has lapsed or was confirmed."""
        row = self._database.step(store.FIND_PENDING_TOTP, self._wanted(account_id, totp_id))
        if row is None:
            return None
        secret = self._open(row.secret_sealed, row.id)
        return TotpOffered(row.id, secret, self.uri(secret, label))

    def _wanted(self, account_id: UUID, totp_id: UUID) -> dict[str, object]:
        return {"account_id": account_id, "totp_id": totp_id, "pending_since": self._clock.now() - PENDING_FOR}

    def confirm_in(
        self, transaction: Transaction, account_id: UUID, totp_id: UUID, typed: str, origin: Origin
    ) -> TotpTaken:
        """Make an offered authenticator count, by a code of it; return the step that this code used up.

        Raises:
            TotpRefused: the code is wrong, or the offer has lapsed.
            TooManyTotps: another was confirmed meanwhile.
        """
        now = self._clock.now()
        transaction.one(HOLD_ACCOUNT, {"account_id": account_id})
        row = transaction.one(store.HOLD_PENDING_TOTP, self._wanted(account_id, totp_id))
        if row is None:
            raise TotpRefused("no such offer")
        step = self._match(self._open(row.secret_sealed, row.id), typed, now, later_than=_NEVER)
        if step is None:
            raise TotpRefused("code")
        self._require_room(transaction, account_id)
        transaction.run(store.CONFIRM_TOTP, {"totp_id": totp_id, "now": now, "step": step})
        self._record_added(transaction, account_id, totp_id, now, origin)
        return TotpTaken(totp_id, step)

    def prepare(self, secret: str, typed: str) -> PreparedTotp:
        """Return an authenticator whose secret was made before and is confirmed by `typed`; nothing is stored yet.

        Raises:
            TotpRefused: the secret is not one that `new_secret` makes, or the code is not of it.
        """
        step = self._match(_checked(secret), typed, self._clock.now(), later_than=_NEVER)
        if step is None:
            raise TotpRefused("code")
        return PreparedTotp(secret, step)

    def add_prepared(self, transaction: Transaction, account_id: UUID, prepared: PreparedTotp, origin: Origin) -> None:
        """Store a prepared authenticator within a transaction.

        Raises:
            TooManyTotps: the account has as many as it may.
        """
        now = self._clock.now()
        transaction.one(HOLD_ACCOUNT, {"account_id": account_id})
        self._require_room(transaction, account_id)
        totp_id = new_id(now)
        self._insert(transaction, account_id, totp_id, prepared.secret, now=now, confirmed_at=now, step=prepared.step)
        self._record_added(transaction, account_id, totp_id, now, origin)

    def remove_in(self, transaction: Transaction, account_id: UUID, origin: Origin) -> int:
        """Remove every authenticator of an account within a transaction; return how many counted."""
        now = self._clock.now()
        rows = transaction.all(store.REMOVE_TOTPS, {"account_id": account_id, "now": now})
        removed = [row.id for row in rows if row.confirmed_at is not None]
        for each in removed:
            ids = {"account_id": account_id, "object_id": each}
            audit.record(transaction, TotpRemoved(origin, totp_id=each), now, ids)
        return len(removed)

    # proving ---------------------------------------------------------------------------------------------------

    def take_step_in(
        self, transaction: Transaction, account_id: UUID, typed: str, origin: Origin
    ) -> TotpTaken | None:
        """Consume the time step of a code within the transaction that records the proof. A guess was reserved before.

        None: the code was refused, and the refusal is recorded in this same transaction, which is therefore to be committed.
        """
        now = self._clock.now()
        for row in transaction.all(store.FIND_TOTPS, {"account_id": account_id}):
            step = self._match(self._open(row.secret_sealed, row.id), typed, now, later_than=row.last_step)
            if step is None:
                continue
            if transaction.one(store.TAKE_STEP, {"totp_id": row.id, "account_id": account_id, "step": step}):
                return TotpTaken(row.id, step)
        audit.record(transaction, ProofRefused(origin, method=OTP), now, {"account_id": account_id})
        return None

    # -----------------------------------------------------------------------------------------------------------

    def _match(self, secret: str, typed: str, now: datetime, *, later_than: int) -> int | None:
        """Return the first step after `later_than`, within the window, whose code this is."""
        code = read_otp(typed)
        if code is None:
            return None
        return next((step for step in _steps(now) if step > later_than and same(_code(secret, step), code.encode())), None)

    def _require_room(self, transaction: Transaction, account_id: UUID) -> None:
        counted = transaction.one(store.COUNT_TOTPS, {"account_id": account_id})
        if counted is not None and counted.held >= MOST_TOTPS:
            raise TooManyTotps

    def _insert(
        self,
        transaction: Transaction,
        account_id: UUID,
        totp_id: UUID,
        secret: str,
        *,
        now: datetime,
        confirmed_at: datetime | None = None,
        step: int = 0,
    ) -> None:
        sealed = self._sealer.seal(secret.encode(), TOTP_SECRET.place(totp_id))
        row = {"totp_id": totp_id, "account_id": account_id, "secret_sealed": sealed, "now": now}
        transaction.run(store.INSERT_TOTP, row | {"confirmed_at": confirmed_at, "step": step})

    def _record_added(
        self, transaction: Transaction, account_id: UUID, totp_id: UUID, now: datetime, origin: Origin
    ) -> None:
        ids = {"account_id": account_id, "object_id": totp_id}
        audit.record(transaction, TotpAdded(origin, totp_id=totp_id), now, ids)

    def _open(self, sealed: bytes, totp_id: UUID) -> str:
        return self._sealer.open(sealed, TOTP_SECRET.place(totp_id)).decode()


def _steps(now: datetime) -> Iterator[int]:
    present = int(now.timestamp()) // STEP_SECONDS
    yield from range(present - WINDOW, present + WINDOW + 1)


def _code(secret: str, step: int) -> bytes:
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS).generate_otp(step).encode("ascii")


def _checked(secret: str) -> str:
    """Return a secret that came back from a browser or a store of interactions, if it is one of ours in form."""
    try:
        raw = base64.b32decode(secret.encode("ascii"))
    except ValueError:
        raise TotpRefused("secret") from None
    if len(raw) != _SECRET_BYTES:
        raise TotpRefused("secret")
    return secret

"""Activation: an operator has a code issued, the person sets everything with it.

Owns what crosses accounts and authenticators. Must not know levels: what was proved when the code was handed over is evidence,
and is recorded as such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from idp.accounts.declarations import national_part
from idp.accounts.model import AccountShown, AccountState
from idp.audit import store as audit
from idp.authenticators.model import CODE_BYTES, has_second, read_code, write_code
from idp.enrolment import store
from idp.enrolment.model import (
    CODE_LIVES_FOR,
    Activated,
    Activating,
    ActivationCodeIssued,
    ActivationCodeRefused,
    ActivationCompleted,
    NewSecondFactor,
    NotActivatable,
    SecondFactorRequired,
)
from idp.kernel.digests import digest, random_bytes

if TYPE_CHECKING:
    from uuid import UUID

    from idp.accounts.service import Accounts
    from idp.audit.model import Origin
    from idp.authenticators.service import (
        Authenticators,
        KnownDevices,
        Passwords,
        PreparedPassword,
        PreparedTotp,
        RecoveryCodes,
        Totp,
    )
    from idp.kernel.clock import Clock
    from idp.storage.postgres import Database, Transaction
    from idp.throttle.service import Guesses

_NO_CODE: Final = ""


class Activation:
    """Activation of new accounts, and anew of those whose person lost everything."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        accounts: Accounts,
        authenticators: Authenticators,
        passwords: Passwords,
        totp: Totp,
        recovery_codes: RecoveryCodes,
        devices: KnownDevices,
        guesses: Guesses,
    ) -> None:
        """Activate with the rooms given."""
        self._database = database
        self._clock = clock
        self._accounts = accounts
        self._authenticators = authenticators
        self._passwords = passwords
        self._totp = totp
        self._recovery_codes = recovery_codes
        self._devices = devices
        self._guesses = guesses

    def issue(self, account_id: UUID, *, by: str, origin: Origin) -> str:
        """Return a fresh activation code, shown this once and good for 24 hours; earlier codes are void.

        Raises:
            NoSuchAccount: there is none.
            NotActivatable: it is locked or closed.
        """
        code = write_code(random_bytes(CODE_BYTES))
        with self._database.transaction() as transaction:
            now = self._clock.now()
            if not self._accounts.may_be_activated_in(transaction, account_id):
                raise NotActivatable
            transaction.run(store.REPLACE_CODES, {"account_id": account_id, "now": now})
            row = {"digest": _digest(code), "account_id": account_id, "issued_by": by, "now": now}
            transaction.run(store.INSERT_CODE, row | {"expires_at": now + CODE_LIVES_FOR})
            event = ActivationCodeIssued(origin, by=by, expires_at=now + CODE_LIVES_FOR)
            audit.record(transaction, event, now, {"account_id": account_id})
        return code

    def begin(self, code: str) -> Activating:
        """Return whom this code would activate, and use nothing up.

        Raises:
            ActivationCodeRefused: it would activate nobody.
        """
        row = self._database.step(store.FIND_CODE, {"digest": _digest(code)})
        now = self._clock.now()
        if row is None or row.used_at is not None or row.replaced_at is not None or row.expires_at <= now:
            raise ActivationCodeRefused
        shown = self._require_activatable(row.account_id)
        return Activating(
            account_id=row.account_id,
            holder_id=shown.holder_id,
            full_name=shown.full_name,
            masked_number=shown.masked_number,
            expires_at=row.expires_at,
            has_second_factor=has_second(self._authenticators.possible(row.account_id)),
        )

    def require_good_password(self, activating: Activating, password: str) -> None:
        """Let a password pass that `complete` would take, before the person sets up a second factor.

        Raises:
            PasswordRefused: by a subclass that says why.
        """
        self._passwords.require_good(password, self._words_of(activating))

    def _words_of(self, activating: Activating) -> tuple[str, ...]:
        """Return what a password of this person may not consist of."""
        person = self._accounts.person(activating.holder_id)
        phone, email = national_part(person.phone) if person.phone else "", person.email or ""
        words = (person.personal_number, person.full_name, phone, email.partition("@")[0])
        return tuple(word for word in words if word)

    def complete(
        self, code: str, password: str, second_factor: NewSecondFactor | None, origin: Origin
    ) -> Activated:
        """Use up the code, set password and second factor, make recovery codes and activate: all of it or nothing.

        Earlier authenticators, devices, sessions and grants are void, and the account has all its guesses again.

        Raises:
            ActivationCodeRefused: the code is not good, or somebody was faster.
            PasswordRefused: by a subclass that says why. HashSlotsBusy: try again.
            TotpRefused: the code of the second factor is wrong; the activation code stays good.
            SecondFactorRequired: the account had one before.
        """
        activating = self.begin(code)
        factor = self._totp.prepare(second_factor.secret, second_factor.code) if second_factor is not None else None
        prepared = self._passwords.prepare(password, self._words_of(activating))  # last: only the hash is costly
        with self._database.transaction() as transaction:
            account_id = self._take(transaction, code, activating.account_id)
            if factor is None and self._authenticators.has_second_in(transaction, account_id):
                raise SecondFactorRequired
            codes = self._bind(transaction, account_id, prepared, factor, origin)
            self._accounts.activate_in(transaction, account_id, origin)
            event = ActivationCompleted(origin, with_second_factor=factor is not None)
            audit.record(transaction, event, self._clock.now(), {"account_id": account_id})
        return Activated(account_id, codes)

    def _take(self, transaction: Transaction, code: str, account_id: UUID) -> UUID:
        """Use up the code. The account is held first, in the order in which `issue` holds, so that neither waits for ever.

        A lock may have come since `begin` looked, while the password was hashed: it is looked for again under the hold (law 1).
        """
        now = self._clock.now()
        if not self._accounts.may_be_activated_in(transaction, account_id):
            raise ActivationCodeRefused
        taken = transaction.one(store.TAKE_CODE, {"digest": _digest(code), "now": now})
        if taken is None or taken.account_id != account_id or taken.replaced_at is not None or taken.expires_at <= now:
            raise ActivationCodeRefused
        return account_id

    def _bind(
        self,
        transaction: Transaction,
        account_id: UUID,
        prepared: PreparedPassword,
        factor: PreparedTotp | None,
        origin: Origin,
    ) -> tuple[str, ...]:
        self._passwords.set_prepared(transaction, account_id, prepared, origin)
        self._totp.remove_in(transaction, account_id, origin)
        self._devices.forget_in(transaction, account_id, origin)
        self._guesses.reset_in(transaction, account_id, reason="activated", origin=origin)
        if factor is None:
            return ()
        self._totp.add_prepared(transaction, account_id, factor, origin)
        return self._recovery_codes.regenerate_in(transaction, account_id, origin)

    def _require_activatable(self, account_id: UUID) -> AccountShown:
        shown = self._accounts.show(account_id)
        if shown.is_locked or shown.state is AccountState.CLOSED:
            raise ActivationCodeRefused
        return shown


def _digest(code: str) -> bytes:
    return digest("activation:" + (read_code(code) or _NO_CODE))

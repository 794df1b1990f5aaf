"""How a person proves who they are: a guess is reserved, then checked, then recorded, and only then counts (laws 1 and 2).

Each method is one act of one page. What it proved goes into the session in the same transaction that consumed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idp.authenticators.model import OTP, PASSWORD, RECOVERY_CODE, HashSlotsBusy, SecondFactorHeld
from idp.sessions.service import Proof
from idp.throttle.model import GuessKind, Lane

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from idp.accounts.service import Accounts
    from idp.audit.model import Origin
    from idp.authenticators.service import Authenticators, KnownDevices, Passwords, RecoveryCodes, Totp
    from idp.sessions.model import Begun, LiveSession
    from idp.sessions.service import Sessions
    from idp.storage.postgres import Database, Transaction
    from idp.throttle.service import Guesses


@dataclass(frozen=True, slots=True)
class Where:
    """The browser in which a proof is given, for which client, and where the request came from."""

    origin: Origin
    client_id: UUID | None
    user_agent: str
    device: str | None
    """The device cookie's value, if there is one."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A proof that counts: the session it went into, and the device cookie to keep, if it is a new one."""

    session: Begun
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A second factor that was set up and counts: the session, and the recovery codes to show once."""

    session: Begun
    recovery_codes: tuple[str, ...]


class SignIn:
    """Takes the proofs of a sign-in."""

    def __init__(
        self,
        database: Database,
        *,
        accounts: Accounts,
        authenticators: Authenticators,
        passwords: Passwords,
        totp: Totp,
        recovery_codes: RecoveryCodes,
        devices: KnownDevices,
        guesses: Guesses,
        sessions: Sessions,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._authenticators = authenticators
        self._passwords = passwords
        self._totp = totp
        self._recovery_codes = recovery_codes
        self._devices = devices
        self._guesses = guesses
        self._sessions = sessions

    def with_password(self, username: str, password: str, current: LiveSession | None, where: Where) -> SignedIn | None:
        """Sign in by personal number and password; None when they are not right, or the account is not alive.

        An unknown number, a wrong password and a dead account take the same time and get the same answer (ASVS 6.3.8).

        Raises:
            TooManyGuesses: nothing was checked. HashSlotsBusy: nothing was checked, and the guess was given back.
        """
        found = self._accounts.find_by_number(username)
        account_id = found.account_id if found else None
        device_id = self._devices.recognise(account_id, where.device)
        if account_id is None:
            lanes = [Lane.of_identifier(self._accounts.canonical(username))]
        else:
            lanes = [Lane.of_account(account_id)]
            if device_id is not None:
                lanes.insert(0, Lane.of_device(account_id, device_id))
        charged = self._guesses.reserve(GuessKind.PASSWORD, lanes, where.origin)
        try:
            right = self._passwords.check(
                account_id,
                password,
                origin=where.origin,
                is_dead=found is not None and not found.is_alive,
                known_device=device_id is not None,
                client_id=where.client_id,
            )
        except HashSlotsBusy:
            self._guesses.refund(GuessKind.PASSWORD, charged)
            raise
        if right is None or found is None:
            return None
        with self._database.transaction() as transaction:
            if not self._passwords.hold_in(transaction, right, where.origin, client_id=where.client_id):
                return None  # the refusal is recorded in this transaction, which commits
            self._guesses.forgive_in(transaction, GuessKind.PASSWORD, charged)
            remembered = self._devices.remember_in(transaction, found.account_id, where.device, where.origin)
            proof = self._proof(found.account_id, PASSWORD, where, remembered.device_id)
            begun = self._sessions.prove_in(transaction, proof, current, where.origin)
        return SignedIn(begun, remembered.cookie)

    def with_otp(self, typed: str, session: LiveSession, where: Where) -> SignedIn | None:
        """Add a one-time code of the authenticator application to the session; None when it is not right or was used.

        Raises:
            TooManyGuesses: nothing was checked.
        """
        return self._add(GuessKind.OTP, OTP, self._totp.take_step_in, typed, session, where)

    def with_recovery_code(self, typed: str, session: LiveSession, where: Where) -> SignedIn | None:
        """Add a recovery code to the session, and use it up; None when it is not right or was used.

        Raises:
            TooManyGuesses: nothing was checked.
        """
        return self._add(GuessKind.RECOVERY_CODE, RECOVERY_CODE, self._recovery_codes.take_code_in, typed, session, where)

    def _add(
        self,
        kind: GuessKind,
        method: str,
        take: Callable[[Transaction, UUID, str, Origin], object | None],
        typed: str,
        session: LiveSession,
        where: Where,
    ) -> SignedIn | None:
        account = Lane.of_account(session.account_id)
        self._guesses.reserve(kind, [account], where.origin)
        with self._database.transaction() as transaction:
            if take(transaction, session.account_id, typed, where.origin) is None:
                return None  # the refusal is recorded in this transaction, which commits
            self._guesses.forgive_in(transaction, kind, account)
            begun = self._sessions.prove_in(transaction, self._proof(session.account_id, method, where), session, where.origin)
        return SignedIn(begun)

    def enrol_otp(self, totp_id: UUID, typed: str, session: LiveSession, where: Where) -> Enrolled:
        """Confirm an authenticator application that is being set up; it counts in this sign-in, and recovery codes come with it.

        The dispatcher asks for this only when the account's strongest earlier level was proved first (law 3); here, under the lock,
        that is asked again.

        Raises:
            SecondFactorHeld: the account has a second factor by now.
            NoSuchSession: the session ended meanwhile.
            TotpRefused: the code is wrong, or the offer has lapsed.
            TooManyGuesses: nothing was checked.
        """
        self._guesses.reserve(GuessKind.OTP, [Lane.of_account(session.account_id)], where.origin)
        with self._database.transaction() as transaction:
            if self._authenticators.has_second_in(transaction, session.account_id):
                raise SecondFactorHeld
            self._totp.confirm_in(transaction, session.account_id, totp_id, typed, where.origin)
            self._guesses.forgive_in(transaction, GuessKind.OTP, Lane.of_account(session.account_id))
            codes = self._recovery_codes.regenerate_in(transaction, session.account_id, where.origin)
            begun = self._sessions.prove_in(transaction, self._proof(session.account_id, OTP, where), session, where.origin)
        return Enrolled(begun, codes)

    @staticmethod
    def _proof(account_id: UUID, method: str, where: Where, device_id: UUID | None = None) -> Proof:
        return Proof(account_id, method, where.client_id, device_id, where.user_agent)

"""Recovery codes: ten of 120 bits, each used once, all replaced together.

Must not know how many guesses are left, nor what a used code leads to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from idp.accounts.store import HOLD_ACCOUNT
from idp.audit import store as audit
from idp.authenticators import store
from idp.authenticators.model import (
    CODE_BYTES,
    RECOVERY_CODE,
    RECOVERY_CODES,
    ProofRefused,
    RecoveryCodesMade,
    RecoveryCodeTaken,
    RecoveryCodeUsed,
    read_code,
    write_code,
)
from idp.kernel.digests import random_bytes

if TYPE_CHECKING:
    from uuid import UUID

    from idp.audit.model import Origin
    from idp.kernel.clock import Clock
    from idp.kernel.sealing import Sealer
    from idp.storage.postgres import Database, Transaction

_INDEX: Final = "recovery_code"


class RecoveryCodes:
    """The recovery codes of accounts, stored as keyed indexes."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        """Keep indexes in `database` under the keys of `sealer`."""
        self._database = database
        self._sealer = sealer
        self._clock = clock

    def regenerate_in(self, transaction: Transaction, account_id: UUID, origin: Origin) -> tuple[str, ...]:
        """Make ten codes and void all earlier ones; return them, to be shown once."""
        now = self._clock.now()
        codes = tuple(write_code(random_bytes(CODE_BYTES)) for _ in range(RECOVERY_CODES))
        indexes = [self._sealer.index(_INDEX, read_code(code) or "") for code in codes]
        transaction.one(HOLD_ACCOUNT, {"account_id": account_id})
        transaction.run(store.VOID_RECOVERY_CODES, {"account_id": account_id, "now": now})
        made = {"account_id": account_id, "now": now, "code_indexes": indexes}
        transaction.run(store.INSERT_RECOVERY_CODES, made)
        event = RecoveryCodesMade(origin, count=len(codes))
        audit.record(transaction, event, now, {"account_id": account_id})
        return codes

    def take_code_in(
        self, transaction: Transaction, account_id: UUID, typed: str, origin: Origin
    ) -> RecoveryCodeTaken | None:
        """Use up a code within the transaction that records the proof. A guess was reserved before.

        None: the code was refused, and the refusal is recorded in this same transaction, which is therefore to be committed.
        """
        now = self._clock.now()
        indexes = self._sealer.indexes(_INDEX, read_code(typed) or "")
        taken = {"account_id": account_id, "now": now, "code_indexes": indexes}
        if transaction.one(store.TAKE_RECOVERY_CODE, taken) is None:
            audit.record(transaction, ProofRefused(origin, method=RECOVERY_CODE), now, {"account_id": account_id})
            return None
        counted = transaction.one(store.COUNT_RECOVERY_CODES, {"account_id": account_id})
        left = int(counted.held) if counted is not None else 0
        audit.record(transaction, RecoveryCodeUsed(origin, left=left), now, {"account_id": account_id})
        return RecoveryCodeTaken(left)

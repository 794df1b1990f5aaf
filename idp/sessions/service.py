"""What sessions do for others."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from idp.audit.model import Origin
from idp.audit.store import record
from idp.authenticators.model import METHODS
from idp.jobs import Later
from idp.kernel.digests import digest, new_bearer
from idp.kernel.ids import first_id, new_id
from idp.sessions import store
from idp.sessions.model import (
    Begun,
    LiveSession,
    MethodProved,
    NoSuchSession,
    Notice,
    PortalTold,
    SessionEnded,
    SessionPolicy,
    read_proofs,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from idp.jobs import Jobs
    from idp.kernel.clock import Clock
    from idp.storage.postgres import Database, Row, Transaction

TELL = "sessions.tell_portal"
"""The job that tells one portal of one ended session; given `notice`, the id of its `logout_notice`."""

_USER_AGENT_MOST = 512
_WORKER = Origin.operated("worker")


@dataclass(frozen=True, slots=True)
class Proof:
    """What was just proved, by whom and where: `method` is one of `authenticators.model.METHODS`."""

    account_id: UUID
    method: str
    client_id: UUID | None
    device_id: UUID | None
    user_agent: str


class Sessions:
    """Begins, extends, finds and ends sessions."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        jobs: Jobs,
        policy: SessionPolicy,
        *,
        wants_telling: Callable[[UUID], bool],
    ) -> None:
        """`wants_telling(client id)` says whether a client registered a back-channel logout address."""
        self._database = database
        self._clock = clock
        self._jobs = jobs
        self._wants_telling = wants_telling
        self.policy = policy

    def find(self, cookie: str) -> LiveSession | None:
        """Return the live session that this cookie value names, or None."""
        row = self._database.step(store.FIND, {"secret_digest": digest(cookie), "now": self._clock.now()})
        return read_session(row) if row else None

    def prove_in(self, transaction: Transaction, proof: Proof, current: LiveSession | None, origin: Origin) -> Begun:
        """Record `proof` in the browser's `current` session, or begin one; the cookie changes either way (ASVS 7.2.4).

        One browser session, one account: when `current` is another account's, it ends and a new one begins. When something was proved
        in `current` since it was read, whoever reads it now need not be who proved that: a first factor begins a session of its own.
        The caller consumed what was proved in this same `transaction`.

        Raises:
            NoSuchSession: a second factor was proved, and the session it belongs to has ended or moved on meanwhile, or never was.
        """
        now = self._clock.now()
        if current is not None and current.account_id != proof.account_id:
            with contextlib.suppress(NoSuchSession):  # it had just ended
                self._end_in(transaction, current.id, current.account_id, "another_account", origin, now)
            current = None
        cookie = new_bearer("mos_")
        common: dict[str, object] = {
            "secret_digest": digest(cookie),
            "account_id": proof.account_id,
            "proofs": json.dumps({proof.method: now.timestamp()}),
            "now": now,
            "idle_until": now + self.policy.idle_for,
        }
        proved = transaction.one(store.PROVE, common | {"id": current.id, "version": current.version}) if current else None
        if proved is None and not METHODS[proof.method].begins:
            raise NoSuchSession("a second factor begins no session")
        if proved is None:
            session_id, version = new_id(now), 1
            transaction.run(
                store.BEGIN,
                common
                | {
                    "id": session_id,
                    "user_agent": proof.user_agent[:_USER_AGENT_MOST],
                    "expires_at": now + self.policy.lasts_for,
                },
            )
        else:
            session_id, version = proved.id, proved.version
        event_id = new_id(now)
        transaction.run(
            store.RECORD_LOGIN,
            {
                "id": event_id,
                "now": now,
                "account_id": proof.account_id,
                "session_id": session_id,
                "method": proof.method,
                "client_id": proof.client_id,
                "device_id": proof.device_id,
                "address": origin.address,
            },
        )
        record(
            transaction,
            MethodProved(origin, method=proof.method, began=proved is None),
            now,
            {"account_id": proof.account_id, "session_id": session_id, "client_id": proof.client_id, "object_id": event_id},
        )
        return Begun(session_id, version, cookie)

    def end(self, session_id: UUID, reason: str, origin: Origin, *, account_id: UUID | None) -> int:
        """End a session and have every portal it reached told; return how many will be. `account_id` None: an operator does it.

        Raises:
            NoSuchSession: it had ended already, never was, or is not this account's.
        """
        with self._database.transaction() as transaction:
            return self._end_in(transaction, session_id, account_id, reason, origin, self._clock.now())

    def end_dead(self, origin: Origin = _WORKER, account_id: UUID | None = None, most: int = 500) -> int:
        """End the sessions that died with their account or with an earlier state of the database, so that their portals are told.

        Return how many. Whoever had one account die names it and themselves; what is left, the worker ends.
        """
        now = self._clock.now()
        since = now - self.policy.lasts_for
        wanted = {"now": now, "since": since, "first_id": first_id(since), "account_id": account_id, "most": most}
        with self._database.transaction() as transaction:
            dead = transaction.all(store.DEAD, wanted)
        ended = 0
        for row in dead:
            with contextlib.suppress(NoSuchSession), self._database.transaction() as transaction:  # somebody was faster
                self._end_in(transaction, row.id, account_id, row.reason, origin, self._clock.now())
                ended += 1
        return ended

    def _end_in(
        self, transaction: Transaction, session_id: UUID, account_id: UUID | None, reason: str, origin: Origin, now: datetime
    ) -> int:
        ended = transaction.one(store.END, {"id": session_id, "account_id": account_id, "now": now, "reason": reason})
        if ended is None:
            raise NoSuchSession
        told = 0
        for reached in transaction.all(store.REACHED, {"session_id": session_id}):
            if not self._wants_telling(reached.client_id):
                continue
            notice = transaction.one(
                store.NOTIFY,
                {
                    "id": new_id(now),
                    "session_id": session_id,
                    "client_id": reached.client_id,
                    "sid": reached.sid,
                    "sub": reached.sub,
                    "now": now,
                },
            )
            if notice is not None:
                told += 1
                self._jobs.defer(transaction, Later(TELL, queue="logout", given={"notice": str(notice.id)}))
        record(
            transaction,
            SessionEnded(origin, reason=reason, portals=told),
            now,
            {"account_id": ended.account_id, "session_id": session_id},
        )
        return told

    def reached(self, session_id: UUID) -> list[Row]:
        """Return which clients the session reached: `client_id`, `sid`, `sub`, `first_at`, oldest first."""
        with self._database.transaction() as transaction:
            return transaction.all(store.REACHED, {"session_id": session_id})

    def notices(self, session_id: UUID) -> list[Notice]:
        """Return what became of telling each portal that the session ended."""
        with self._database.transaction() as transaction:
            rows = transaction.all(store.NOTICES, {"session_id": session_id})
        return [Notice(row.client_id, row.attempts, row.last_outcome, row.delivered_at, row.given_up_at) for row in rows]

    def notice(self, notice_id: UUID) -> Row | None:
        """Return one notice that is still to be delivered, or None."""
        with self._database.transaction() as transaction:
            row = transaction.one(store.NOTICE, {"id": notice_id})
        return row if row and row.delivered_at is None and row.given_up_at is None else None

    def tried(self, notice: Row, outcome: str, origin: Origin, *, delivered: bool, given_up: bool) -> int:
        """Record one try to tell a portal; return how many there have been."""
        now = self._clock.now()
        with self._database.transaction() as transaction:
            row = transaction.one(
                store.TRIED,
                {"id": notice.id, "now": now, "outcome": outcome, "delivered": delivered, "given_up": given_up},
            )
            if row is None:
                return int(notice.attempts)
            record(
                transaction,
                PortalTold(origin, outcome=outcome, attempt=row.attempts),
                now,
                {"session_id": notice.session_id, "client_id": notice.client_id, "object_id": notice.id},
            )
            return int(row.attempts)

    def list_for(self, account_id: UUID) -> list[Row]:
        """Return the live sessions of an account, newest first, 200 at most."""
        with self._database.transaction() as transaction:
            return transaction.all(store.LIST, {"account_id": account_id, "now": self._clock.now()})


def read_session(row: Any) -> LiveSession:
    """Return a row of `session_alive` as a session."""
    return LiveSession(row.id, row.account_id, row.version, read_proofs(row.proofs), row.started_at, row.until)

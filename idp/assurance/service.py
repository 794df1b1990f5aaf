"""Evidence added and struck, and the level that follows, written in the same transaction (law 4).

Nobody sets a level here: `model.level_of` computes it. Must not know sessions or tokens, which read `assessment`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from idp.accounts.model import PersonType
from idp.accounts.store import HOLD_PERSON
from idp.assurance import store
from idp.assurance.events import (
    AlreadyStruck,
    CheckedFact,
    CheckedInFuture,
    EvidenceAdded,
    EvidenceStruck,
    LevelAssessed,
    NoSuchEvidence,
    NoSuchPerson,
    ReasonMissing,
)
from idp.assurance.model import Assessment, Evidence, Policy, level_of
from idp.audit import store as audit
from idp.audit.model import Origin
from idp.kernel.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from idp.kernel.clock import Clock
    from idp.storage.postgres import Database, Row, Transaction


class Levels:
    """Identification levels of persons. A person is named by the holder's id."""

    def __init__(self, database: Database, policy: Policy, clock: Clock) -> None:
        """Judge evidence in `database` under `policy`."""
        self._database = database
        self._policy = policy
        self._clock = clock

    @property
    def policy_version(self) -> str:
        """The version under which an assessment counts, for statements that join it."""
        return self._policy.version

    def asks_for(self, kind: str, person_type: PersonType) -> bool:
        """Say whether evidence of this kind counts for such persons: other evidence is on record, and carries nothing."""
        return self._policy.asks_for(kind, person_type)

    def add_evidence(self, person_id: UUID, fact: CheckedFact, origin: Origin) -> UUID:
        """Record a checked fact and assess the person anew; return the id of the evidence.

        Raises:
            UnknownEvidenceKind: the policy in force does not know its kind.
            CheckedInFuture: it was checked later than now, or had ended when it was.
            NoSuchPerson: there is nobody to know it of.
        """
        with self._database.transaction() as transaction:
            return self.add_evidence_in(transaction, person_id, fact, origin)

    def add_evidence_in(self, transaction: Transaction, person_id: UUID, fact: CheckedFact, origin: Origin) -> UUID:
        """Do what `add_evidence` does within a transaction."""
        now = self._clock.now()
        self._policy.require_kind(fact.kind)
        if fact.checked_at > now:
            raise CheckedInFuture("checked_at: lies in the future")
        if fact.expires_at is not None and fact.expires_at <= fact.checked_at:
            raise CheckedInFuture("expires_at: is not after checked_at")
        person = self._hold(transaction, person_id)
        evidence_id = new_id(now)
        transaction.run(
            store.INSERT_EVIDENCE,
            {
                "evidence_id": evidence_id,
                "person_id": person_id,
                "kind": fact.kind,
                "checked_by": fact.checked_by,
                "how": fact.how,
                "checked_at": fact.checked_at,
                "expires_at": fact.expires_at,
                "now": now,
            },
        )
        event = EvidenceAdded(
            origin,
            evidence_id=evidence_id,
            evidence_kind=fact.kind,
            checked_by=fact.checked_by,
            checked_at=fact.checked_at,
            expires_at=fact.expires_at,
        )
        audit.record(transaction, event, now, {"account_id": person.account_id, "object_id": evidence_id})
        self._assess(transaction, person_id, person, origin)
        return evidence_id

    def strike(self, evidence_id: UUID, *, by: str, reason: str, origin: Origin) -> Assessment:
        """Take evidence out of force and return the level that is left.

        Raises:
            ReasonMissing: no reason was given.
            NoSuchEvidence, AlreadyStruck: there is nothing to strike, or not any more.
        """
        if not reason.strip():
            raise ReasonMissing
        with self._database.transaction() as transaction:
            now = self._clock.now()
            found = transaction.one(store.FIND_EVIDENCE, {"evidence_id": evidence_id})
            if found is None:
                raise NoSuchEvidence
            person = self._hold(transaction, found.person_id)
            struck = {"evidence_id": evidence_id, "now": now, "by": by, "reason": reason.strip()}
            if transaction.one(store.STRIKE_EVIDENCE, struck) is None:
                raise AlreadyStruck
            event = EvidenceStruck(origin, evidence_id=evidence_id, by=by, reason=reason.strip())
            audit.record(transaction, event, now, {"account_id": person.account_id, "object_id": evidence_id})
            return self._assess(transaction, found.person_id, person, origin)

    def evidence(self, person_id: UUID) -> list[Evidence]:
        """Return all evidence ever recorded of a person, struck and expired included, oldest first."""
        with self._database.transaction() as transaction:
            return self._evidence(transaction, person_id)

    def assess(self, transaction: Transaction, person_id: UUID, origin: Origin | None = None) -> Assessment:
        """Compute and write a person's level within the transaction that changed what it depends on.

        Raises:
            NoSuchPerson: there is none.
        """
        person = self._hold(transaction, person_id)
        return self._assess(transaction, person_id, person, origin or Origin.operated("assessment"))

    def current(self, person_id: UUID) -> Assessment:
        """Return a person's level now. Read as written while it holds; computed anew past its end or under another policy.

        Raises:
            NoSuchPerson: there is none.
        """
        now = self._clock.now()
        wanted = {"person_id": person_id, "now": now, "policy_version": self._policy.version}
        row = self._database.step(store.FIND_CURRENT_ASSESSMENT, wanted)
        if row is not None:
            return Assessment(row.ial, tuple(row.because), row.until, row.policy_version)
        with self._database.transaction() as transaction:
            return self.assess(transaction, person_id)

    def assess_under_policy(self, progress: Callable[[int], None], origin: Origin, *, batch: int = 500) -> int:
        """Assess everybody anew whose level was computed under another policy; return how many, telling `progress` on the way.

        From then on what states a level that the evidence no longer carries is dead at every endpoint, without the hot statements
        knowing of policies (decision 0013). May be stopped, run again, and run beside serving nodes.
        """
        done, finished = 0, set[str]()
        while others := self.other_policies() - finished:
            for policy_version in others:
                for batch_of in self._under(policy_version, batch):
                    for person_id in batch_of:
                        with self._database.transaction() as transaction:
                            self.assess(transaction, person_id, origin)
                    done += len(batch_of)
                    progress(done)
            finished |= others  # a node with the former policy may still write under it: that is computed anew when it is read
        return done

    def _under(self, policy_version: str, batch: int) -> Iterator[list[UUID]]:
        """Yield the persons whose level was computed under a policy, each once, in the order of their ids."""
        after = UUID(int=0)
        while True:
            with self._database.transaction() as transaction:
                wanted = {"policy_version": policy_version, "after": after, "most": batch}
                found = [row.person_id for row in transaction.all(store.FIND_UNDER_POLICY, wanted)]
            if not found:
                return
            yield found
            after = found[-1]

    def other_policies(self) -> set[str]:
        """Return versions of other policies under which somebody's level was computed: none when all are of the one in force."""
        row = self._database.step(store.FIND_OTHER_POLICIES, {})
        return {row.first, row.last} - {None, self._policy.version} if row else set()

    def _hold(self, transaction: Transaction, person_id: UUID) -> Row:
        row = transaction.one(HOLD_PERSON, {"holder_id": person_id})
        if row is None:
            raise NoSuchPerson
        return row

    def _assess(self, transaction: Transaction, person_id: UUID, person: Row, origin: Origin) -> Assessment:
        now = self._clock.now()
        before = transaction.one(store.FIND_ASSESSMENT, {"person_id": person_id})
        assessment = level_of(
            self._evidence(transaction, person_id),
            self._policy,
            person_type=PersonType(person.person_type),
            birth_date=person.birth_date,
            now=now,
        )
        transaction.run(
            store.WRITE_ASSESSMENT,
            {
                "person_id": person_id,
                "ial": assessment.ial,
                "because": list(assessment.because),
                "until": assessment.until,
                "policy_version": assessment.policy_version,
                "now": now,
            },
        )
        if before is None or before.ial != assessment.ial:
            event = LevelAssessed(
                origin,
                ial=assessment.ial,
                before=None if before is None else before.ial,
                until=assessment.until,
                policy_version=assessment.policy_version,
            )
            audit.record(transaction, event, now, {"account_id": person.account_id, "object_id": person_id})
        return assessment

    @staticmethod
    def _evidence(transaction: Transaction, person_id: UUID) -> list[Evidence]:
        return [
            Evidence(
                id=row.id,
                kind=row.kind,
                checked_by=row.checked_by,
                how=row.how,
                checked_at=row.checked_at,
                expires_at=row.expires_at,
                struck_at=row.struck_at,
            )
            for row in transaction.all(store.FIND_EVIDENCE_OF, {"person_id": person_id})
        ]

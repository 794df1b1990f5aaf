"""What happens to evidence and levels, and who may not do what: events and refusals of the service. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from idp.audit.model import Event
from idp.kernel.refusals import Refusal


@dataclass(frozen=True, slots=True)
class CheckedFact:
    """What somebody checked about a person, before it is recorded as evidence. `how` is a procedure, never a number."""

    kind: str
    checked_by: str
    how: str
    checked_at: datetime
    expires_at: datetime | None = None


class NoSuchPerson(Refusal):
    """No person has this id."""

    code = "assurance.no_such_person"


class NoSuchEvidence(Refusal):
    """No evidence has this id: idp accounts evidence list prints what there is."""

    code = "assurance.no_such_evidence"


class AlreadyStruck(Refusal):
    """Somebody took this evidence out of force before."""

    code = "assurance.already_struck"


class ReasonMissing(Refusal):
    """Evidence is struck for a reason, which somebody may have to answer for."""

    code = "assurance.reason_missing"


class CheckedInFuture(Refusal):
    """Nothing is checked tomorrow, and nothing is evidence that ended before it was checked."""

    code = "assurance.checked_in_future"


@dataclass(frozen=True, slots=True)
class EvidenceAdded(Event):
    """A checked fact about a person was recorded."""

    kind: ClassVar[str] = "assurance.evidence_added"

    evidence_id: UUID
    evidence_kind: str
    checked_by: str
    checked_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class EvidenceStruck(Event):
    """Evidence was taken out of force, and by whom; it stays on record."""

    kind: ClassVar[str] = "assurance.evidence_struck"

    evidence_id: UUID
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class LevelAssessed(Event):
    """A person's identification level became another one than was last assessed."""

    kind: ClassVar[str] = "assurance.level_assessed"

    ial: int
    before: int | None
    until: datetime | None
    policy_version: str

"""Evidence on record, and the assessment that every change of it writes in the same transaction (law 4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from idp.assurance.events import (
    AlreadyStruck,
    CheckedFact,
    CheckedInFuture,
    NoSuchEvidence,
    NoSuchPerson,
    ReasonMissing,
)
from idp.assurance.model import UnknownEvidenceKind
from idp.assurance.policy import load_policy
from idp.assurance.service import Levels
from tests.support.citizens import AT_THE_COUNTER, Citizen, Rooms, add_citizen, at_once, make_rooms

if TYPE_CHECKING:
    from idp.kernel.clock import FixedClock
    from idp.kernel.sealing import Sealer
    from idp.storage.postgres import Database, Row

DAY = timedelta(days=1)


@pytest.fixture
def rooms(database: Database, sealer: Sealer, clock: FixedClock) -> Rooms:
    return make_rooms(database, sealer, clock)


@pytest.fixture
def citizen(rooms: Rooms) -> Citizen:
    return add_citizen(rooms)


def add(rooms: Rooms, citizen: Citizen, kind: str, *, expires_at: datetime | None = None) -> UUID:
    fact = CheckedFact(kind, checked_by="officer.one", how="in person", checked_at=rooms.clock.now(), expires_at=expires_at)
    return rooms.levels.add_evidence(citizen.holder_id, fact, AT_THE_COUNTER)


def prove_level_2(rooms: Rooms, citizen: Citizen, card_ends: datetime | None = None) -> dict[str, UUID]:
    kinds = ("register_match", "phone_owned", "counter_identity_check", "biometric_match")
    added = {kind: add(rooms, citizen, kind) for kind in kinds}
    added["card_chip_read"] = add(rooms, citizen, "card_chip_read", expires_at=card_ends)
    return added


def written(rooms: Rooms, citizen: Citizen) -> Row:
    """Return what a hot statement joins."""
    with rooms.database.transaction() as transaction:
        return transaction.one(
            "SELECT ial, until = 'infinity' AS is_for_ever, policy_version FROM assessment WHERE person_id = %(id)s",
            {"id": citizen.holder_id},
        )


def test_nobody_checked_is_level_0(rooms: Rooms, citizen: Citizen) -> None:
    assert rooms.levels.current(citizen.holder_id).ial == 0
    assert written(rooms, citizen) == (0, True, "vn-2026-1")


def test_every_change_of_evidence_writes_the_level(rooms: Rooms, citizen: Citizen) -> None:
    add(rooms, citizen, "register_match")
    assert written(rooms, citizen).ial == 0
    phone = add(rooms, citizen, "phone_owned")
    assert written(rooms, citizen) == (1, True, "vn-2026-1")
    assert phone in rooms.levels.current(citizen.holder_id).because
    assert rooms.levels.strike(phone, by="officer.two", reason="SIM given back", origin=AT_THE_COUNTER).ial == 0
    assert written(rooms, citizen).ial == 0


def test_a_level_ends_with_the_card_that_carries_it(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    ends = clock.now() + 30 * DAY
    prove_level_2(rooms, citizen, card_ends=ends)
    assessment = rooms.levels.current(citizen.holder_id)
    assert (assessment.ial, assessment.until) == (2, ends)
    clock.advance(30 * DAY - timedelta(microseconds=1))
    assert rooms.levels.current(citizen.holder_id).ial == 2
    clock.advance(timedelta(microseconds=1))
    assert rooms.levels.current(citizen.holder_id).ial == 1
    assert written(rooms, citizen) == (1, True, "vn-2026-1")


def test_another_policy_is_another_assessment(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    prove_level_2(rooms, citizen)
    newer = replace(load_policy("vn-2026-1"), version="vn-2027-1")
    later = Levels(rooms.database, newer, clock)
    assert later.current(citizen.holder_id).policy_version == "vn-2027-1"
    assert written(rooms, citizen).policy_version == "vn-2027-1"
    assert rooms.levels.current(citizen.holder_id).policy_version == "vn-2026-1"


def test_what_cannot_be_evidence_is_refused(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    now = clock.now()
    fact = CheckedFact("register_match", checked_by="register", how="look-up", checked_at=now)
    for wrong, refusal in (
        (replace(fact, kind="hearsay"), UnknownEvidenceKind),
        (replace(fact, checked_at=now + DAY), CheckedInFuture),
        (replace(fact, expires_at=now), CheckedInFuture),
    ):
        with pytest.raises(refusal):
            rooms.levels.add_evidence(citizen.holder_id, wrong, AT_THE_COUNTER)
    with pytest.raises(NoSuchPerson):
        rooms.levels.add_evidence(uuid4(), fact, AT_THE_COUNTER)
    with pytest.raises(NoSuchPerson):
        rooms.levels.current(uuid4())
    assert rooms.levels.evidence(citizen.holder_id) == []


def test_evidence_is_struck_once_and_for_a_reason(rooms: Rooms, citizen: Citizen) -> None:
    evidence_id = add(rooms, citizen, "register_match")
    with pytest.raises(ReasonMissing):
        rooms.levels.strike(evidence_id, by="officer.two", reason=" ", origin=AT_THE_COUNTER)
    rooms.levels.strike(evidence_id, by="officer.two", reason="wrong person", origin=AT_THE_COUNTER)
    with pytest.raises(AlreadyStruck):
        rooms.levels.strike(evidence_id, by="officer.two", reason="again", origin=AT_THE_COUNTER)
    with pytest.raises(NoSuchEvidence):
        rooms.levels.strike(uuid4(), by="officer.two", reason="none", origin=AT_THE_COUNTER)


def test_changes_made_at_once_leave_the_level_of_all_of_them(rooms: Rooms) -> None:
    """Without holding the person, each would assess what it alone had seen, and the last writer would be wrong."""
    kinds = ("register_match", "phone_owned", "counter_identity_check", "biometric_match", "card_chip_read", "phone_owned")

    def act(citizen: Citizen, n: int) -> UUID:
        return add(rooms, citizen, kinds[n])

    for _ in range(5):
        citizen = add_citizen(rooms)
        at_once(6, partial(act, citizen), threads=6)
        assert written(rooms, citizen).ial == 2


def test_changes_are_on_record_with_who_and_why(rooms: Rooms, citizen: Citizen, owner_database: Database) -> None:
    add(rooms, citizen, "register_match")
    phone = add(rooms, citizen, "phone_owned")
    rooms.levels.strike(phone, by="officer.two", reason="SIM given back", origin=AT_THE_COUNTER)
    with owner_database.transaction() as transaction:
        rows = transaction.all(
            "SELECT kind, convert_from(body, 'UTF8') AS body FROM audit_event"
            " WHERE account_id = %(id)s AND kind LIKE 'assurance.%%'",
            {"id": citizen.account_id},
        )
    assert sorted(row.kind for row in rows) == [
        "assurance.evidence_added",
        "assurance.evidence_added",
        "assurance.evidence_struck",
        "assurance.level_assessed",
        "assurance.level_assessed",
        "assurance.level_assessed",
    ]
    struck = next(row.body for row in rows if row.kind == "assurance.evidence_struck")
    assert '"by":"officer.two"' in struck
    assert '"reason":"SIM given back"' in struck

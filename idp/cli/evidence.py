"""`idp accounts evidence`: what was checked about a person. Nobody types a level: it is computed from this (law 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from idp.accounts.model import PersonType
from idp.assurance.events import CheckedFact
from idp.assurance.policy import find_versions, load_policy
from idp.cli.composition import opened_rooms
from idp.cli.frame import Frame, Words, answering, operated, read_instant, table
from idp.cli.subjects import account_id_of, id_of, of_account

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from idp.assurance.model import Evidence
    from idp.audit.model import Origin


def _kinds() -> list[str]:
    return sorted({kind for version in find_versions() for kind in load_policy(version).kinds})


@click.group()
def evidence() -> None:
    """What was checked about a person, from which the identification level follows."""


@evidence.command("add")
@of_account
@click.option("--kind", required=True, type=click.Choice(_kinds()), help="What was checked, in the words of the policy.")
@click.option("--checked-by", required=True, type=Words(), help="Which office or system checked it.")
@click.option("--how", required=True, type=Words(), help="By which procedure. Never a number of a person or document.")
@click.option("--checked-at", metavar="INSTANT", help="When (ISO 8601) [now].")
@click.option("--expires-at", metavar="INSTANT", help="When it ends by itself, as the document it was read from.")
@operated
@answering
def add(
    frame: Frame,
    origin: Origin,
    account: str,
    kind: str,
    checked_by: str,
    how: str,
    checked_at: str | None,
    expires_at: str | None,
) -> None:
    """Record a checked fact, and compute the level anew."""
    with opened_rooms() as rooms:
        zone = ZoneInfo(rooms.zone)
        person = rooms.accounts.show(account_id_of(rooms, account))
        fact = CheckedFact(
            kind=kind,
            checked_by=checked_by,
            how=how,
            checked_at=read_instant(checked_at, zone) or rooms.clock.now(),
            expires_at=read_instant(expires_at, zone),
        )
        evidence_id = rooms.levels.add_evidence(person.holder_id, fact, origin)
        level, counts = rooms.levels.current(person.holder_id), rooms.levels.asks_for(kind, PersonType(person.person_type))
    lines = [f"Recorded ({evidence_id}). The level is {level.ial}."]
    if not counts:
        lines.append(f"No level of this type of person ({person.person_type}) asks for {kind}: it carries nothing.")
    frame.answer({"evidence_id": evidence_id, "kind": kind, "counts": counts, "ial": level.ial}, lines)


@evidence.command("strike")
@click.argument("evidence_id", metavar="EVIDENCE", callback=id_of)
@click.option("--reason", required=True, type=Words(), help="Why, for the record.")
@operated
@answering
def strike(frame: Frame, origin: Origin, evidence_id: UUID, reason: str) -> None:
    """Take evidence out of force, and compute the level anew. It stays on record."""
    with opened_rooms() as rooms:
        level = rooms.levels.strike(evidence_id, by=origin.operator, reason=reason, origin=origin)
    frame.answer({"evidence_id": evidence_id, "ial": level.ial}, f"Struck. The level is {level.ial}.")


@evidence.command("list")
@of_account
@operated
@answering
def list_(frame: Frame, origin: Origin, account: str) -> None:
    """List everything ever recorded of a person, struck and expired included."""
    with opened_rooms() as rooms:
        holder_id = rooms.accounts.look_up(account_id_of(rooms, account), "evidence", origin).holder_id
        found = rooms.levels.evidence(holder_id)
        level = rooms.levels.current(holder_id)
        now, zone = rooms.clock.now(), ZoneInfo(rooms.zone)
    document = {
        "ial": level.ial,
        "policy_version": level.policy_version,
        "evidence": [
            {
                "evidence_id": each.id,
                "kind": each.kind,
                "checked_by": each.checked_by,
                "how": each.how,
                "checked_at": each.checked_at,
                "expires_at": each.expires_at,
                "struck_at": each.struck_at,
                "carries": each.id in level.because,
            }
            for each in found
        ],
    }
    rows = [
        (each.kind, _state(each, now, carries=each.id in level.because), each.checked_at.astimezone(zone), each.checked_by, each.id)
        for each in found
    ]
    lines = [f"Level {level.ial} under policy {level.policy_version}", *table(("kind", "state", "checked", "by", "evidence"), rows)]
    frame.answer(document, lines)


def _state(item: Evidence, now: datetime, *, carries: bool) -> str:
    if carries:
        return "carries the level"
    if item.is_live(now):
        return "in force"
    return "struck" if item.struck_at else "ended"

"""`idp audit tail`: what happened, each row proved against its leaf."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import click

from idp.audit.model import event_classes
from idp.audit.reading import Recorded, Wanted, latest, since
from idp.cli.composition import opened_rooms
from idp.cli.frame import Frame, answering, local
from idp.cli.subjects import account_id_of

if TYPE_CHECKING:
    from uuid import UUID

_LOOK_EVERY: Final = 1.0
_LATE_BY: Final = timedelta(seconds=10)
"""A row is committed later than its instant says, by no more than a transaction may last."""
_MOST: Final = 1000
_BODY: Final = frozenset({"kind", "request", "operator", "address"})
_ROOMS: Final = ("accounts", "assurance.events", "authenticators", "clients", "enrolment", "grants", "keys", "sessions", "throttle")


@click.group()
def audit() -> None:
    """The record of what happened."""


def _known(_context: click.Context, _parameter: click.Parameter, kind: str | None) -> str | None:
    """Refuse a kind or room that this version writes nothing of: an empty answer would look like an empty record."""
    if kind is None or any(kind in (each, each.partition(".")[0]) for each in known_kinds()):
        return kind
    rooms = ", ".join(sorted({each.partition(".")[0] for each in known_kinds()}))
    raise click.BadParameter(f"no event is of this kind. The rooms are {rooms}; docs/reference/events.md lists all kinds.")


@audit.command("tail")
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C; with --json, one document a line.")
@click.option("--account", metavar="ACCOUNT", help="Of this account only.")
@click.option("--client", "client_id", metavar="CLIENT", help="Of this client only.")
@click.option("--kind", callback=_known, help="Of this kind (accounts.account_locked) or room (accounts) only.")
@click.option("-n", "most", type=click.IntRange(0, _MOST), default=20, show_default=True, help="How many of the last events.")
@answering
def tail(frame: Frame, account: str | None, client_id: str | None, kind: str | None, most: int, *, follow: bool) -> int:
    """Print the last events, the oldest first. Ends with 1 when a row is not what was written."""
    with opened_rooms() as rooms:
        wanted = Wanted(
            account_id=account_id_of(rooms, account) if account else None,
            client_id=rooms.clients.show(client_id).id if client_id else None,
            kind=kind,
        )
        zone = ZoneInfo(rooms.zone)
        look_from = rooms.clock.now() - _LATE_BY
        before = since(rooms.database, wanted, look_from) if follow else []
        found = latest(rooms.database, wanted, most=most)
        if not follow:
            frame.answer({"events": [_document(each) for each in found]}, [_line(each, zone) for each in found] or "No event.")
            return int(any(each.state == "altered" for each in found))
        seen: dict[UUID, datetime] = {each.id: each.at for each in before}
        while True:
            for each in sorted(found, key=lambda event: event.at):
                frame.answer(_document(each), _line(each, zone), on_one_line=True)
                seen[each.id] = each.at
            time.sleep(_LOOK_EVERY)
            look_from = max(look_from, rooms.clock.now() - _LATE_BY)
            seen = {event_id: at for event_id, at in seen.items() if at >= look_from - _LATE_BY}
            found = [each for each in since(rooms.database, wanted, look_from) if each.id not in seen]


def _document(event: Recorded) -> dict[str, object]:
    return {
        "id": event.id,
        "at": event.at,
        "kind": event.kind,
        "known": event.kind in known_kinds(),
        "state": event.state,
        **event.related,
        "body": event.body,
    }


def _line(event: Recorded, zone: ZoneInfo) -> str:
    body = event.body or {}
    who = body.get("operator") or body.get("address") or "-"
    facts = [f"{name}={value}" for name, value in body.items() if name not in _BODY]
    shown = {name.removesuffix("_id"): value for name, value in event.related.items()}
    facts += [f"{name}={value}" for name, value in shown.items() if name not in body or event.state != "intact"]
    marks = {"altered": "  !! NOT WHAT WAS WRITTEN: its leaf does not match", "erased": "  (erased)", "intact": ""}[event.state]
    unknown = "" if event.kind in known_kinds() else " (of another version)"
    return f"{local(event.at, zone)}  {event.kind}{unknown}  {who}  {' '.join(facts)}{marks}"


def known_kinds() -> dict[str, str]:
    """Return every kind of event that this version writes, with what it means."""
    if not _KNOWN:
        for room in _ROOMS:
            import_module(f"idp.{room if '.' in room else room + '.model'}")
        _KNOWN.update({each.kind: (each.__doc__ or "").strip() for each in event_classes() if each.kind})
    return _KNOWN


_KNOWN: dict[str, str] = {}

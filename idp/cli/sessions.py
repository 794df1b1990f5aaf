"""`idp sessions`: where an account is signed in, and ending that."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from idp.cli.composition import opened_rooms
from idp.cli.frame import Frame, answering, counted, operated, table
from idp.cli.subjects import account_id_of, id_of, of_account
from idp.sessions.model import NoSuchSession, read_proofs

if TYPE_CHECKING:
    from uuid import UUID

    from idp.audit.model import Origin

_REASON = "by_operator"


@click.group()
def sessions() -> None:
    """Browsers that are signed in."""


@sessions.command("list")
@of_account
@operated
@answering
def list_(frame: Frame, origin: Origin, account: str) -> None:
    """List the live sessions of an account, the newest first, 200 at most."""
    with opened_rooms() as rooms:
        account_id = account_id_of(rooms, account)
        rooms.accounts.look_up(account_id, "sessions", origin)
        found = rooms.sessions.list_for(account_id)
        reached = {each.id: [rooms.clients.get(client).client_id for client in each.clients or ()] for each in found}
        zone = ZoneInfo(rooms.zone)
    document = {
        "account_id": account_id,
        "sessions": [
            {
                "session_id": each.id,
                "started_at": each.started_at,
                "seen_at": each.seen_at,
                "until": min(each.idle_until, each.expires_at),
                "proved": dict(sorted(read_proofs(each.proofs).items())),
                "clients": reached[each.id],
                "user_agent": each.user_agent,
            }
            for each in found
        ],
    }
    rows = [
        (each.started_at.astimezone(zone), each.seen_at.astimezone(zone), sorted(each.proofs), reached[each.id], each.id) for each in found
    ]
    frame.answer(document, table(("began", "seen", "proved", "reached", "session"), rows, empty="No live session."))


@sessions.command("end")
@click.argument("session_id", metavar="[SESSION]", required=False, callback=id_of)
@click.option("--account", metavar="ACCOUNT", help="End every session of this account instead.")
@operated
@answering
def end(frame: Frame, origin: Origin, session_id: UUID | None, account: str | None) -> None:
    """End one session, or all of an account; the portals they reached are told."""
    if (session_id is None) == (account is None):
        raise click.UsageError("Name one session, or --account ACCOUNT.")
    ended = told = 0
    with opened_rooms() as rooms:
        if session_id is not None:
            told, ended = rooms.sessions.end(session_id, _REASON, origin, account_id=None), 1
        else:
            account_id = account_id_of(rooms, account or "")
            rooms.accounts.show(account_id)
            while found := rooms.sessions.list_for(account_id):
                for each in found:
                    with suppress(NoSuchSession):  # it ended meanwhile
                        told += rooms.sessions.end(each.id, _REASON, origin, account_id=account_id)
                        ended += 1
    frame.answer({"ended": ended, "portals_to_tell": told}, f"{counted(ended, 'session')} ended; {counted(told, 'portal')} will be told.")

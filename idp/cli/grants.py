"""`idp grants`: what a person allows which client, and what lives of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from idp.cli.composition import opened_rooms
from idp.cli.frame import Frame, Words, answering, operated, table
from idp.cli.subjects import account_id_of, id_of, of_account
from idp.grants.model import NoSuchConsent

if TYPE_CHECKING:
    from uuid import UUID

    from idp.audit.model import Origin
    from idp.rooms import Rooms


@click.group()
def grants() -> None:
    """What people allow clients: consents, and the grants issued under them."""


@grants.command("list")
@of_account
@operated
@answering
def list_(frame: Frame, origin: Origin, account: str) -> None:
    """List the consents of an account and its live grants, 200 of each at most."""
    with opened_rooms() as rooms:
        account_id = account_id_of(rooms, account)
        rooms.accounts.look_up(account_id, "grants", origin)
        consents, families = rooms.grants.consents(account_id), rooms.grants.families(account_id)
        names = {each.client_id: _name(rooms, each.client_id) for each in [*consents, *families]}
        zone = ZoneInfo(rooms.zone)
    document = {
        "account_id": account_id,
        "consents": [
            {
                "consent_id": each.id,
                "client_id": names[each.client_id],
                "scopes": each.scopes,
                "claims": each.claims,
                "given_at": each.given_at,
                "changed_at": each.changed_at,
            }
            for each in consents
        ],
        "grants": [
            {
                "grant_id": each.id,
                "client_id": names[each.client_id],
                "kind": each.kind,
                "scopes": each.scopes,
                "acr": each.acr,
                "session_id": each.session_id,
                "issued_at": each.issued_at,
                "until": each.until,
            }
            for each in families
        ],
    }
    consented = [(names[each.client_id], each.scopes, each.changed_at.astimezone(zone), each.id) for each in consents]
    live = [(names[each.client_id], each.kind, each.scopes, each.issued_at.astimezone(zone), each.id) for each in families]
    lines = [
        *table(("client", "may have", "since", "consent"), consented, empty="No consent."),
        "",
        *table(("client", "kind", "scopes", "issued", "grant"), live, empty="No live grant."),
    ]
    frame.answer(document, lines)


def _name(rooms: Rooms, client_id: UUID) -> str:
    return rooms.clients.get(client_id).client_id


@grants.command("revoke")
@click.argument("revoked_id", metavar="ID", callback=id_of)
@click.option("--reason", type=Words(), default="by_operator", show_default=True, help="Why, for the record.")
@operated
@answering
def revoke(frame: Frame, origin: Origin, revoked_id: UUID, reason: str) -> None:
    """Revoke one grant, or withdraw a consent and with it all grants under it; `idp grants list` prints the ids."""
    with opened_rooms() as rooms:
        what = "grant"
        if not rooms.grants.kill(revoked_id, reason, origin):
            what = "consent"
            try:
                rooms.grants.withdraw_consent(revoked_id, None, origin)
            except NoSuchConsent:
                raise NoSuchConsent("no grant and no consent in force has this id") from None
    frame.answer({"revoked": what, "id": revoked_id}, "Revoked." if what == "grant" else "Withdrawn, with every grant under it.")

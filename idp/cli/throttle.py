"""`idp throttle`: give back guesses that were used up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from idp.audit.store import record
from idp.cli.composition import opened_rooms
from idp.cli.frame import Frame, answering, operated
from idp.cli.subjects import account_id_of
from idp.throttle.model import VolumesReset

if TYPE_CHECKING:
    from idp.audit.model import Origin


@click.group()
def throttle() -> None:
    """Limits on guesses and volumes."""


@throttle.command("reset")
@click.argument("account", metavar="[ACCOUNT]", required=False)
@click.option("--addresses", is_flag=True, help="Forget the counts by address instead, of everybody.")
@click.option("--reason", default="by operator", show_default=True, help="Why, for the record.")
@operated
@answering
def reset(frame: Frame, origin: Origin, account: str | None, reason: str, *, addresses: bool) -> None:
    """Give an account all its guesses again, of every kind and from every device."""
    if (account is None) != addresses:
        raise click.UsageError("name an ACCOUNT, or --addresses")
    with opened_rooms() as rooms:
        if account is not None:
            account_id = account_id_of(rooms, account)
            rooms.accounts.show(account_id)
            counters = rooms.guesses.reset(account_id, reason=reason, origin=origin)
        else:
            counters = rooms.volumes.reset()
            with rooms.database.transaction() as transaction:
                record(transaction, VolumesReset(origin, counters=counters, reason=reason), rooms.clock.now())
    frame.answer({"counters": counters}, f"{counters} counters forgotten.")

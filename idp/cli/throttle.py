"""`idp throttle`: give back guesses that were used up, and forget what addresses asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from idp.cli.composition import opened_rooms
from idp.cli.frame import Frame, Words, answering, counted, operated
from idp.cli.subjects import account_id_of
from idp.throttle.model import VolumeKind

if TYPE_CHECKING:
    from idp.audit.model import Origin

_WORDS: Final = {
    VolumeKind.SIGN_IN: "of sign-ins",
    VolumeKind.AUTHORIZE: "of requests to sign in",
    VolumeKind.ACTIVATION: "of activations",
    VolumeKind.CLIENT_REFUSED: "of refused clients",
    VolumeKind.CODE_REFUSED: "of refused codes",
    VolumeKind.OPEN: "of unfinished sign-ins",
}


@click.group()
def throttle() -> None:
    """Limits on guesses and volumes."""


@throttle.command("reset")
@click.argument("account", metavar="[ACCOUNT]", required=False)
@click.option("--addresses", is_flag=True, help="Forget the counts by address and browser instead, of everybody.")
@click.option("--reason", type=Words(), default="by_operator", show_default=True, help="Why, for the record.")
@operated
@answering
def reset(frame: Frame, origin: Origin, account: str | None, reason: str, *, addresses: bool) -> None:
    """Give an ACCOUNT all its guesses again, of every kind and from every device; or let every address begin anew."""
    if (account is None) != addresses:
        raise click.UsageError("Name either an ACCOUNT or --addresses.")
    with opened_rooms() as rooms:
        if account is not None:
            account_id = account_id_of(rooms, account)
            rooms.accounts.show(account_id)
            counters = rooms.guesses.reset(account_id, reason=reason, origin=origin)
            said = f"{counted(counters, 'counter')} forgotten." if counters else "none had been counted."
            frame.answer({"account_id": account_id, "counters": counters}, f"All guesses are there again; {said}")
            return
        with rooms.database.transaction() as transaction:
            forgotten = rooms.volumes.reset_in(transaction, reason=reason, origin=origin)
    what = ", ".join(f"{count} {_WORDS[kind]}" for kind, count in sorted(forgotten.items()))
    kinds = {kind.value: count for kind, count in forgotten.items()}
    said = f"Counts by address and browser forgotten, of everybody: {what}." if forgotten else "Nobody had a count."
    frame.answer({"counters": kinds}, said)

"""`idp keys`: make, list, rotate, revoke, reseal. keys/README.md says when which is due."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import click

from idp.app import make_clock
from idp.cli.composition import command_settings, opened_keeper
from idp.cli.frame import Frame, Words, answering, counted, local, operated, table
from idp.keys.model import SIGNING_ALGS
from idp.oidc.tokens import ID_TOKEN_FOR

if TYPE_CHECKING:
    from datetime import datetime

    from idp.audit.model import Origin
    from idp.keys.model import Progress, SigningKey

_PUBLISHED_FOR: Final = timedelta(minutes=15)
"""Three times as long as the key set may be cached (five minutes): every portal has the new key before it signs."""


@click.group()
def keys() -> None:
    """Signing keys, and the keys that seal stored values."""


@keys.command("make")
@operated
@answering
def make(frame: Frame, origin: Origin) -> None:
    """Make the keys that are missing. Does nothing where all are there."""
    with opened_keeper() as keeper:
        made = keeper.make_first_keys(origin)
    frame.answer({"made": made}, [f"made {each}" for each in made] or "Every key is there.")


@keys.command("list")
@answering
def list_(frame: Frame) -> None:
    """List every key ever made, and its state. Private halves are never shown."""
    settings = command_settings()
    now, zone = make_clock(settings).now(), ZoneInfo(settings.zone)
    with opened_keeper() as keeper:
        signing, sealing = keeper.list_signing(), keeper.list_sealing()
    document = {
        "signing": [_signing(each) | {"state": each.state(now)} for each in signing],
        "sealing": [
            {
                "id": each.id,
                "purpose": each.purpose,
                "created_at": each.created_at,
                "active_at": each.active_at,
                "retired_at": each.retired_at,
            }
            for each in sealing
        ],
    }
    signs = [
        (each.kid, each.alg, each.state(now), *(_at(instant, zone) for instant in (each.signs_from, each.signs_until, each.verifies_until)))
        for each in signing
    ]
    seals = [(each.id, each.purpose, "retired" if each.retired_at else "kept", each.active_at.astimezone(zone)) for each in sealing]
    lines = [
        *table(("kid", "alg", "state", "signs from", "until", "verifies until"), signs, empty="No signing key: run idp keys make."),
        "",
        *table(("id", "purpose", "state", "active from"), seals, empty="No sealing key: run idp keys make."),
    ]
    frame.answer(document, lines)


def _at(instant: datetime | None, zone: ZoneInfo) -> datetime | None:
    return instant and instant.astimezone(zone)


def _signing(key: SigningKey) -> dict[str, object]:
    names = ("kid", "alg", "created_at", "signs_from", "signs_until", "verifies_until")
    return {name: getattr(key, name) for name in names}


@keys.command("rotate")
@click.option("--alg", "algs", multiple=True, type=click.Choice(SIGNING_ALGS), help="Of which signing keys [all].")
@click.option("--sealing", is_flag=True, help="Make a new sealing and a new index key instead; idp keys reseal comes after.")
@click.option("--now", "at_once", is_flag=True, help="Sign at once, with the staged key if there is one; portals fetch the new set.")
@operated
@answering
def rotate(frame: Frame, origin: Origin, algs: tuple[str, ...], *, sealing: bool, at_once: bool) -> None:
    """Give the signing keys successors: published now, signing in a quarter of an hour. Old tokens go on verifying."""
    if sealing and (algs or at_once):
        raise click.UsageError("--sealing goes with neither --alg nor --now")
    with opened_keeper() as keeper:
        if sealing:
            seal, index = keeper.rotate_sealing(origin=origin)
            lines = [f"made sealing key {seal} and index key {index}, in force in a few seconds", "next: idp keys reseal"]
            frame.answer({"sealing_key": seal, "index_key": index}, lines)
            return
        successors = [
            keeper.rotate_signing(
                alg, publish_for=timedelta(0) if at_once else _PUBLISHED_FOR, verify_for=max(ID_TOKEN_FOR, _PUBLISHED_FOR), origin=origin
            )
            for alg in algs or SIGNING_ALGS
        ]
    zone = ZoneInfo(command_settings().zone)
    said = [f"{each.kid} ({each.alg}), signing from {local(each.signs_from, zone)}" for each in successors]
    frame.answer({"successors": [_signing(each) for each in successors]}, said)


@keys.command("reseal")
@operated
@answering
def reseal(frame: Frame, origin: Origin) -> None:
    """Bring stored values under the new sealing and index key, beside the running service; then retire what nothing needs.

    May be interrupted and run again.
    """

    def tell(progress: Progress) -> None:
        frame.say(f"{progress.table}.{progress.column}: {progress.done} of {progress.of}")

    with opened_keeper() as keeper:
        done = keeper.reseal(tell, origin=origin)
    lines = [f"{counted(done.moved, 'value')} moved, {done.left} left, keys retired: {', '.join(map(str, done.retired)) or 'none'}"]
    if done.left:
        lines.append("Some rows were held by others, or have no source: run this again later.")
    frame.answer({"moved": done.moved, "left": done.left, "retired": list(done.retired)}, lines)


@keys.command("rewrap")
@operated
@answering
def rewrap(frame: Frame, origin: Origin) -> None:
    """Wrap every stored key anew under the first key-encryption key of the settings; the others may leave them then."""
    with opened_keeper() as keeper:
        count = keeper.rewrap(origin=origin)
    frame.answer({"rewrapped": count}, f"{counted(count, 'key')} wrapped anew.")


@keys.command("revoke")
@click.argument("kid", metavar="KID")
@click.option("--reason", required=True, type=Words(), help="Why, for the record.")
@operated
@answering
def revoke(frame: Frame, origin: Origin, kid: str, reason: str) -> None:
    """Take out a disclosed signing key at once: nobody signs with it, accepts it or publishes it from now on."""
    with opened_keeper() as keeper:
        successor = keeper.revoke_signing(kid, reason, origin=origin)
    signs = None if successor is None else successor.kid
    frame.answer({"revoked": kid, "signs_now": signs}, [f"{kid} revoked", f"{signs} signs now" if signs else "it was not signing any more"])

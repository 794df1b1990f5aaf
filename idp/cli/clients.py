"""`idp clients`: import declarations, look, disable, enable, give a new secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from idp.cli.composition import find_own_demo, opened_rooms
from idp.cli.documents import read_json
from idp.cli.frame import Frame, Words, answering, operated, pairs, table
from idp.clients.filling import fill, names_in
from idp.clients.model import DeclarationRefused
from idp.demo.record import changed_kept
from idp.settings import PREFIX, environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from idp.audit.model import Origin
    from idp.clients.model import Change, Client

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def clients() -> None:
    """Relying parties. Declarations are JSON with the names of RFC 7591; clients/README.md lists them."""


@clients.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--jwks", type=_FILE, help="Public keys of the one client that authenticates by private_key_jwt and brings none.")
@operated
@answering
def import_(frame: Frame, origin: Origin, files: tuple[Path, ...], jwks: Path | None) -> None:
    """Register what is declared, all of it or nothing, and print what changed. `${NAME}` is filled from the environment.

    A secret that is made here is shown this once.
    """
    variables = _variables()
    placed = [each for file in files for each in _placed(file)]
    taken = sorted(names_in([each for _, each in placed]) & {name for name in environment() if not name.startswith(PREFIX)})
    if taken:
        frame.say(f"Filled from the environment: {', '.join(taken)}.")
    declared = [_fill(place, each, variables) for place, each in placed]
    keys = _read_keys(jwks) if jwks is not None else None
    with opened_rooms() as rooms:
        try:
            changes = rooms.clients.import_(declared, jwks=keys, origin=origin)
        except DeclarationRefused as refused:
            raise refused if refused.position is None else _at(placed[refused.position][0], refused) from None
    _keep_for_demo({each.client_id: each.new_secret for each in changes if each.new_secret is not None})
    frame.answer({"clients": [_change(each) for each in changes]}, [line for each in changes for line in _lines(each)])


def _placed(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the declarations of a file, each with where it stands: of several in one file, at which place."""
    read = _read(file)
    return [(file.name if len(read) == 1 else f"{file.name}, {number}.", each) for number, each in enumerate(read, 1)]


def _at(place: str, refused: DeclarationRefused) -> DeclarationRefused:
    return DeclarationRefused(f"{place}: {refused.field}", refused.reason)


def _fill(place: str, declaration: dict[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    try:
        return fill(declaration, variables)
    except DeclarationRefused as refused:
        raise _at(place, refused) from None


def _variables() -> dict[str, str]:
    """Return what declarations are filled from: the environment without our settings; beside a demo, its addresses before that."""
    given = environment()
    running = find_own_demo(given)
    addresses = {} if running is None else dict(running.variables)
    return addresses | {name: value for name, value in given.items() if not name.startswith(PREFIX)}


def _keep_for_demo(secrets: Mapping[str, str]) -> None:
    """Beside a demo, keep fresh secrets of its clients where `idp demo --json` finds them."""
    running = find_own_demo(environment())
    if running is None or not secrets:
        return
    with changed_kept(Path(running.settings[PREFIX + "VAR"])) as kept:
        kept.secrets.update({client_id: secret for client_id, secret in secrets.items() if client_id in kept.secrets})


def _read_keys(file: Path) -> dict[str, Any]:
    read = _read(file)
    if len(read) != 1:
        raise DeclarationRefused(file.name, f"holds {len(read)} sets of keys; one is wanted")
    return read[0]


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        read = read_json(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise DeclarationRefused(file.name, "is not in UTF-8") from None
    except ValueError as error:
        raise DeclarationRefused(file.name, str(error)) from None
    objects = read if isinstance(read, list) else [read]
    if not all(isinstance(each, dict) for each in objects) or not objects:
        raise DeclarationRefused(file.name, "holds neither an object nor a list of objects")
    return objects


def _change(change: Change) -> dict[str, object]:
    document: dict[str, object] = {"client_id": change.client_id, "what": change.what, "fields": list(change.fields)}
    if change.shares_sector_with:
        document["shares_sector_with"] = list(change.shares_sector_with)
    return document | ({"client_secret": change.new_secret} if change.new_secret else {})


def _lines(change: Change) -> list[str]:
    fields = f": {', '.join(change.fields)}" if change.what == "changed" else ""
    lines = [f"{change.client_id}  {change.what}{fields}"]
    if change.shares_sector_with:
        lines.append(f"  people have the same sub there as at {', '.join(change.shares_sector_with)}: one sector")
    return lines if change.new_secret is None else [*lines, f"  secret, shown this once: {change.new_secret}"]


@clients.command("list")
@operated
@answering
def list_(frame: Frame, origin: Origin) -> None:
    """List every client."""
    with opened_rooms() as rooms:
        found, now = rooms.clients.list_(origin), rooms.clock.now()
    summaries = [_summary(each, now) for each in found]
    columns = ("client_id", "state", "profile", "token_endpoint_auth_method", "minimum_acr", "client_name")
    rows = [[each[name] for name in columns] for each in summaries]
    headers = ("client", "state", "profile", "authenticates by", "minimum", "name")
    frame.answer({"clients": summaries}, table(headers, rows, empty="No client."))


@clients.command("show")
@click.argument("client_id", metavar="CLIENT")
@operated
@answering
def show(frame: Frame, origin: Origin, client_id: str) -> None:
    """Show one client: its declaration as stored, and its state. Secrets are not stored and cannot be shown."""
    with opened_rooms() as rooms:
        client = rooms.clients.look_up(client_id, origin)
        summary = _summary(client, rooms.clock.now())
    declared = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in client.metadata.items()
    }
    said = {name: summary[name] for name in ("id", "state", "disabled_reason", "sector", "expires_at")}
    frame.answer(summary | {"declaration": dict(client.metadata)}, pairs(said | declared))


def _summary(client: Client, now: datetime) -> dict[str, object]:
    return {
        "id": client.id,
        "client_id": client.client_id,
        "client_name": client.name(),
        "profile": client.profile,
        "state": _state(client, now),
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "sector": client.sector,
        "minimum_acr": client.minimum.acr,
        "expires_at": client.expires_at,
        "disabled_at": client.disabled_at,
        "disabled_reason": client.disabled_reason,
        "updated_at": client.updated_at,
    }


def _state(client: Client, now: datetime) -> str:
    if not client.is_dead(now):
        return "enabled"
    return "over" if client.disabled_at is None else "disabled"


@clients.command("disable")
@click.argument("client_id", metavar="CLIENT")
@click.option("--reason", required=True, type=Words(), help="Why, for the record.")
@click.option("--keep-grants", is_flag=True, help="Let what was issued before count again once the client is enabled.")
@operated
@answering
def disable(frame: Frame, origin: Origin, client_id: str, reason: str, *, keep_grants: bool) -> None:
    """Disable a client: dead at every endpoint at once."""
    with opened_rooms() as rooms:
        rooms.clients.disable(client_id, reason, origin=origin, keep_grants=keep_grants)
    frame.answer({"client_id": client_id, "state": "disabled", "grants_ended": not keep_grants}, f"{client_id}  disabled")


@clients.command("enable")
@click.argument("client_id", metavar="CLIENT")
@operated
@answering
def enable(frame: Frame, origin: Origin, client_id: str) -> None:
    """Enable a disabled client again."""
    with opened_rooms() as rooms:
        rooms.clients.enable(client_id, origin=origin)
    frame.answer({"client_id": client_id, "state": "enabled"}, f"{client_id}  enabled")


@clients.command("rotate-secret")
@click.argument("client_id", metavar="CLIENT")
@operated
@answering
def rotate_secret(frame: Frame, origin: Origin, client_id: str) -> None:
    """Give a client a new secret and print it, this once. The old one is dead within a second."""
    with opened_rooms() as rooms:
        secret = rooms.clients.rotate_secret(client_id, origin=origin)
    _keep_for_demo({client_id: secret})
    frame.answer({"client_id": client_id, "client_secret": secret}, [f"{client_id}  secret, shown this once: {secret}"])

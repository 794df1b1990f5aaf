"""`idp demo`: everything at once on this machine, with engines and people of its own."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from idp.cli.frame import Frame, answering, table
from idp.demo.record import Running, find_running, read_kept
from idp.demo.run import Composition, Demo
from idp.kernel.refusals import Refusal
from idp.settings import PREFIX, Mode, Settings, UnsafeSettings, environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.kernel.clock import Clock
    from idp.keys.service import KeyKeeper

_MOST: Final = 100_000
_READY_WITHIN: Final = 60.0
_LOOK_EVERY: Final = 0.1


class NotReady(Refusal):
    """A demo is being started on this folder, and takes long."""

    code = "demo.not_ready"


class NoSuchDemoAccount(Refusal):
    """No demo account with a second factor has this username; idp demo --json lists them."""

    code = "demo.no_such_account"


@click.group("demo", invoke_without_command=True)
@answering
@click.pass_context
def demo(context: click.Context, frame: Frame) -> int:
    """Start engines, provider, worker and two portals with demo data, and stay until Ctrl-C.

    Ports by IDP_ISSUER, NATIONAL_PORTAL_URL and PROVINCIAL_PORTAL_URL; the data stays in IDP_VAR (./var). With --json, prints one
    document for programs when everything is ready; beside a demo that runs on the same folder, prints its document and ends. Its
    `mailbox_url` is where mail to the demo's people could be read; it is null, since nothing sends any yet.
    """
    if context.invoked_subcommand is not None:
        return 0
    given = environment()
    running = find_running(Path(given.get(PREFIX + "VAR") or "var"))
    if running is not None and frame.as_json:
        frame.answer(_document_of(running, Path(given.get(PREFIX + "VAR") or "var")), "")
        return 0
    output = sys.stderr if frame.as_json else sys.stdout
    return Demo(given, _compose, output).run(lambda document: frame.answer(document, _lines(document)))


def _document_of(running: Running, var: Path) -> Mapping[str, Any]:
    """Return the document of a demo that runs, once it is ready."""
    until = time.monotonic() + _READY_WITHIN
    found: Running | None = running
    while found is not None and found.document is None and time.monotonic() < until:
        time.sleep(_LOOK_EVERY)
        found = find_running(var)
    if found is None or found.document is None:
        raise NotReady
    secrets = read_kept(var).secrets  # one may have been rotated since
    clients = [
        each | ({"client_secret": secrets[each["client_id"]]} if each["client_id"] in secrets else {})
        for each in found.document["clients"]
    ]
    return {**found.document, "clients": clients}


def _compose() -> Composition:
    """Return how settings become rooms; loaded only when something has to be made."""
    from idp.app import key_encryption, make_clock, serving_rooms
    from idp.keys.service import KeyKeeper
    from idp.storage.postgres import Database

    def keeper(settings: Settings, clock: Clock) -> KeyKeeper:
        if settings.database_owner_url is None:
            raise UnsafeSettings("set IDP_DATABASE_OWNER_URL")
        return KeyKeeper(Database(settings.database_owner_url.get_secret_value(), name="idp keys"), key_encryption(settings), clock)

    return Composition(clock=make_clock, keeper=keeper, rooms=serving_rooms)


def _lines(document: Mapping[str, Any]) -> list[str]:
    places = [("Một Cửa", document["issuer"]), *((each["name"], each["url"]) for each in document["portals"])]
    accounts = [
        (each["name"], each["username"], each["password"], each["totp_secret"] or "-", f"ial{each['ial']}", each["note"])
        for each in document["accounts"]
    ]
    return [
        "",
        *table(("Địa chỉ · Address", ""), places),
        "",
        *table(("Họ tên · Name", "Số định danh · Number", "Mật khẩu · Password", "TOTP", "", "Ghi chú · Note"), accounts),
        "",
        "Mã TOTP lúc này · the TOTP code of now:  idp demo code NUMBER",
        "Mã khôi phục và máy khách · recovery codes and clients:  idp demo --json",
        "Ctrl-C: dừng tất cả, giữ dữ liệu · stops everything and keeps the data",
        "",
    ]


@demo.command("code")
@click.argument("username", metavar="NUMBER")
@answering
def code(frame: Frame, username: str) -> None:
    """Print the TOTP code that a demo account's authenticator would show now, for those who have none at hand."""
    import pyotp

    from idp.app import make_clock
    from idp.cli.composition import command_settings

    settings = command_settings()
    _require_demo(settings)
    known = {each["username"]: each["totp_secret"] for each in read_kept(settings.var).accounts}
    if not known.get(username):
        raise NoSuchDemoAccount
    at = int(make_clock(settings).now().timestamp())
    shown, seconds = pyotp.TOTP(known[username]).at(at), 30 - at % 30
    frame.answer({"code": shown, "good_for_seconds": seconds}, f"{shown}  ({seconds} s)")


@demo.command("people")
@click.option("--count", type=click.IntRange(1, _MOST), required=True, help="How many more.")
@click.option("--ial", type=click.IntRange(0, 2), default=1, show_default=True, help="Their identification level, by evidence.")
@answering
def people(frame: Frame, count: int, ial: int) -> None:
    """Make more synthetic people with password and TOTP on the running demo, for load and attack tests."""
    from idp.cli.composition import command_settings, opened_rooms
    from idp.demo.data import how_many_at_once, make_people

    settings = command_settings()
    _require_demo(settings)
    hashing = how_many_at_once()
    began_at = time.monotonic()

    def tell(made: int) -> None:
        if made % 100 == 0 or made == count:
            seconds = time.monotonic() - began_at
            frame.say(f"{made} of {count} people, {made / seconds:.0f} a second")

    settings.var.mkdir(mode=0o700, parents=True, exist_ok=True)
    with opened_rooms(settings.model_copy(update={"hash_slots": hashing})) as rooms:
        accounts = make_people(rooms, settings.var, count, ial=ial, threads=hashing + 1, tell=tell)
    columns = ("username", "password", "totp_secret", "ial")
    lines = table(columns, [[each[name] for name in columns] for each in accounts])
    frame.answer({"accounts": accounts}, lines)


def _require_demo(settings: Settings) -> None:
    if settings.mode is Mode.PRODUCTION:
        raise UnsafeSettings("demo people are for demo and test only")

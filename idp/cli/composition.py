"""From the environment to the rooms that a command works with.

With engines named in the environment, a command works on those. Without, and with a demo running on `IDP_VAR`, it works on the
demo's: so that what the documents show can be typed beside `make run`. There is no third way.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from idp.app import key_encryption, make_clock, wanted_rooms
from idp.demo.record import Running, find_running
from idp.kernel.refusals import Refusal
from idp.keys.service import KeyKeeper
from idp.rooms import Rooms, build_rooms
from idp.settings import PREFIX, Mode, Settings, UnsafeSettings, environment, read_settings
from idp.storage.deployment import Deployment, find_deployment, require_fitting
from idp.storage.postgres import Database

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LONGEST_CALL: Final = 600.0
"""Seconds. An operator's work over whole tables may take what a page may not."""

_ENGINES: Final = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_WORKER_URL", "REDIS_URL", "SECRETS_DIR")


class NothingRuns(Refusal):
    """No engines are named, and no demo runs here."""

    code = "cli.nothing_runs"


def find_own_demo(given: Mapping[str, str]) -> Running | None:
    """Return the demo whose engines a command with this environment is meant for, or None."""
    if given.get(PREFIX + "MODE") == Mode.PRODUCTION or any(given.get(PREFIX + name) for name in _ENGINES):
        return None
    return find_running(_var(given))


def command_settings() -> Settings:
    """Return the settings of a command that works beside a running provider.

    Raises:
        UnsafeSettings: what is wrong with them.
        NothingRuns: no engines named, and no demo runs on `IDP_VAR`; in production mode only where no mode was asked for.
    """
    given = environment()
    running = find_own_demo(given)
    if running is not None:
        return read_settings(given | dict(running.settings))
    try:
        settings = read_settings(given)
    except UnsafeSettings as refusal:
        if given.get(PREFIX + "MODE") or any(given.get(PREFIX + name) for name in _ENGINES):
            raise
        # Nobody said production: it may well be a demo that was meant, from another folder or before it runs.
        raise NothingRuns(f"{_no_demo(given)}, or set what production needs ({refusal.detail})") from None
    if settings.is_embedded:
        raise NothingRuns(f"{_no_demo(given)}, or set IDP_DATABASE_URL and IDP_REDIS_URL")
    return settings


def _var(given: Mapping[str, str]) -> Path:
    return Path(given.get(PREFIX + "VAR") or "var")


def _no_demo(given: Mapping[str, str]) -> str:
    var = _var(given)
    return f"no demo runs on {var if var.is_absolute() else f'./{var}'}: start one with idp demo"


@contextmanager
def opened_rooms(settings: Settings | None = None) -> Iterator[Rooms]:
    """Lend the rooms of a serving process for one command, as the role `idp_app`.

    Raises:
        UnsafeSettings, NothingRuns: as `command_settings`.
        WrongDatabase: the database is marked for something else.
    """
    settings = settings or command_settings()
    if settings.database_url is None:
        raise UnsafeSettings("set IDP_DATABASE_URL")
    url = settings.database_url.get_secret_value()
    require_fitting_database(settings, url)
    rooms = build_rooms(wanted_rooms(settings, url, name="idp command"), make_clock(settings))
    try:
        yield rooms
    finally:
        rooms.database.close()


@contextmanager
def opened_keeper() -> Iterator[KeyKeeper]:
    """Lend the keeper of the keys for one command: as the owner where its URL is set, else as the role `idp_app`."""
    settings = command_settings()
    url = settings.database_owner_url or settings.database_url
    if url is None:
        raise UnsafeSettings("set IDP_DATABASE_OWNER_URL")
    require_fitting_database(settings, url.get_secret_value())
    database = Database(url.get_secret_value(), name="idp keys", call_limit=_LONGEST_CALL)
    try:
        yield KeyKeeper(database, key_encryption(settings), make_clock(settings))
    finally:
        database.close()


def require_fitting_database(settings: Settings, url: str) -> None:
    """Let only a database pass that is marked for these settings.

    Raises:
        WrongDatabase: it is not. EngineAway: it does not answer.
    """
    database = Database(url, name="idp command", pool=1)
    try:
        require_fitting(find_deployment(database), Deployment(settings.mode, settings.issuer))
    finally:
        database.close()

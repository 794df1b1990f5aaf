"""`idp check`: whether this installation could serve now, and what to do where it could not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import click
import psycopg

from idp.app import key_encryption
from idp.assurance.policy import load_policy
from idp.assurance.service import Levels
from idp.cli.composition import command_settings
from idp.cli.frame import DONE, REFUSED, Frame, answering, sentence_of, table
from idp.kernel.clock import MAX_SKEW, SystemClock
from idp.kernel.refusals import Refusal
from idp.keys.model import SIGNING_ALGS
from idp.keys.ring import KeyRing
from idp.storage import migrations
from idp.storage.breaker import EngineAway
from idp.storage.deployment import Deployment, find_deployment, require_fitting
from idp.storage.ephemeral import Ephemeral
from idp.storage.postgres import Database

if TYPE_CHECKING:
    from idp.settings import Settings

_OLDEST_POSTGRESQL: Final = 15
_ROLES: Final = {"app": "idp_app", "worker": "idp_worker"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found: what was looked at, whether it is well, what was seen, and else what to do."""

    what: str
    ok: bool
    seen: str
    to_do: str = ""


class _Wrong(Refusal):
    """Something is not as it has to be."""

    code = "cli.wrong"

    def __init__(self, seen: str, to_do: str) -> None:
        super().__init__(seen)
        self.to_do = to_do


@click.command("check")
@answering
def check(frame: Frame) -> int:
    """Look at settings, engines, schema, keys, clock, mark, policy and levels. Ends with 1 when something has to be done."""
    findings = find_all()
    ok = all(each.ok for each in findings)
    document = {"ok": ok, "checks": [{"what": each.what, "ok": each.ok, "seen": each.seen, "to_do": each.to_do} for each in findings]}
    rows = [(each.what, "ok" if each.ok else "NO", each.seen, each.to_do) for each in findings]
    frame.answer(document, table(("what", "", "seen", "what to do"), rows))
    return DONE if ok else REFUSED


def find_all() -> list[Finding]:
    """Return every finding; without usable settings there is only that one."""
    try:
        settings = command_settings()
    except Refusal as refusal:
        return [Finding("settings", ok=False, seen="not usable", to_do=sentence_of(refusal))]
    findings = [Finding("settings", ok=True, seen=f"{settings.mode}, {settings.issuer}")]
    looks: dict[str, Callable[[], str]] = {
        "policy": lambda: load_policy(settings.assurance_policy).version,
        "key-encryption key": lambda: key_encryption(settings).wraps_with,
    }
    databases = {
        role: Database(url.get_secret_value(), name="idp check", pool=1)
        for role, url in (("app", settings.database_url), ("worker", settings.database_worker_url), ("owner", settings.database_owner_url))
        if url is not None
    }
    for role, database in databases.items():
        looks[f"database as {role}"] = partial(_look_at_database, database, role)
    if "app" in databases:
        app = databases["app"]
        looks |= {
            "schema": lambda: _look_at_schema(settings),
            "mark": lambda: _look_at_mark(app, settings),
            "clock": lambda: _look_at_clock(app),
            "keys": lambda: _look_at_keys(app, settings),
            "levels": lambda: _look_at_levels(app, settings),
        }
    if settings.redis_url is not None:
        ephemeral = Ephemeral(settings.redis_url.get_secret_value())
        looks["redis"] = lambda: _look_at_redis(ephemeral)
    findings += [_find(what, look) for what, look in looks.items()]
    for database in databases.values():
        database.close()
    return findings


def _find(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, ok=True, seen=look())
    except _Wrong as wrong:
        return Finding(what, ok=False, seen=wrong.detail, to_do=wrong.to_do)
    except (EngineAway, psycopg.OperationalError):
        return Finding(what, ok=False, seen="away", to_do="see to it that the server runs and its address in the settings is right")
    except Refusal as refusal:
        return Finding(what, ok=False, seen=refusal.code, to_do=sentence_of(refusal))
    except psycopg.Error as error:
        return Finding(what, ok=False, seen=type(error).__name__, to_do="run idp migrate with the owner's URL")


def _look_at_database(database: Database, role: str) -> str:
    row = database.step(
        "SELECT current_setting('server_version_num')::integer / 10000 AS version, current_user AS role, rolsuper AS is_superuser"
        " FROM pg_roles WHERE rolname = current_user",
        {},
    )
    if row is None or row.version < _OLDEST_POSTGRESQL:
        raise _Wrong("too old", f"use PostgreSQL {_OLDEST_POSTGRESQL} or newer")
    if row.is_superuser or row.role != _ROLES.get(role, row.role):
        raise _Wrong(f"logs in as {row.role}", f"let this URL log in as {_ROLES.get(role, 'an owner')}; docker/roles.sql makes the roles")
    return f"PostgreSQL {row.version}, {row.role}"


def _look_at_schema(settings: Settings) -> str:
    url = settings.database_url
    at = None if url is None else migrations.current(url.get_secret_value())
    if at != migrations.head():
        raise _Wrong(f"at {at or 'nothing'}", f"run idp migrate: this version needs {migrations.head()}")
    return f"at {at}"


def _look_at_mark(database: Database, settings: Settings) -> str:
    found = find_deployment(database)
    require_fitting(found, Deployment(settings.mode, settings.issuer))
    return "" if found is None else f"{found.mode}, {found.issuer}"


def _look_at_clock(database: Database) -> str:
    asked_at = time.monotonic()
    row = database.step("SELECT clock_timestamp() AS now", {})
    answered_at = time.monotonic()
    skew = SystemClock().learn(row.now, asked_at=asked_at, answered_at=answered_at).total_seconds() if row else 0.0
    if abs(skew) > MAX_SKEW.total_seconds():
        raise _Wrong(f"{skew:+.1f} s off the database's", "set this machine's clock by NTP")
    return f"{skew:+.3f} s off the database's"


def _look_at_levels(database: Database, settings: Settings) -> str:
    levels = Levels(database, load_policy(settings.assurance_policy), SystemClock(settings.clock_offset_file))
    others = levels.other_policies()
    if others:
        to_do = "run idp migrate, once more when the last node of another policy is gone: it computes levels anew"
        raise _Wrong(f"some were computed under {', '.join(sorted(others))}", to_do)
    return f"all under {levels.policy_version}"


def _look_at_keys(database: Database, settings: Settings) -> str:
    ring = KeyRing(database, key_encryption(settings), SystemClock(settings.clock_offset_file))
    ring.check()
    missing = [alg for alg in SIGNING_ALGS if not _signs(ring, alg)]
    if missing:
        raise _Wrong(f"none for {', '.join(missing)}", "run idp keys make")
    return f"{' and '.join(SIGNING_ALGS)} sign and verify"


def _signs(ring: KeyRing, alg: str) -> bool:
    try:
        ring.signer(alg)
    except Refusal:
        return False
    return True


def _look_at_redis(ephemeral: Ephemeral) -> str:
    ephemeral.ping()
    policy = ephemeral.eviction_policy()
    if policy not in {None, "noeviction"}:
        raise _Wrong(f"evicts ({policy})", "set maxmemory-policy noeviction: counters must not vanish one by one")
    return "answers" + (f", {policy}" if policy else "; its eviction policy cannot be read here: see to it that it is noeviction")

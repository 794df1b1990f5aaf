"""Bringing a database to the schema of this version, and asking whether it is there. Works as the owner role."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from idp.kernel.refusals import Refusal
from idp.storage.postgres import CONNECT_FOR

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

_FOLDER = Path(__file__).parents[2] / "migrations"
_NEEDED_ROLES = ("idp_app", "idp_worker")
_DAYS_AHEAD = 7
_ONE_AT_A_TIME = 4_711_2020
"""Held while partitions are made: two migrators at once would make the same ones. (Migrations have a lock of their own.)"""


class RolesMissing(Refusal):
    """The database has no roles to grant anything to."""

    code = "storage.roles_missing"


def _configuration(owner_url: str) -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(_FOLDER))
    configuration.set_main_option("sqlalchemy.url", owner_url.replace("%", "%%"))
    return configuration


def head() -> str:
    """Return the revision that this version of the program needs."""
    found = ScriptDirectory(str(_FOLDER)).get_current_head()
    if found is None:
        message = "no migrations are shipped with this installation"
        raise RuntimeError(message)
    return found


def current(url: str) -> str | None:
    """Return the revision that the database at `url` is at, or None when it was never migrated."""
    with psycopg.connect(url, connect_timeout=CONNECT_FOR) as connection:
        known = connection.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL").fetchone()
        if known is None or not known[0]:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None


def migrate(owner_url: str, today: date, say: Callable[[str], None]) -> None:
    """Migrate the database to `head`, one migration a transaction, telling each by `say`; then make partitions ahead.

    Raises:
        RolesMissing: the roles of docker/roles.sql were not created first.
    """
    with psycopg.connect(owner_url, connect_timeout=CONNECT_FOR) as connection:
        have = {str(row[0]) for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(_NEEDED_ROLES)])}
    missing = [role for role in _NEEDED_ROLES if role not in have]
    if missing:
        raise RolesMissing(f"create the roles {', '.join(missing)} first: docker/roles.sql shows how")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    before = current(owner_url)
    if before != head():
        say(f"migrating the database from {before or 'nothing'} to {head()}")
        command.upgrade(_configuration(owner_url), "head")
    with psycopg.connect(owner_url, connect_timeout=CONNECT_FOR) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
        connection.execute("SELECT make_partitions_ahead(%s, %s)", [today, _DAYS_AHEAD])

"""The roles and databases inside the embedded PostgreSQL, as `docker/roles.sql` makes them in production.

Owns who may log in with which rights and time-outs, and fresh databases for tests. It must not know tables: rights on
those are granted by migrations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from psycopg import Connection

OWNER = "idp_owner"
APP = "idp_app"
WORKER = "idp_worker"
DATABASE = "idp"

ROLE_SETTINGS: dict[str, dict[str, str]] = {
    OWNER: {},
    APP: {
        "statement_timeout": "2500ms",
        "lock_timeout": "1s",
        "idle_in_transaction_session_timeout": "5s",
        "plan_cache_mode": "force_generic_plan",
        "jit": "off",
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "cpu_tuple_cost": "1",
        "cpu_index_tuple_cost": "1",
    },
    WORKER: {"statement_timeout": "30s", "lock_timeout": "1s", "idle_in_transaction_session_timeout": "30s"},
}
"""Time-outs stand on the roles, since PgBouncer refuses start-up options (design §3).

Every statement of the application looks rows up by keys, so one generic plan of index look-ups serves every value. Planning anew, or
compiling, would cost more than the step itself; and a plan made while a table was still empty would scan it, or a whole index of it,
for as long as the connection is kept (measured: docs/decisions/0002; `tests/migrations/test_plans.py` looks at every plan).
"""


def make_roles(connection: Connection) -> None:
    """Make the login roles, or bring existing ones back to what is written here; `connection` is a superuser's."""
    with connection.transaction():
        found = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
        for role, settings in ROLE_SETTINGS.items():
            name = sql.Identifier(role)
            verb = sql.SQL("ALTER" if role in found else "CREATE")
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS").format(verb, name)
            )
            connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(name))
            for setting, value in settings.items():
                connection.execute(
                    sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
                )


def make_database(connection: Connection, database: str = DATABASE, *, template: str | None = None) -> None:
    """Make `database`, owned by the owner role and open to the others, unless it exists.

    A `template` is copied with everything in it; nobody may be connected to it meanwhile. `connection` is a
    superuser's, in autocommit.
    """
    known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
    name = sql.Identifier(database)
    if known is None:
        copied = sql.SQL("") if template is None else sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(OWNER)) + copied)
    with connection.transaction():  # these rights belong to the database itself and are not copied from a template
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}, {}").format(name, sql.Identifier(APP), sql.Identifier(WORKER))
        )


def drop_database(connection: Connection, database: str) -> None:
    """Drop `database` if it exists, ending the sessions in it; `connection` is a superuser's, in autocommit."""
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

"""The roles of the embedded engines are those of production: few rights, time-outs of their own (design §3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from idp.demo.engines import Engines, TemporaryEngines

PRODUCTION_ROLES = Path(__file__).parents[3] / "docker" / "roles.sql"


@pytest.fixture(scope="module")
def bare() -> Iterator[Engines]:
    """Engines without any table of ours, whose roles these tests may spoil."""
    with TemporaryEngines() as engines:
        yield engines


def show(url: str, setting: str) -> str:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT current_setting(%s)", [setting]).fetchone()
        assert found is not None
        return str(found[0])


@pytest.mark.parametrize(
    ("role", "statement", "lock", "idle_in_transaction"),
    [("app", "2500ms", "1s", "5s"), ("worker", "30s", "1s", "30s"), ("owner", "0", "0", "0")],
)
def test_each_role_brings_its_own_time_outs(
    bare: Engines, role: str, statement: str, lock: str, idle_in_transaction: str
) -> None:
    url = getattr(bare, f"database_url_{role}")
    assert show(url, "statement_timeout") == statement
    assert show(url, "lock_timeout") == lock
    assert show(url, "idle_in_transaction_session_timeout") == idle_in_transaction


def test_a_statement_of_the_serving_role_is_cut_off_after_its_time(bare: Engines) -> None:
    with psycopg.connect(bare.database_url_app) as connection, pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(10)")


@pytest.mark.parametrize("role", ["app", "worker"])
@pytest.mark.parametrize(
    "definition",
    [
        "CREATE TABLE mine (a int)",
        "CREATE TEMPORARY TABLE mine (a int)",
        "CREATE SCHEMA mine",
        "CREATE VIEW mine AS SELECT 1 AS a",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
        "ALTER DATABASE idp SET statement_timeout = 0",
        "SET ROLE idp_owner",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_the_serving_roles_define_nothing(bare: Engines, role: str, definition: str) -> None:
    url = getattr(bare, f"database_url_{role}")
    with psycopg.connect(url, autocommit=True) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(definition)


def test_the_owner_defines_tables_but_neither_roles_nor_databases(bare: Engines) -> None:
    with psycopg.connect(bare.database_url_owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE mine (a int)")
        connection.execute("DROP TABLE mine")
        for definition in ("CREATE ROLE mine", "CREATE DATABASE mine", "COPY (SELECT 1) TO PROGRAM 'true'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(definition)


def test_the_server_listens_on_its_socket_alone_and_lets_the_kernel_say_who_calls(bare: Engines) -> None:
    with bare.connect_superuser() as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        rules = connection.execute("SELECT DISTINCT type, auth_method, options, error FROM pg_hba_file_rules").fetchall()
        assert rules == [("local", "peer", ["map=launcher"], None)]
        assert connection.execute("SELECT count(*) FROM pg_ident_file_mappings WHERE error IS NOT NULL").fetchone() == (0,)


def test_a_database_made_from_a_template_has_its_tables_and_the_same_doors(bare: Engines) -> None:
    pattern = bare.make_database("pattern")
    with psycopg.connect(pattern.owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (a int)")
        connection.execute("GRANT SELECT ON kept TO idp_app")
    copy = bare.make_database("copy", template="pattern")
    with psycopg.connect(copy.app, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TEMPORARY TABLE mine (a int)")
    bare.drop_database("copy")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(copy.app)


def describe_roles(engines: Engines) -> list[tuple[object, ...]]:
    with engines.connect_superuser("idp") as connection:
        roles = connection.execute(
            "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconfig"
            " FROM pg_roles WHERE rolname LIKE 'idp%' ORDER BY rolname"
        ).fetchall()
        doors = connection.execute(
            "SELECT datname, pg_get_userbyid(datdba), datacl::text FROM pg_database WHERE datname = 'idp'"
        ).fetchall()
    return [*roles, *doors]


def test_the_production_script_makes_the_same_roles_and_may_be_run_again(bare: Engines) -> None:
    embedded = describe_roles(bare)
    with bare.connect_superuser() as connection:
        connection.execute("DROP DATABASE idp")
        connection.execute("ALTER ROLE idp_app SUPERUSER")
        connection.execute("ALTER ROLE idp_app SET work_mem = '1GB'")
        connection.execute("ALTER ROLE idp_worker RESET ALL")
        connection.execute("CREATE DATABASE idp")
    for _ in range(2):
        with bare.connect_superuser("idp") as connection:
            connection.execute(PRODUCTION_ROLES.read_text(encoding="utf-8"))
        assert describe_roles(bare) == embedded

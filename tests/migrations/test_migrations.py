"""The schema comes up on every PostgreSQL that is promised, may be interrupted, and gives each role no more than it needs (design §3)."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest
from alembic import command

from idp.audit.model import Origin
from idp.audit.store import record
from idp.demo.engines import DatabaseUrls, Engines, TemporaryEngines
from idp.keys.model import SealingKeyMade
from idp.storage.migrations import RolesMissing, _configuration, current, head, migrate
from idp.storage.postgres import Database
from tests.support.load import wait_until

pytestmark = pytest.mark.xdist_group("migrations")

OLDEST = Path(os.environ.get("OLDEST_POSTGRES", "/usr/lib/postgresql/15/bin"))
"""The programs of the oldest PostgreSQL that is promised; where Debian keeps them, unless `make` says otherwise."""

JUNE = date(2026, 6, 1)
MIGRATE = "import sys, datetime; from idp.storage.migrations import migrate; migrate(sys.argv[1], datetime.date(2026, 6, 1), print)"
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname"
ALLOWED = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND has_table_privilege(%s, c.oid, %s)
ORDER BY c.relname
"""
QUEUE = {"procrastinate_events", "procrastinate_jobs", "procrastinate_periodic_defers", "procrastinate_workers"}


@pytest.fixture(scope="module", params=["embedded", "oldest"])
def engines(request: pytest.FixtureRequest) -> Iterator[Engines]:
    """The embedded PostgreSQL, and the oldest that is promised, so that nothing newer slips in."""
    oldest = request.param == "oldest"
    if oldest:
        assert OLDEST.exists(), f"PostgreSQL 15 is not at {OLDEST}: make oldest-ready"
    with TemporaryEngines(postgres_programs=OLDEST if oldest else None) as running:
        yield running


@pytest.fixture
def empty(engines: Engines) -> DatabaseUrls:
    return engines.make_database(f"empty_{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def migrated(engines: Engines) -> DatabaseUrls:
    urls = engines.make_database("migrated")
    migrate(urls.owner, JUNE, lambda _: None)
    return urls


def rows(url: str, statement: str, parameters: list[object] | None = None) -> list[str]:
    with psycopg.connect(url) as connection:
        return [str(row[0]) for row in connection.execute(statement, parameters)]


def start_migrator(urls: DatabaseUrls) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MIGRATE, urls.owner]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_an_empty_database_comes_to_the_head_and_says_so(empty: DatabaseUrls) -> None:
    assert current(empty.owner) is None
    said: list[str] = []
    migrate(empty.owner, JUNE, said.append)
    assert current(empty.owner) == head()
    assert said == [f"migrating the database from nothing to {head()}"]
    assert {"audit_event_2026_06", "login_event_2026_06"} <= set(rows(empty.owner, TABLES))


def test_migrating_again_changes_nothing(migrated: DatabaseUrls) -> None:
    before = rows(migrated.owner, TABLES)
    said: list[str] = []
    migrate(migrated.owner, JUNE, said.append)
    assert said == []
    assert rows(migrated.owner, TABLES) == before


def test_a_database_of_the_first_version_with_its_partitions_comes_to_the_head(empty: DatabaseUrls) -> None:
    """Nothing is searched by name, phone number or login: no partition goes on paying for an index of it."""
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = %s OR tablename LIKE %s ORDER BY 1"
    command.upgrade(_configuration(empty.owner), "0001")
    with psycopg.connect(empty.owner) as connection:
        connection.execute("SELECT make_partitions_ahead(%s, 7)", [JUNE])
    said: list[str] = []
    migrate(empty.owner, JUNE, said.append)
    assert said == [f"migrating the database from 0001 to {head()}"]
    assert not [found for found in rows(empty.owner, indexes, ["person", "login_event%"]) if "UNIQUE" not in found]


def test_two_migrators_at_once_both_end_well(empty: DatabaseUrls) -> None:
    """One works, the other waits and finds it done."""
    migrators = [start_migrator(empty) for _ in range(2)]
    said = [each.communicate(timeout=60)[0] for each in migrators]
    assert [each.returncode for each in migrators] == [0, 0], said
    assert current(empty.owner) == head()
    assert "audit_event_2026_06" in rows(empty.owner, TABLES)


def test_a_migrator_that_is_killed_in_the_middle_leaves_nothing_and_the_next_one_does_it_all(empty: DatabaseUrls) -> None:
    """Each migration is one transaction."""
    with psycopg.connect(empty.superuser) as blocker, psycopg.connect(empty.superuser, autocommit=True) as looking:
        blocker.execute("CREATE TABLE procrastinate_jobs (id integer)")  # not committed: the migration meets it half-way, and waits
        killed = start_migrator(empty)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'idp_owner' AND wait_event_type = 'Lock'"
        wait_until(lambda: looking.execute(waiting).fetchone() == (1,), within=20)
        killed.kill()
        killed.communicate()
        blocker.rollback()
    again = start_migrator(empty)
    said = again.communicate(timeout=60)[0]
    assert again.returncode == 0, said
    assert f"migrating the database from nothing to {head()}" in said
    assert current(empty.owner) == head()


def test_without_its_roles_nothing_is_migrated(engines: Engines, empty: DatabaseUrls) -> None:
    with engines.connect_superuser() as superuser:
        superuser.execute("ALTER ROLE idp_worker RENAME TO somebody_else")
        try:
            with pytest.raises(RolesMissing, match=r"create the roles idp_worker first: docker/roles\.sql"):
                migrate(empty.owner, JUNE, lambda _: None)
        finally:
            superuser.execute("ALTER ROLE somebody_else RENAME TO idp_worker")
    assert rows(empty.owner, TABLES) == []


# partitions ---------------------------------------------------------------------------------------------------------------------


def test_partitions_are_made_ahead_once_across_the_end_of_the_month(migrated: DatabaseUrls) -> None:
    made = [rows(migrated.worker, "SELECT make_partitions_ahead('2026-07-28', 7)") for _ in range(2)]
    assert made == [["4"], ["0"]]  # July and August, of two tables
    assert {"audit_event_2026_08", "login_event_2026_07"} <= set(rows(migrated.owner, TABLES))


def test_what_came_before_its_partition_moves_into_it(migrated: DatabaseUrls) -> None:
    """The job that makes partitions did not run for weeks."""
    at = datetime(2027, 3, 15, 12, tzinfo=UTC)
    database = Database(migrated.app)
    with database.transaction() as transaction:
        event_id = record(transaction, SealingKeyMade(Origin.operated("test"), 1, "seal", at), at)
    database.close()
    lies_in = "SELECT tableoid::regclass FROM audit_event WHERE id = %s"
    assert rows(migrated.app, lies_in, [event_id]) == ["audit_event_default"]
    assert rows(migrated.worker, "SELECT make_partitions_ahead('2027-03-20', 7)") == ["2"]
    assert rows(migrated.app, lies_in, [event_id]) == ["audit_event_2027_03"]


# who may do what ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id integer)",
        "CREATE VIEW mine AS SELECT 1 AS one",
        "ALTER TABLE account ADD COLUMN mine integer",
        "DROP TABLE account",
        "TRUNCATE audit_event",
        "UPDATE audit_event SET kind = 'x'",
        "DELETE FROM audit_event",
        "UPDATE login_event SET method = 'x'",
        "DELETE FROM account",
        "INSERT INTO deployment (mode, issuer) VALUES ('test', 'x')",
        "UPDATE alembic_version SET version_num = '0000'",
        "SELECT make_partitions_ahead('2026-06-01', 7)",
        "SELECT * FROM audit_event_2026_06",
        "SET ROLE idp_owner",
    ],
)
def test_who_serves_may_not(migrated: DatabaseUrls, statement: str) -> None:
    """Design §3: `idp_app` defines nothing, and appends to the record of what happened."""
    with psycopg.connect(migrated.app) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id integer)",
        "UPDATE audit_event SET kind = 'x'",
        "DELETE FROM audit_event",
        "INSERT INTO account (id) VALUES (gen_random_uuid())",
        "UPDATE account SET state = 'active'",
        "UPDATE password SET hash_sealed = ''",
        "UPDATE session SET account_id = gen_random_uuid()",
        "UPDATE client SET metadata = '{}'",
        "INSERT INTO evidence (id) VALUES (gen_random_uuid())",
        "INSERT INTO access_token (digest) VALUES ('')",
        "INSERT INTO signing_key (kid) VALUES ('x')",
        "UPDATE deployment SET mode = 'demo'",
        "DELETE FROM session",
        "SELECT hash_sealed FROM password",
        "SELECT secret_sealed FROM totp",
        "SELECT code_index FROM recovery_code",
        "SELECT digest FROM activation_code",
        "SELECT full_name FROM person",
        "SELECT number_sealed FROM person_number",
        "SELECT body FROM audit_event",
        "SELECT address FROM login_event",
    ],
)
def test_who_does_jobs_may_not(migrated: DatabaseUrls, statement: str) -> None:
    """Design §3: `idp_worker` delivers, ends and purges; it makes no account, no level, no credential."""
    with psycopg.connect(migrated.worker) as worker, pytest.raises(psycopg.errors.InsufficientPrivilege):
        worker.execute(statement)


def test_nothing_is_deleted_but_what_may_be_forgotten(migrated: DatabaseUrls) -> None:
    assert set(rows(migrated.owner, ALLOWED, ["idp_app", "DELETE"])) == {"client_assertion", "guess_allowance"} | QUEUE
    assert set(rows(migrated.owner, ALLOWED, ["idp_worker", "DELETE"])) == {
        "access_token", "client_assertion", "code", "family", "guess_allowance", "refresh_token",
    } | QUEUE  # fmt: skip


def test_who_does_jobs_reads_what_they_read_and_nothing_else(migrated: DatabaseUrls) -> None:
    """No password, no second factor, no person, no evidence, and nothing of the record."""
    assert set(rows(migrated.owner, ALLOWED, ["idp_worker", "SELECT"])) == {
        "access_token", "account", "account_lock", "client", "client_assertion", "code", "configuration_stamp", "deployment", "family",
        "guess_allowance", "logout_notice", "periodic_work", "refresh_token", "sealing_key", "session", "session_client", "signing_key",
    } | QUEUE  # fmt: skip
    views = ALLOWED.replace("('r', 'p')", "('v')")
    assert set(rows(migrated.owner, views, ["idp_worker", "SELECT"])) == {"account_alive", "session_alive"}


def test_which_schema_this_is_says_the_owner_alone(migrated: DatabaseUrls) -> None:
    """`idp check` reads it; a serving process that wrote it would make the next migration skip or repeat a step."""
    may = {(role, right): "alembic_version" in rows(migrated.owner, ALLOWED, [role, right])
           for role in ("idp_app", "idp_worker") for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")}  # fmt: skip
    assert {which for which, allowed in may.items() if allowed} == {("idp_app", "SELECT")}


@pytest.mark.parametrize("role", ["idp_app", "idp_worker"])
def test_the_record_is_appended_to_and_its_partitions_are_not_touched_directly(migrated: DatabaseUrls, role: str) -> None:
    may = {right: set(rows(migrated.owner, ALLOWED, [role, right])) for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")}
    assert "audit_event" in may["INSERT"]
    assert ("audit_event" in may["SELECT"]) == (role == "idp_app")
    assert not {table for table in may["UPDATE"] | may["DELETE"] | may["TRUNCATE"] if table.startswith(("audit_event", "login_event"))}
    partitions = {table for table in rows(migrated.owner, TABLES) if table.startswith(("audit_event_2", "login_event_2"))}
    assert partitions
    assert not partitions & (may["SELECT"] | may["INSERT"])


@pytest.mark.parametrize("role", ["app", "worker"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE deployment SET mode = mode",
        "UPDATE deployment SET issuer = issuer",
        "UPDATE deployment SET not_before = not_before",
        "INSERT INTO deployment (mode, issuer) VALUES ('demo', 'http://localhost')",
        "DELETE FROM deployment",
        "TRUNCATE deployment",
    ],
)
def test_the_mark_of_the_deployment_is_read_by_who_serves_and_written_by_the_owner_alone(
    migrated: DatabaseUrls, role: str, statement: str
) -> None:
    """Law 11: whoever takes a node over can neither move the mark nor bring back what everybody was told to forget."""
    with psycopg.connect(getattr(migrated, role)) as connection:
        connection.execute("SELECT mode, issuer, not_before FROM deployment")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
    with psycopg.connect(migrated.owner) as owner:
        owner.execute(statement)
        owner.rollback()


def test_nobody_else_may_do_anything(engines: Engines, migrated: DatabaseUrls) -> None:
    public = """
    SELECT c.relname FROM pg_class c, aclexplode(c.relacl) g
    WHERE c.relnamespace = 'public'::regnamespace AND g.grantee = 0 ORDER BY 1
    """
    assert rows(migrated.owner, public) == []
    with engines.connect_superuser("migrated") as superuser:
        assert superuser.execute("SELECT has_schema_privilege('idp_app', 'public', 'CREATE')").fetchone() == (False,)
        assert superuser.execute("SELECT has_schema_privilege('idp_worker', 'public', 'CREATE')").fetchone() == (False,)


def test_every_view_sees_with_the_eyes_of_who_asks(migrated: DatabaseUrls) -> None:
    """Design §3: a view that ran as its owner would go around row-level security."""
    blind = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
    AND NOT coalesce(reloptions @> ARRAY['security_invoker=true'], false)
    """
    views = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'"
    assert {"account_alive", "client_alive", "session_alive", "grant_alive"} <= set(rows(migrated.owner, views))
    assert rows(migrated.owner, blind) == []


def test_no_short_lived_row_points_into_a_partitioned_table(migrated: DatabaseUrls) -> None:
    """Design §3: no foreign key into a partitioned table, so that partitions can go."""
    pointing = """
    SELECT conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.confrelid
    WHERE k.contype = 'f' AND (c.relkind = 'p' OR c.relispartition)
    """
    assert rows(migrated.owner, pointing) == []


@pytest.mark.parametrize(("role", "setting", "value"), [
    ("app", "statement_timeout", "2500ms"), ("app", "lock_timeout", "1s"), ("app", "idle_in_transaction_session_timeout", "5s"),
    ("worker", "lock_timeout", "1s"), ("worker", "statement_timeout", "30s"),
])  # fmt: skip
def test_time_outs_stand_on_the_roles(migrated: DatabaseUrls, role: str, setting: str, value: str) -> None:
    """Design §3: PgBouncer refuses start-up options."""
    assert rows(getattr(migrated, role), f"SHOW {setting}") == [value]

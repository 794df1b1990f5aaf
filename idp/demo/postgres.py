"""The embedded PostgreSQL: its data folder, its settings, its start and its faults.

Owns one server under one folder, reached by a unix socket only. It must not know the roles and databases inside
(`roles`), nor where the programs come from (`programs`).

Who may log in is decided by the kernel: the socket answers only to processes of the launcher's own account (`peer`
through a map that names it), whatever the permissions of the folders around it, with no password anywhere. That holds
also where root launches and the server runs as another account.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from idp.demo.children import Account, ChildFailed, Tree, spawn, wait_until
from idp.reference.model import is_digits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from idp.demo.programs import PostgresPrograms

SUPERUSER = "postgres"
BUILT_IN_LOCALES_SINCE = 17
LOG_KEPT = 8 * 1024 * 1024
"""Bytes of a log that are kept when a server starts; a longer one is set aside once."""

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",  # short statements only: compiling one costs more than it runs
    "wal_sync_method": "open_datasync",  # as durable, and a commit costs a tenth less processor time than with fdatasync (measured)
    "commit_delay": "500",  # µs: while others commit too, one write to disk serves several; nothing is answered before it is there
    "commit_siblings": "1",
    "update_process_title": "off",  # written twice for each statement otherwise, and nobody looks
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_error_verbosity": "terse",  # the details of an error quote values of rows, which may be a person's
}
"""What differs from PostgreSQL's defaults, which are durable: fsync, synchronous commit and full pages stay on."""

HASTY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For servers that live as long as one test run: a crash of the machine may lose or spoil everything."""


class Postgres:
    """One PostgreSQL server of its own, below `home`, with its socket in `sockets`."""

    def __init__(
        self, home: Path, sockets: Path, programs: PostgresPrograms, account: Account | None, *, durable: bool
    ) -> None:
        """Describe the server; nothing is made or started."""
        self.sockets = sockets
        self._home = home
        self._folder = home / "postgres"
        self._log = home / "log" / "postgres.log"
        self._programs = programs
        self._account = account
        self._durable = durable
        self.tree = Tree("PostgreSQL", home / "postgres.lock", ends_on=signal.SIGINT)  # "fast": sessions are cut

    def prepare(self) -> None:
        """Make the data folder on the first run, and see to it that nothing left over blocks a start.

        Raises ChildFailed, saying what is wrong with the folder.
        """
        lock = self.tree.claim()  # nothing of an earlier run is alive from here on
        try:
            if not (self._folder / "PG_VERSION").exists():
                self._initialize(lock)
        finally:
            os.close(lock)
        made_by = int((self._folder / "PG_VERSION").read_text().split()[0])
        if made_by != self._programs.major:
            raise ChildFailed(
                f"{self._folder} was made by PostgreSQL {made_by}, but version {self._programs.major} is what runs here: "
                "remove the folder to begin anew"
            )
        give(self._folder, self._account)
        self._remove_stale_pid_file()
        self._write_access_rules()

    def begin(self) -> None:
        """Start the server without waiting until it answers."""
        self._remove_stale_pid_file()
        settings = SETTINGS | {"unix_socket_directories": str(self.sockets)}
        if not self._durable:
            settings |= HASTY_SETTINGS
        with open_log(self._log) as output, reach(self._folder, self._account) as (folder, inherited):
            command: list[str | Path] = [self._programs.folder / "postgres", "-D", folder]
            for name, value in settings.items():
                command += ["-c", f"{name}={value}"]
            self.tree.start(command, directory=Path("/"), output=output, account=self._account, inherited=inherited)

    def wait_ready(self, *, within: float = 60.0) -> None:
        """Return when the server takes connections; Raises ChildFailed with its last words when it does not."""
        wait_until(lambda: self._is_ready() or not self.tree.runs, within=within)
        if not self._is_ready():
            raise ChildFailed(f"PostgreSQL did not start: {read_last_line(self._log)} (more in {self._log})")

    def url(self, role: str, database: str) -> str:
        """Return the address of `database` for `role`, in libpq's spelling."""
        return f"postgresql://{role}@/{database}?host={self.sockets}"

    def _is_ready(self) -> bool:
        """Read the server's own word on it: the eighth line of its pid file."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            lines = (self._folder / "postmaster.pid").read_text().splitlines()
            return self.tree.runs and int(lines[0]) == self.tree.pid and lines[7].strip() == "ready"
        return False

    def _initialize(self, lock: int) -> None:
        """Make the data folder beside its place and move it there whole, so that a killed first run leaves no half."""
        fresh = self._home / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        give(fresh, self._account)
        command: list[str | Path] = [self._programs.folder / "initdb"]
        command += ["--username", SUPERUSER, "--encoding", "UTF8", "--auth", "peer", "--no-instructions", "--data-checksums"]
        if self._programs.major >= BUILT_IN_LOCALES_SINCE:
            command += ["--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
        else:
            command += ["--locale", "C.UTF-8"]
        if not self._durable:
            command += ["--no-sync"]
        with open_log(self._log) as output, reach(fresh, self._account) as (folder, inherited):
            process = spawn(
                [*command, "-D", folder],
                on_launcher_death=signal.SIGTERM,
                output=output,
                directory=Path("/"),
                account=self._account,
                inherited=[lock, *inherited],
            )
            if process.wait() != 0:
                raise ChildFailed(f"initdb failed: {read_last_line(self._log)} (more in {self._log})")
        if self._folder.exists():
            shutil.rmtree(self._folder)  # it has no PG_VERSION, so no server ever ran in it
        fresh.rename(self._folder)

    def _remove_stale_pid_file(self) -> None:
        """Remove the pid file of a server that is gone, which blocks a start once its pid belongs to another process.

        Called when no process of ours is alive; a server that somebody else started here is left alone.
        """
        pid_file = self._folder / "postmaster.pid"
        if not pid_file.exists() or not sys.platform.startswith("linux"):
            return
        pid = pid_file.read_text().split("\n", 1)[0].strip().lstrip("-")
        with contextlib.suppress(OSError):
            if is_digits(pid) and Path(f"/proc/{pid}/cwd").readlink() == self._folder.resolve():
                raise ChildFailed(f"another PostgreSQL (process {pid}) uses {self._folder}: stop it, then start again")
        pid_file.unlink()

    def _write_access_rules(self) -> None:
        try:
            launcher = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError as error:
            raise ChildFailed(f"account {os.geteuid()} has no name on this machine: add it to /etc/passwd") from error
        rules = "local all all peer map=launcher\nlocal replication all peer map=launcher\n"
        identities = f'launcher "{launcher}" /.*\n'
        if self._programs.major < 16:  # noqa: PLR2004 - patterns for roles came with version 16
            roles = (SUPERUSER, "idp_owner", "idp_app", "idp_worker")
            identities = "".join(f'launcher "{launcher}" {role}\n' for role in roles)
        for name, text in (("pg_hba.conf", rules), ("pg_ident.conf", identities)):
            (self._folder / name).write_text(text)
            give(self._folder / name, self._account)


def give(path: Path, account: Account | None) -> None:
    """Make `account` the owner of `path` and everything in it; nothing to do when it is already.

    Raises ChildFailed when another account owns it and the launcher may not change that.
    """
    owner = os.geteuid() if account is None else account.uid
    group = os.getegid() if account is None else account.gid
    if path.lstat().st_uid == owner:
        return
    if os.geteuid() != 0:
        raise ChildFailed(f"{path} belongs to another account: remove it to begin anew, or run as that account")
    for folder, _, files in os.walk(path):
        os.chown(folder, owner, group, follow_symlinks=False)
        for name in files:
            os.chown(Path(folder) / name, owner, group, follow_symlinks=False)
    os.chown(path, owner, group, follow_symlinks=False)


@contextlib.contextmanager
def reach(folder: Path, account: Account | None) -> Iterator[tuple[Path, list[int]]]:
    """Lend a name for `folder` that a child under `account` can use, and the descriptors it must inherit for that.

    Another account may lack the right to walk the path to it, so that child is given the folder already open.
    """
    if account is None:
        yield folder, []
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}"), [descriptor]
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def open_log(path: Path) -> Iterator[IO[bytes]]:
    """Open a log for appending; one that has grown too long is set aside first."""
    if path.exists() and path.stat().st_size > LOG_KEPT:
        path.replace(path.with_suffix(".log.1"))
    with path.open("ab") as output:
        path.chmod(0o600)
        yield output


def read_last_line(path: Path) -> str:
    """Return the last line of a log, or an empty string."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return lines[-1] if lines else ""

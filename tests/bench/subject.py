"""What the benchmark must know about whatever it measures, and the two things every subject needs: cores and a process.

Owns the contract between the load and a provider. A new provider to measure is one class that fulfils `Subject`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

START_SECONDS = 240.0
STOP_SECONDS = 20.0


class SubjectFailedError(Exception):
    """A subject did not start, or ended by itself."""


@dataclass(frozen=True, slots=True)
class Client:
    """The relying party the load plays: `client_secret_basic`, code and refresh and client credentials, ES256."""

    client_id: str
    secret: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Person:
    """A synthetic person who can sign in with a password and, where asked for, a one-time code."""

    username: str
    password: str
    totp_secret: str


@dataclass(frozen=True, slots=True)
class Service:
    """A running subject: its issuer, whom it knows, and the class that makes it ask for a one-time code too."""

    issuer: str
    client: Client
    people: tuple[Person, ...]
    totp_class: str


@dataclass(frozen=True, slots=True)
class ProcessGroups:
    """The living processes of a subject: what serves, and what stores."""

    server: frozenset[int]
    stores: frozenset[int]


class Subject(Protocol):
    """A provider that can be started, loaded and measured. Its addresses come from its discovery document."""

    @property
    def name(self) -> str:
        """The name in results and tables."""

    def start(self) -> Service:
        """Start server and stores on a fresh folder, make client and people, and return when it answers."""

    def stop(self) -> None:
        """End every process that `start` began."""

    def find_processes(self) -> ProcessGroups:
        """Return its processes as they are now."""

    def versions(self) -> Mapping[str, str]:
        """Return the versions of what it runs on, for the results."""


@contextmanager
def pinned(cores: frozenset[int] | None) -> Iterator[None]:
    """Let processes that are started inside run on these cores only; None leaves them free."""
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start_process(
    command: list[str], *, cores: frozenset[int] | None, log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own; what it says on standard error goes to `log`."""
    with pinned(cores), log.open("ab") as errors:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )


def read_json_document(process: subprocess.Popen[bytes], log: Path) -> dict[str, object]:
    """Read standard output line by line until it holds one whole JSON document, and return it.

    Lines before the document that do not begin one are passed over, so that a command may say what it is doing.
    """
    output: IO[bytes] | None = process.stdout
    if output is None:
        message = "the process was started without a pipe"
        raise SubjectFailedError(message)
    watch = threading.Timer(START_SECONDS, process.kill)
    watch.start()
    try:
        document = _first_document(output)
    finally:
        watch.cancel()
    if document is None:
        message = f"ended without a JSON document; its last words: {log.read_text(errors='replace')[-2000:]}"
        raise SubjectFailedError(message)
    # Whatever it says later goes to the log too: a full pipe would stop it.
    threading.Thread(target=_drain, args=(output, log), daemon=True).start()
    return document


def _first_document(output: IO[bytes]) -> dict[str, object] | None:
    gathered = ""
    for line in output:
        text = line.decode(errors="replace")
        if not gathered and not text.lstrip().startswith("{"):
            continue
        gathered += text
        try:
            document = json.loads(gathered)
        except json.JSONDecodeError:
            continue
        if isinstance(document, dict):
            return document
    return None


def _drain(output: IO[bytes], log: Path) -> None:
    with log.open("ab") as kept:
        for line in output:
            kept.write(line)


def stop_process(process: subprocess.Popen[bytes] | None) -> None:
    """End a process kindly, and its whole session by force where kindness takes too long."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for_file(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a starting process has made `path` (a socket), or fail with it."""
    deadline = time.monotonic() + START_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            message = f"{process.args!r} did not make {path.name}"
            raise SubjectFailedError(message)
        time.sleep(0.02)

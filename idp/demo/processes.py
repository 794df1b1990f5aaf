"""The processes of `make run`: started in order, watched together, stopped in reverse order.

Owns their life and their output. It must not know what they serve.

A child that dies by itself takes all others with it: half a run that looks like a whole one teaches nothing. Ctrl-C
and SIGTERM stop every child by its pid, politely first; a second Ctrl-C does not wait.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from subprocess import Popen
from typing import Self, TextIO
from urllib.parse import urlsplit

from idp.demo.children import ChildFailed, send, spawn, wait_until

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WATCH_FOR = 0.5
"""Seconds between two looks at the engines, which are watched by asking; children report their own end."""


@dataclass(frozen=True)
class Program:
    """What to run under which name, and the address that answers 200 once it is ready (None: ready at once)."""

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_url: str | None = None
    directory: Path | None = None


class Stopped(Exception):
    """The person at the terminal, or the system, asked everything to stop."""


class Supervisor:
    """The children of one launcher. Use it as a `with` block around `start` and `watch`; leaving it stops them all."""

    def __init__(self, *, output: TextIO | None = None, stop_within: float = 10.0) -> None:
        """Begin with no child. `stop_within` is how many seconds a child gets between SIGTERM and SIGKILL."""
        self._output = output or sys.stdout
        self._stop_within = stop_within
        self._children: list[tuple[str, Popen[bytes], threading.Thread]] = []
        self._events: SimpleQueue[str | None] = SimpleQueue()  # the name of a child that ended; None for a signal
        self._speaking = threading.Lock()
        self._former_handlers: dict[signal.Signals, object] = {}
        self._signals = 0
        self._stopping = False

    def __enter__(self) -> Self:
        """Take over the signals that mean stop; only the main thread may."""
        for number in STOP_SIGNALS:
            self._former_handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop every child in reverse order and give the signals back."""
        try:
            self.stop()
        finally:
            for number, handler in self._former_handlers.items():
                signal.signal(number, handler)  # type: ignore[arg-type]  # what the same call returned

    def start(self, *programs: Program, ready_within: float = 60.0) -> None:
        """Start children side by side and return when all are ready.

        Raises ChildFailed when one ends or is not ready within so many seconds, Stopped when a signal came first.
        """
        deadline = time.monotonic() + ready_within
        for program in programs:
            self._spawn(program)
        for program in programs:
            if program.ready_url is not None:
                self._wait_ready(program.name, program.ready_url, deadline, ready_within)

    def _spawn(self, program: Program) -> None:
        reading, writing = os.pipe()
        try:
            process = spawn(
                program.command,
                on_launcher_death=signal.SIGTERM,
                output=writing,
                directory=program.directory,
                environment=program.environment,
            )
        except OSError as error:
            os.close(reading)
            raise ChildFailed(f"{program.name} cannot be started: {error}") from error
        finally:
            os.close(writing)
        relay = threading.Thread(target=self._relay, args=(program.name, reading), daemon=True)
        relay.start()
        self._children.append((program.name, process, relay))
        threading.Thread(target=self._report_end, args=(program.name, process), daemon=True).start()

    def watch(self, engines: Callable[[], Mapping[str, bool]] | None = None) -> int:
        """Block until a signal comes (returns 0) or a child or an engine ends by itself (says which, returns 1).

        `engines` answers which engines are alive, by name.
        """
        try:
            while True:
                self._look(timeout=WATCH_FOR)
                dead = [name for name, alive in (engines() if engines is not None else {}).items() if not alive]
                if dead:
                    return self._give_up(f"{dead[0]} ended unexpectedly")
        except Stopped:
            return 0
        except ChildFailed as failure:
            return self._give_up(failure.detail)

    def stop(self) -> None:
        """Stop every child, the last one started first; SIGKILL for one that takes too long, or at a second signal."""
        self._stopping = True
        while self._children:
            name, process, relay = self._children.pop()
            ended = self._ask_to_end(process)
            if not ended:
                self.say("run", f"{name} did not stop; killing it")
            _kill_group(process)
            relay.join(timeout=1.0)

    def say(self, name: str, line: str) -> None:
        """Print one line under a name, whole even when several speak at once."""
        with self._speaking:
            print(f"{name:<10} | {line}", file=self._output, flush=True)

    def _ask_to_end(self, process: Popen[bytes]) -> bool:
        if process.poll() is None:
            send(signal.SIGTERM, [process.pid])
        wait_until(lambda: process.poll() is not None or self._signals > 1, within=self._stop_within)
        return process.poll() is not None

    def _give_up(self, reason: str) -> int:
        self.say("run", f"{reason}; stopping everything")
        return 1

    def _look(self, *, timeout: float) -> None:
        """Return after `timeout` seconds in which nothing happened; Raises Stopped or ChildFailed when it did."""
        with contextlib.suppress(Empty):
            name = self._events.get(timeout=timeout)
            if name is None:
                raise Stopped
            code = next((process.returncode for known, process, _ in self._children if known == name), None)
            raise ChildFailed(f"{name} ended unexpectedly ({_describe(code)})")

    def _wait_ready(self, name: str, url: str, deadline: float, within: float) -> None:
        while not answers(url):
            if time.monotonic() >= deadline:
                raise ChildFailed(f"{name} did not answer at {url} within {within:.0f} seconds")
            self._look(timeout=0.05)

    def _relay(self, name: str, reading: int) -> None:
        with os.fdopen(reading, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self.say(name, line.rstrip("\n"))

    def _report_end(self, name: str, process: Popen[bytes]) -> None:
        process.wait()
        if not self._stopping:
            self._events.put(name)

    def _on_signal(self, number: int, frame: object) -> None:
        del number, frame
        self._signals += 1
        self._events.put(None)


def answers(url: str) -> bool:
    """Return whether `url` answers a GET with 200 within two seconds; plain http only, since it never leaves the machine."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "localhost", place.port or 80, timeout=2.0)
    try:
        connection.request("GET", place.path or "/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _kill_group(process: Popen[bytes]) -> None:
    """Kill a child that will not end, and what an ended one left behind: each child leads a process group of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _describe(code: int | None) -> str:
    if code is None:
        return "its exit code is unknown"
    if code < 0:
        return f"by signal {signal.Signals(-code).name}"
    return f"exit code {code}"

"""Child processes: started so that they die with their launcher, found again when they did not, ended by pid.

Owns spawning, the lock files that say whether a tree of processes still lives, and signals to a whole tree. It must
not know what the children are.

Two means keep a killed launcher from blocking the next one. The kernel signals a child when its launcher dies
(Linux), and every process of a child's tree inherits a locked file, so that the lock is free exactly when the last
of them is gone: no stale pid file can lie about it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from idp.kernel.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

BARE_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""What an engine is given of the launcher's environment: nothing, since that may hold secrets (law 11)."""

POLL_FOR = 0.01
"""Seconds between two looks at a condition that has no event of its own."""

_PR_SET_PDEATHSIG = 1
_ON_LINUX = sys.platform.startswith("linux")
_LIBC = ctypes.CDLL(None, use_errno=True)

# The kernel sends the death signal when the *thread* that forked ends. One thread that lives as long as the process
# does all the forking, so that a caller may start children from a thread that ends.
_forker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")


class ChildFailed(Refusal):
    """A child process did not start, or did not end when it was told to."""

    code = "demo.child_failed"


@dataclass(frozen=True)
class Account:
    """The system account that a child runs under when the launcher is root."""

    name: str
    uid: int
    gid: int


def spawn(
    command: Sequence[str | Path],
    *,
    on_launcher_death: signal.Signals,
    output: int | IO[bytes],
    directory: Path | None = None,
    account: Account | None = None,
    environment: Mapping[str, str] = BARE_ENVIRONMENT,
    inherited: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, so that Ctrl-C reaches the launcher alone.

    `directory` becomes its working directory before it takes on `account`, so it may lie where that account could
    not walk to. Raises OSError when the program cannot be executed.
    """
    prepare = _die_with_launcher(on_launcher_death)
    switch: dict[str, object] = {}
    if account is not None:
        switch = {"user": account.uid, "group": account.gid, "extra_groups": []}

    def fork() -> subprocess.Popen[bytes]:
        # Python 3.12 and later warn of any code between fork and execution in a process with threads.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return start()

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # options as they come  # noqa: S603 - the command is ours
            [str(word) for word in command],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(inherited),
            preexec_fn=prepare,  # noqa: PLW1509 - it calls the kernel, takes no lock and imports nothing
            umask=0o077,
            **switch,
        )

    return _forker.submit(fork).result()


def _die_with_launcher(number: signal.Signals) -> Callable[[], None] | None:
    """Return what the child runs before it executes its program, or None where the kernel offers no such signal."""
    if not _ON_LINUX:
        return None
    launcher = os.getpid()

    def prepare() -> None:
        # Runs after the account was switched, which would have cleared the setting.
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != launcher:  # it died before the line above
            os._exit(1)

    return prepare


def take_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock on `path`, or None while another process holds it.

    The lock lasts until every copy of the descriptor is closed, copies inherited by children included.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def find_children(pid: int) -> list[int]:
    """Return the pids of the direct children of `pid`."""
    if not _ON_LINUX:
        listing = subprocess.run(["/bin/ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True)
        pairs = (line.split() for line in listing.stdout.splitlines())
        return [int(child) for child, parent in pairs if int(parent) == pid]
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            # The name stands in parentheses and may hold anything, so fields are counted after the last one.
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                children.append(int(stat.parent.name))
    return children


def find_holders(lock: Path) -> list[int]:
    """Return the pids of the processes that keep `lock` open, without this one."""
    if not _ON_LINUX:
        with contextlib.suppress(OSError, ValueError):
            return [int(lock.read_text())]
        return []
    found = set()
    wanted = str(lock.resolve())
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or belongs to somebody else
            if str(link.readlink()) == wanted:
                found.add(int(link.parent.parent.name))
    return sorted(found - {os.getpid()})


def send(number: signal.Signals, pids: Sequence[int]) -> None:
    """Signal every one of `pids` that still lives."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_until(condition: Callable[[], bool], *, within: float) -> bool:
    """Return whether `condition` came true within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_FOR)
    return True


class Tree:
    """One engine: a process and what it forks, whose life is told by a lock file that all of them inherit."""

    def __init__(self, name: str, lock: Path, *, ends_on: signal.Signals) -> None:
        """Describe the tree; nothing is started. `ends_on` is the signal on which it shuts down in order."""
        self.name = name
        self._lock = lock
        self._ends_on = ends_on
        self.process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        command: Sequence[str | Path],
        *,
        directory: Path,
        output: IO[bytes],
        account: Account | None,
        inherited: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Start the tree once every process of an earlier one is gone; Raises ChildFailed when they will not go."""
        descriptor = self.claim()
        try:
            self.process = spawn(
                command,
                on_launcher_death=self._ends_on,
                output=output,
                directory=directory,
                account=account,
                inherited=[descriptor, *inherited],
            )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{self.process.pid}\n".encode(), 0)
        except OSError as error:
            raise ChildFailed(f"{self.name} cannot be started: {error}") from error
        finally:
            os.close(descriptor)
        return self.process

    def claim(self) -> int:
        """Return a descriptor of the lock, ending what an earlier launcher left behind.

        Those processes were told to end when their launcher died, so they get time first, then a signal, then
        SIGKILL. Raises ChildFailed when even that did not free the lock.
        """
        for number, patience in ((None, 3.0), (self._ends_on, 10.0), (signal.SIGKILL, 5.0)):
            if number is not None:
                holders = find_holders(self._lock)
                send(number, holders)
                send(signal.SIGCONT, holders)
            deadline = time.monotonic() + patience
            while True:
                descriptor = take_lock(self._lock)
                if descriptor is not None:
                    return descriptor
                if time.monotonic() >= deadline:
                    break
                time.sleep(POLL_FOR)
        raise ChildFailed(
            f"an earlier {self.name} still runs and will not end: stop processes {find_holders(self._lock)}, then start again"
        )

    @property
    def pid(self) -> int:
        """The pid of the first process of the tree; Raises ChildFailed when the tree was not started."""
        if self.process is None:
            raise ChildFailed(f"{self.name} does not run")
        return self.process.pid

    @property
    def runs(self) -> bool:
        """Whether the first process of the tree is alive."""
        return self.process is not None and self.process.poll() is None

    def pids(self) -> list[int]:
        """Return the pids of the whole tree, the first process first."""
        return [self.pid, *find_children(self.pid)]

    def freeze(self) -> None:
        """Stop every process of the tree with SIGSTOP: connections stay open and nothing answers."""
        send(signal.SIGSTOP, [self.pid])  # first, so that it forks no more
        send(signal.SIGSTOP, find_children(self.pid))

    def thaw(self) -> None:
        """Let a frozen tree go on."""
        send(signal.SIGCONT, self.pids())

    def ask_to_end(self) -> None:
        """Tell the tree to shut down in order, and return at once."""
        if self.runs:
            self.thaw()
            send(self._ends_on, [self.pid])

    def end(self, *, within: float = 20.0) -> None:
        """Shut the tree down in order; after `within` seconds, kill it."""
        self.ask_to_end()
        if self.process is not None and not wait_until(lambda: not self.runs, within=within):
            self.kill()
        self._wait_gone()

    def kill(self) -> None:
        """End every process of the tree at once, as a loss of power would; return when all are gone."""
        if self.process is not None and self.runs:
            victims = self.pids()
            send(signal.SIGKILL, victims)
            self.process.wait()
        self._wait_gone()

    def _wait_gone(self) -> None:
        os.close(self.claim())
        self.process = None

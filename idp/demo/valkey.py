"""The embedded Valkey: its settings, its start and its faults. It must not know what is kept in it.

Reached by a unix socket only, which lies in a folder that no other account may enter.
"""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

from idp.demo.children import Account, ChildFailed, Tree, wait_until
from idp.demo.postgres import give, open_log, read_last_line

if TYPE_CHECKING:
    from pathlib import Path

UNDOING_COMMANDS = ("FLUSHALL", "FLUSHDB", "CONFIG")
"""Commands that undo what the provider counts on; they are renamed away unless a test needs them."""


class Valkey:
    """One Valkey server of its own, below `home`, with its socket in `sockets`."""

    def __init__(
        self, home: Path, sockets: Path, program: Path, account: Account | None, *, durable: bool, flushable: bool
    ) -> None:
        """Describe the server; nothing is made or started."""
        self.socket = sockets / "valkey.sock"
        self._folder = home / "valkey"
        self._log = home / "log" / "valkey.log"
        self._program = program
        self._account = account
        self._durable = durable
        self._flushable = flushable
        self.tree = Tree("Valkey", home / "valkey.lock", ends_on=signal.SIGTERM)

    def begin(self) -> None:
        """Start the server without waiting until it answers."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        give(self._folder, self._account)
        self.socket.unlink(missing_ok=True)
        command: list[str | Path] = [self._program, "--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "700"]
        command += ["--dir", ".", "--save", "", "--appendonly", "yes" if self._durable else "no"]
        command += ["--maxmemory", "256mb", "--maxmemory-policy", "noeviction"]  # an evicted counter would be a fresh guess
        if not self._flushable:
            for name in UNDOING_COMMANDS:
                command += ["--rename-command", name, ""]
        with open_log(self._log) as output:
            self.tree.start(command, directory=self._folder, output=output, account=self._account)

    def wait_ready(self, *, within: float = 60.0) -> None:
        """Return when the server answers; Raises ChildFailed with its last words when it does not."""
        wait_until(lambda: self._is_ready() or not self.tree.runs, within=within)
        if not self._is_ready():
            raise ChildFailed(f"Valkey did not start: {read_last_line(self._log)} (more in {self._log})")

    @property
    def url(self) -> str:
        """The address of the server, in the spelling of redis-py."""
        return f"unix://{self.socket}"

    def _is_ready(self) -> bool:
        """Ask it: while it reads its log of appended commands it answers LOADING instead."""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1.0)
                probe.connect(str(self.socket))
                probe.sendall(b"PING\r\n")
                return probe.recv(64).startswith(b"+PONG")
        except OSError:
            return False

"""An engine that answers, but late."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path


class Delay:
    """Stands between the provider and an engine's Unix socket, and lets what is sent to the engine wait.

    Whatever arrives there is delivered, also when the sender has given up meanwhile, as over a slow network.
    """

    def __init__(self, engine: Path) -> None:
        """Listen under the name of the engine's own socket, in a folder of its own."""
        self.seconds = 0.0
        self._folder = tempfile.TemporaryDirectory(prefix="motcua-delay-")
        self._engine = engine
        self.socket = Path(self._folder.name) / engine.name
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.socket))
        self._listening.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._connect, args=self._listening.accept()[:1], daemon=True).start()

    def _connect(self, caller: socket.socket) -> None:
        with caller, socket.socket(socket.AF_UNIX) as engine:
            try:
                engine.connect(str(self._engine))
            except OSError:
                return
            answers = threading.Thread(target=self._carry, args=(engine, caller, False), daemon=True)
            answers.start()
            self._carry(caller, engine, True)
            answers.join()

    def _carry(self, source: socket.socket, target: socket.socket, waits: bool) -> None:
        with suppress(OSError):
            while carried := source.recv(65536):
                arrived = time.monotonic()
                while waits and time.monotonic() < arrived + self.seconds:
                    time.sleep(0.01)
                target.sendall(carried)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._folder.cleanup()

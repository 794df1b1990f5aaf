"""A portal's back-channel logout receiver on loopback, which answers as badly as it is told to.

The last part of the path names the portal; what it answers is set by name: `ok`, `500`, `400`, `redirect`, `huge` (200 and a body
without end), `drip` (200, a byte at a time, without end), `hang` (never answers).
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True)
class Received:
    """One request as it came, and when (monotonic seconds)."""

    path: str
    form: dict[str, list[str]]
    headers: dict[str, str]
    at: float


class PortalSink(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1 while its `with` block lasts."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, modes: dict[str, list[str]] | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        """Answer each portal by its list of modes in order, the last one for ever; `ok` for those not named."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scheme = "http" if tls is None else "https"
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.modes = {name: list(each) for name, each in (modes or {}).items()}
        self.received: dict[str, list[Received]] = defaultdict(list)
        self.closing = threading.Event()
        self._changed = threading.Condition()

    @property
    def origin(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def url(self, name: str) -> str:
        return f"{self.origin}/{name}"

    def note(self, name: str, received: Received) -> str:
        with self._changed:
            self.received[name].append(received)
            self._changed.notify_all()
            modes = self.modes.get(name, ["ok"])
            return modes.pop(0) if len(modes) > 1 else modes[0]

    def wait_for(self, names: Iterable[str], *, seconds: float, times: int = 1) -> bool:
        """Return whether every portal of `names` was called that often within `seconds`."""
        wanted = list(names)
        with self._changed:
            return self._changed.wait_for(lambda: all(len(self.received[name]) >= times for name in wanted), timeout=seconds)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers hang up: that is what they are here for."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, name="portal-sink")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: PortalSink
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        name = self.path.strip("/")
        mode = self.server.note(name, Received(self.path, parse_qs(body), dict(self.headers), time.monotonic()))
        if mode == "hang":
            self.server.closing.wait()
        elif mode == "redirect":
            self._answer(302, b"", Location=self.server.url("elsewhere"))
        elif mode in {"huge", "drip"}:
            self._pour(b"x" * 65536 if mode == "huge" else b"x", pause=0.0 if mode == "huge" else 0.05)
        else:
            self._answer(200 if mode == "ok" else int(mode), b"")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pour(self, drop: bytes, *, pause: float) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()
        while not self.server.closing.wait(pause):
            self.wfile.write(drop)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing."""

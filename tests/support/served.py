"""The provider as operators run it: its own processes behind its own port, on the engines of the test."""

from __future__ import annotations

import base64
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from idp.demo.engines import DatabaseUrls, Engines
from idp.kernel.clock import SystemClock
from idp.keys.model import KeyEncryption
from idp.keys.service import KeyKeeper
from idp.storage.postgres import Database
from tests.support.provider import OPERATOR

READY_WITHIN = 30.0


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Served:
    """A serving provider: a master and its worker processes."""

    engines: Engines
    urls: DatabaseUrls
    workers: int = 2
    threads: int = 4
    extra: Mapping[str, str] = field(default_factory=dict)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="motcua-served-")))

    def __post_init__(self) -> None:
        self.port = free_port()
        self.issuer = f"http://localhost:{self.port}"
        self.host = f"localhost:{self.port}"
        self.wrapping = os.urandom(32)
        self.offset_file = self.folder / "clock-offset"
        self.log = self.folder / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The settings it is started with."""
        return {
            "IDP_MODE": "test",
            "IDP_ISSUER": self.issuer,
            "IDP_BIND": f"127.0.0.1:{self.port}",
            "IDP_DATABASE_URL": self.urls.app,
            "IDP_DATABASE_OWNER_URL": self.urls.owner,
            "IDP_DATABASE_WORKER_URL": self.urls.worker,
            "IDP_REDIS_URL": self.engines.redis_url,
            "IDP_KEY_ENCRYPTION_KEYS": "test:" + base64.urlsafe_b64encode(self.wrapping).decode(),
            "IDP_CLOCK_OFFSET_FILE": str(self.offset_file),
            "IDP_WORKERS": str(self.workers),
            "IDP_THREADS": str(self.threads),
            "IDP_VAR": str(self.folder),
            **self.extra,
        }

    def make_keys(self) -> None:
        """Make the first signing and sealing keys."""
        owner = Database(self.urls.owner)
        KeyKeeper(owner, KeyEncryption({"test": self.wrapping}), SystemClock()).make_first_keys(OPERATOR)
        owner.close()

    def start(self) -> Served:
        """Start serving, and wait until it is ready."""
        self.begin()
        self.wait_ready()
        return self

    def begin(self) -> None:
        """Start serving, and wait for nothing."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from idp.settings import read_settings; from idp.app import serve; serve(read_settings())"],
                env=inherited | self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Wait until every check of readiness passes."""
        until = time.monotonic() + READY_WITHIN
        while time.monotonic() < until:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            try:
                if self.get("/health/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        message = f"not ready: {self.log.read_text()[-3000:]}"
        raise AssertionError(message)

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        """Send a GET and return status, headers (lower case) and body."""
        return self.request("GET", target, None, headers)

    def post(self, target: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        """Send a form and return status, headers (lower case) and body."""
        sent = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.request("POST", target, urlencode(form), sent)

    def request(
        self, method: str, target: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.request(method, target, body, {"Host": self.host, **(headers or {})})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def worker_pids(self) -> list[int]:
        """Return the process ids of the workers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii").split()
        named = [(int(pid), Path(f"/proc/{pid}/cmdline").read_bytes()) for pid in children]
        return [pid for pid, command in named if not re.search(rb"resource_tracker|semaphore_tracker", command)]

    def kill(self) -> None:
        """Kill everything at once, as a power failure would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Have it drain and stop."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()

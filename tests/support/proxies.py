"""The proxies of `docker/`, started as they are configured there, in front of whatever a test puts behind them.

Only what is particular to a place is filled in: the name, ports, paths, certificate, and the server behind. Whatever else a
configuration says is what is tested.
"""

from __future__ import annotations

import http.client
import http.server
import io
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from idp.demo.engines import DatabaseUrls, Engines
from idp.kernel.clock import SystemClock
from tests.support.provider import Answered
from tests.support.served import Served, free_port

CONFIGURATIONS: Final = Path(__file__).parents[2] / "docker"
NAME: Final = "id.example.localhost"
"""What stands for `id.example.test`: a name of loopback, which test mode allows."""
CLIENT: Final = "127.9.0.2"
"""From where the tests call: another address of loopback than the one that proxies call from."""
_READY_WITHIN: Final = 10.0
_FOLDERS: Final = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return a configuration with its places filled in; each has to be there."""
    for place, value in values.items():
        assert place in text, f"the configuration no longer says {place!r}"
        text = text.replace(place, value)
    return text


@dataclass
class Proxy:
    """A running proxy."""

    kind: str
    port: int
    tls_port: int
    certificate: Path
    process: subprocess.Popen[bytes]
    log: Path

    def connect(self, source: str = CLIENT) -> ssl.SSLSocket:
        """Return a TLS connection from the address `source`."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        plain = socket.create_connection(("127.0.0.1", self.tls_port), timeout=15, source_address=(source, 0))
        return context.wrap_socket(plain, server_hostname=NAME)

    def connect_plainly(self) -> socket.socket:
        """Return a connection without TLS."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=15, source_address=(CLIENT, 0))

    def send(self, raw: bytes, source: str = CLIENT) -> Answered:
        """Send the bytes of one request as they stand, over https; whoever is refused early may be hung up on before all is sent."""
        with self.connect(source) as connection:
            with suppress(OSError):
                connection.sendall(raw)
            return read_answer(connection, raw.partition(b" ")[0].decode())

    def call(
        self,
        method: str,
        target: str,
        form: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
        source: str = CLIENT,
    ) -> Answered:
        """Send one request over https, as a browser or a portal would."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers or []
        body = urlencode(form).encode() if form is not None else b""
        if form is not None:
            pairs = [*pairs, ("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", str(len(body)))]
        return self.send(request_of(method, target, pairs) + body, source)

    def stop(self) -> None:
        """End it, and wait."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


@dataclass
class Through:
    """The provider as a browser or a portal reaches it: through a proxy."""

    proxy: Proxy
    clock: SystemClock

    def call(self, method: str, target: str, form: dict[str, str] | None = None, *, headers: dict[str, str] | None = None) -> Answered:
        """Send one request and return the answer."""
        return self.proxy.call(method, target, form, headers=headers)


@contextmanager
def served_behind(engines: Engines, urls: DatabaseUrls) -> Iterator[Served]:
    """Lend a served provider that believes whoever calls from 127.0.0.1, as the proxies do."""
    served = Served(engines, urls, workers=1, extra={"IDP_TRUSTED_PROXIES": "127.0.0.1/32"})
    served.issuer, served.host = f"https://{NAME}", NAME
    served.make_keys()
    served.start()
    try:
        yield served
    finally:
        served.stop()


def request_of(method: str, target: str, headers: list[tuple[str, str]]) -> bytes:
    """Return the head of a request to the provider's name, after which the connection ends."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {NAME}", "Connection: close", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_answer(connection: socket.socket, method: str = "GET") -> Answered:
    """Return the answer that comes; status 0 where the connection ends without a whole one."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ConnectionError, ssl.SSLError):
        return Answered(0, [], b"")
    return Answered(response.status, [(name.title(), value) for name, value in response.getheaders()], body)


def read_answers(connection: socket.socket) -> list[Answered]:
    """Return every answer that comes before the connection ends; one that breaks off has status 0, and is the last."""
    raw = b""
    with suppress(OSError):
        while received := connection.recv(65536):
            raw += received
    stream = _Received(raw)
    answers: list[Answered] = []
    while stream.tell() < len(raw) and (not answers or answers[-1].status):
        answers.append(read_answer(stream))  # type: ignore[arg-type]  # all that is asked of a connection there is its file
    return answers


class _Received(io.BytesIO):
    """What came, as a connection whose file it is."""

    def makefile(self, *_: object) -> Self:
        return self

    def close(self) -> None:
        """Stay open: the next answer is behind this one."""


@contextmanager
def proxied(kind: str, folder: Path, behind: int, changes: Mapping[str, str] | None = None) -> Iterator[Proxy]:
    """Start nginx or HAProxy in front of the port `behind`; `changes` replace words of its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate = make_certificate(folder / "tls")
    ports = free_port(), free_port()
    log = folder / "proxy.log"
    write = {"nginx": _write_nginx, "haproxy": _write_haproxy}[kind]
    command = write(folder, ports, behind, changes or {})
    program = shutil.which(command[0], path=_FOLDERS)
    assert program is not None, f"{command[0]} is not installed: make proxies-ready"
    with log.open("ab") as out:
        process = subprocess.Popen([program, *command[1:]], stdout=out, stderr=out, cwd=folder)
    proxy = Proxy(kind, *ports, certificate, process, log)
    try:
        _wait_until_it_listens(proxy)
        yield proxy
    finally:
        proxy.stop()


def _write_nginx(folder: Path, ports: tuple[int, int], behind: int, changes: Mapping[str, str]) -> list[str]:
    text = fill(
        (CONFIGURATIONS / "nginx.conf").read_text(encoding="utf-8"),
        {
            "id.example.test": NAME,
            "listen 8080": f"listen 127.0.0.1:{ports[0]}",
            "listen 8443": f"listen 127.0.0.1:{ports[1]}",
            "server provider:8000": f"server 127.0.0.1:{behind}",
            "/tmp/nginx": f"{folder}/nginx",  # noqa: S108 - what the configuration says
            "worker_processes auto": "worker_processes 1",
            **changes,
        },
    )
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    shutil.copy(CONFIGURATIONS / "public-cache.conf", folder)
    # Started by root it would become somebody else, who may not write into the folder of the test.
    account = "" if os.geteuid() else " user root;"
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", "daemon off;" + account]


def _write_haproxy(folder: Path, ports: tuple[int, int], behind: int, changes: Mapping[str, str]) -> list[str]:
    text = fill(
        (CONFIGURATIONS / "haproxy.cfg").read_text(encoding="utf-8"),
        {
            "id.example.test": NAME,
            "bind :8080": f"bind 127.0.0.1:{ports[0]}",
            "bind :8443": f"bind 127.0.0.1:{ports[1]}",
            "server one provider:8000": f"server one 127.0.0.1:{behind}",
            **changes,
        },
    )
    (folder / "haproxy.cfg").write_text(text, encoding="utf-8")
    return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


def _wait_until_it_listens(proxy: Proxy) -> None:
    until = time.monotonic() + _READY_WITHIN
    while time.monotonic() < until:
        assert proxy.process.poll() is None, proxy.log.read_text(encoding="utf-8")
        try:
            proxy.connect().close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(proxy.log.read_text(encoding="utf-8"))


def make_certificate(folder: Path) -> Path:
    """Make a key and a certificate for the name, as files of each proxy's liking; return the certificate."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(minutes=5), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "certificate.pem").write_bytes(made)
    (folder / "key.pem").write_bytes(private)
    (folder / "both.pem").write_bytes(made + private)
    return folder / "certificate.pem"


class Recorder(http.server.ThreadingHTTPServer):
    """Stands behind a proxy and keeps what arrives: the request line, and every header as it was spelt."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Recording)
        self.seen: list[tuple[str, list[tuple[str, str]]]] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def handle_error(self, *_: Any) -> None:
        """Say nothing of whoever hung up."""

    def __enter__(self) -> Self:
        """Begin to listen."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()


class _Recording(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def _record(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.path.startswith("/health/"):
            self.server.seen.append((self.requestline, list(self.headers.items())))
        body = json.dumps(list(self.headers.items())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _record  # noqa: N815 - the names of the standard library

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

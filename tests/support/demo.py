"""The whole demo as a newcomer starts it: engines, provider, worker and two portals, in a folder and on ports of its own.

The provider and the national portal are on `localhost`, the provincial portal is on `127.0.0.1`: another site to a browser.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyotp

from tests.support.served import free_port

CHECKOUT: Final = Path(__file__).parents[2]
READY_WITHIN: Final = 90.0
STOPPED_WITHIN: Final = 30.0
COMMAND_WITHIN: Final = 60.0
_IDP: Final = (sys.executable, "-m", "idp.cli")


@dataclass
class DemoPerson:
    """Somebody who can sign in, with an authenticator application at hand."""

    name: str
    username: str
    password: str
    totp_secret: str | None
    recovery_codes: tuple[str, ...] = ()
    steps_shown: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, account: Mapping[str, Any]) -> DemoPerson:
        """Return the person of an account as `idp demo --json` and `idp demo people --json` describe it."""
        codes = tuple(account.get("recovery_codes", ()))
        return cls(account["name"], account["username"], account["password"], account["totp_secret"], codes)

    def code(self) -> str:
        """Return a code that works now and was not shown before: each is good once."""
        assert self.totp_secret is not None
        now = int(time.time()) // 30
        step = max(now, *(shown + 1 for shown in self.steps_shown)) if self.steps_shown else now
        assert step <= now + 1, f"{self.name} has used up the codes of this minute; take another person"
        self.steps_shown.append(step)
        return pyotp.TOTP(self.totp_secret).generate_otp(step)

    def wrong_code(self) -> str:
        """Return six digits that this authenticator shows at no step near now."""
        assert self.totp_secret is not None
        now = int(time.time()) // 30
        near = {pyotp.TOTP(self.totp_secret).generate_otp(step) for step in range(now - 4, now + 5)}
        return next(code for code in (f"{n:06d}" for n in range(100)) if code not in near)


@dataclass
class RunningDemo:
    """A demo that runs, as `idp demo --json` describes it."""

    document: Mapping[str, Any]
    environment: Mapping[str, str]
    unused: dict[int, list[DemoPerson]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return str(self.document["issuer"])

    @property
    def national(self) -> str:
        return self._portal("national-portal")

    @property
    def provincial(self) -> str:
        return self._portal("provincial-portal")

    def _portal(self, client_id: str) -> str:
        return str(next(portal["url"] for portal in self.document["portals"] if portal["client_id"] == client_id))

    def account(self, note: str) -> DemoPerson:
        """Return the account of the table whose note has `note` in it."""
        return DemoPerson.of(next(account for account in self.document["accounts"] if note in account["note"]))

    def person(self, ial: int = 1) -> DemoPerson:
        """Return somebody of that level who never signed in."""
        waiting = self.unused.setdefault(ial, [])
        if not waiting:
            made = self.command("demo", "people", "--count", "24", "--ial", str(ial))
            waiting.extend(DemoPerson.of(account) for account in made["accounts"])
        return waiting.pop()

    def command(self, *arguments: str, typed: str | None = None) -> dict[str, Any]:
        """Run an `idp` command beside the demo, as its operator would; return the JSON it prints."""
        ran = subprocess.run(
            [*_IDP, *arguments, "--json"],
            env=dict(self.environment),
            cwd=CHECKOUT,
            input=typed,
            capture_output=True,
            text=True,
            timeout=COMMAND_WITHIN,
            check=False,
        )
        assert ran.returncode == 0, f"idp {' '.join(arguments)}: {ran.stdout}{ran.stderr}"
        return dict(json.loads(ran.stdout))


@contextmanager
def running_demo(var: Path | None = None) -> Iterator[RunningDemo]:
    """Run a demo in `var`, or in a folder that is removed afterwards; it is ready when it is lent, and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="motcua-demo-", ignore_cleanup_errors=True) as folder:
        place = var or Path(folder) / "var"
        environment = _environment(place)
        log = Path(folder) / "demo.log"
        told = Path(folder) / "told.json"
        with log.open("wb") as errors, told.open("wb") as output:
            process = subprocess.Popen([*_IDP, "demo", "--json"], env=environment, cwd=CHECKOUT, stdout=output, stderr=errors)
        try:
            yield RunningDemo(_wait_for(process, told, log), environment)
        finally:
            process.terminate()
            try:
                process.wait(STOPPED_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment(var: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("IDP_", "PORTAL_"))}
    return inherited | {
        "IDP_VAR": str(var),
        "IDP_ISSUER": f"http://localhost:{free_port()}",
        "NATIONAL_PORTAL_URL": f"http://localhost:{free_port()}",
        "PROVINCIAL_PORTAL_URL": f"http://127.0.0.1:{free_port()}",
    }


def _wait_for(process: subprocess.Popen[bytes], told: Path, log: Path) -> dict[str, Any]:
    """Return the document that the demo prints when everything is ready."""
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until and process.poll() is None:
        try:
            return dict(json.loads(told.read_text(encoding="utf-8")))
        except ValueError:
            time.sleep(0.1)  # it prints once, in one go, when it is ready
    message = f"the demo did not become ready: {log.read_text(encoding='utf-8')[-3000:]}"
    raise AssertionError(message)

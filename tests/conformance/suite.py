"""The suite's REST API, as far as a run needs it.

Knows HTTP and the suite's words for states; judges nothing.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
import time
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

ENDED = ("FINISHED", "INTERRUPTED")
LONGEST_POLL_SECONDS = 25


class SuiteError(Exception):
    """The suite cannot be reached or refused a call; the message says which."""


@dataclass(frozen=True)
class Module:
    """One module of a plan, as the suite lists it."""

    name: str
    variant: dict[str, str]


class Suite:
    """A running suite at an address."""

    def __init__(self, address: str, ca: str | None = None) -> None:
        """Address without a slash at the end; `ca` is a file of roots for a suite with a certificate of its own."""
        self.address = address.rstrip("/")
        self._client = httpx.Client(
            base_url=self.address,
            verify=_trust(self.address, ca),
            timeout=httpx.Timeout(30, read=90),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.close()

    def version(self) -> dict[str, Any]:
        """Version, tag and revision of the suite that answers."""
        server = self._call("GET", "/api/server")
        return {name: server.get(name) for name in ("version", "tag", "revision")}

    def create_plan(self, name: str, variant: dict[str, str], configuration: dict[str, Any]) -> tuple[str, list[Module]]:
        """Make a plan; its id and its modules in order."""
        made = self._call(
            "POST",
            "/api/plan",
            params={"planName": name, "variant": json.dumps(variant)},
            body=configuration,
        )
        modules = [Module(entry["testModule"], dict(entry.get("variant") or {})) for entry in made["modules"]]
        return made["id"], modules

    def start(self, plan: str, module: Module) -> str:
        """Start a module of the plan; the module's id. It runs by itself from here."""
        query = {"test": module.name, "plan": plan, "variant": json.dumps(module.variant)}
        started: dict[str, str] = self._call("POST", "/api/runner", params=query)
        return started["id"]

    def wait_for_end(self, module: str, seconds: float) -> bool:
        """Wait until the module has ended; false when it still runs after so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            milliseconds = max(1, int(min(left, LONGEST_POLL_SECONDS) * 1000))
            answer = self._client.get(
                f"/api/runner/{module}/wait-state",
                params={"states": ",".join(ENDED), "timeoutMs": milliseconds},
            )
            if answer.status_code == httpx.codes.NOT_FOUND:  # it has ended and was put away
                return True
            if answer.is_success and answer.json().get("state") in ENDED:
                return True
        return False

    def stop(self, module: str) -> None:
        """Give up a module that still runs; no error when it has just ended."""
        self._client.delete(f"/api/runner/{module}")

    def info(self, module: str) -> dict[str, Any]:
        """Status and result of a module."""
        answer: dict[str, Any] = self._call("GET", f"/api/info/{module}")
        return answer

    def log(self, module: str) -> list[dict[str, Any]]:
        """Every entry of the module's log, oldest first."""
        answer: list[dict[str, Any]] = self._call("GET", f"/api/log/{module}")
        return answer

    def browser_pages(self, module: str) -> list[dict[str, Any]]:
        """Where the suite's browsers of a running module stand; empty when the module has ended."""
        answer = self._client.get(f"/api/runner/browser/{module}")
        runners: list[dict[str, Any]] = answer.json().get("runners", []) if answer.is_success else []
        return runners

    def _call(self, method: str, path: str, params: dict[str, str] | None = None, body: Any = None) -> Any:
        try:
            # The suite wants a JSON body type on every POST, also where it reads no body.
            headers = {"Content-Type": "application/json"} if method == "POST" else {}
            content = json.dumps(body) if body is not None else None
            answer = self._client.request(method, path, params=params, content=content, headers=headers)
        except httpx.HTTPError as error:
            message = f"no suite answers at {self.address}: {error}"
            raise SuiteError(message) from error
        if not answer.is_success:
            message = f"{method} {path}: {answer.status_code} {answer.text[:300]}"
            raise SuiteError(message)
        return answer.json()


def _trust(address: str, ca: str | None) -> ssl.SSLContext | bool:
    """Which certificates are accepted. A suite on loopback has one made for the day and nobody in between."""
    if ca is not None:
        return ssl.create_default_context(cafile=ca)
    return not is_loopback(urlsplit(address).hostname or "")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

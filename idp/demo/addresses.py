"""Where everything of a demo is reached, from the environment, and whether those places are free.

Every address is on loopback (the settings refuse others). A second demo beside this one needs other ports and another folder.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from idp.demo.children import wait_until
from idp.kernel.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

_ISSUER: Final = "http://localhost:8000"
_LOOPBACK: Final = {"localhost", "127.0.0.1"}
_OTHERS: Final = {"APPOINTMENT_PAGE_URL": 3, "FORMER_PORTAL_URL": 4, "LOAD_TEST_URL": 5}
"""Declared clients at whose addresses nothing listens: how far their ports are from the provider's, unless named."""


class PortTaken(Refusal):
    """Something else listens where a part of the demo should; the sentence says how to choose another port."""

    code = "demo.port_taken"


class AddressRefused(Refusal):
    """An address of the demo is not one on this machine."""

    code = "demo.address_refused"


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of one demo. `others` are variables of declarations whose clients are not started."""

    issuer: str
    bind: str
    national: str
    provincial: str
    others: Mapping[str, str]

    def variables(self, today: date) -> dict[str, str]:
        """Return what declarations are filled from; the former portal may go on until the end of next year."""
        return {
            "NATIONAL_PORTAL_URL": self.national,
            "PROVINCIAL_PORTAL_URL": self.provincial,
            "FORMER_PORTAL_UNTIL": f"{today.year + 1}-12-31",
            **self.others,
        }

    @property
    def egress(self) -> tuple[str, str]:
        """The origins that the provider has to call: the portals, to tell them of a sign-out."""
        return self.national, self.provincial

    def require_free(self, *, within: float = 0.0) -> None:
        """Let only free ports pass, or such as become free within so many seconds.

        Raises:
            PortTaken: one is taken; which, and what to set.
        """
        places = {"IDP_ISSUER": self.bind, "NATIONAL_PORTAL_URL": self.national, "PROVINCIAL_PORTAL_URL": self.provincial}
        for name, address in places.items():
            host, port = _place(address)
            if not wait_until(partial(_is_free, host, port), within=within):
                example = f"{name}=http://localhost:{port + 100}"
                raise PortTaken(f"port {port} is taken by another program: stop it, or choose another port, such as {example}")


def read_addresses(environment: Mapping[str, str]) -> Addresses:
    """Return the addresses that `environment` names; what it does not name has the usual port, or one beside the provider's.

    Raises:
        AddressRefused: an address is no origin on loopback.
    """
    issuer = (environment.get("IDP_ISSUER") or _ISSUER).rstrip("/")
    parts = urlsplit(issuer)
    port = parts.port or 8000
    bind = environment.get("IDP_BIND") or f"127.0.0.1:{port if parts.scheme == 'http' else 8000}"
    national = _origin(environment, "NATIONAL_PORTAL_URL", port + 1)
    provincial = _origin(environment, "PROVINCIAL_PORTAL_URL", port + 2)
    return Addresses(issuer, bind, national, provincial, {name: _origin(environment, name, port + far) for name, far in _OTHERS.items()})


def _origin(environment: Mapping[str, str], name: str, port: int) -> str:
    address = (environment.get(name) or f"http://localhost:{port}").rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or parts.hostname not in _LOOPBACK or parts.path or parts.query:
        raise AddressRefused(f"{name} has to be an origin on this machine, such as http://localhost:{port}")
    return address


def _place(address: str) -> tuple[str, int]:
    parts = urlsplit(address if "://" in address else f"//{address}")
    host = parts.hostname or "127.0.0.1"
    return ("127.0.0.1" if host == "localhost" else host), parts.port or (443 if parts.scheme == "https" else 80)


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True

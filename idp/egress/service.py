"""Calling an address that somebody else chose."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from idp.egress.breakers import Breakers
from idp.egress.model import Address, Destinations, EgressRefused, NotReachable, Reply, is_loopback, is_public
from idp.egress.wire import Deadline, dial, exchange, look_up, look_up_by

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

_MOST_ADDRESSES: Final = 4
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json", "User-Agent": "motcua"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call may take, in seconds: to find and connect each, and in all, whatever arrives meanwhile."""

    connect: float = 2.0
    total: float = 5.0


class Egress:
    """The door out. Threads share it; each process has its own breakers."""

    def __init__(
        self,
        allow: tuple[str, ...] = (),
        ca: Path | None = None,
        *,
        limits: Limits | None = None,
        resolve: Callable[[str, int], list[str]] = look_up,
        connect: Callable[[str, int, float], socket.socket] = dial,
    ) -> None:
        """Call public https servers; in demo and test also loopback origins in `allow` (scheme, host, port; http included).

        `ca` is a PEM file of a root to trust beside the system's. `resolve(host, port)` finds addresses, `connect(address, port,
        seconds)` makes a connection to one: values, so that a test can be a network.

        Raises:
            EgressRefused: something of `allow` is no loopback origin.
        """
        self._destinations = Destinations.read(allow)
        self._limits = limits or Limits()
        self._resolve = resolve
        self._connect = connect
        self._breakers = Breakers()
        self._tls = ssl.create_default_context()
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.hostname_checks_common_name = False
        self._tls.set_alpn_protocols(["http/1.1"])
        if ca is not None:
            self._tls.load_verify_locations(cafile=ca)

    def post_form(self, url: str, form: Mapping[str, str]) -> Reply:
        """Post `form` to `url` and return what it answers, redirects included: none is followed.

        Raises:
            EgressRefused: `url` is none that is called, or its name leads to an address that is not public; nothing was sent.
            NotReachable: no answer within the limits, or its breaker is open.
        """
        address = self._destinations.require(url)
        with self._breakers.guard(address.origin):
            try:
                return self._post(address, urlencode(form).encode("ascii"))
            except TimeoutError as error:
                raise NotReachable("timeout", f"{address.origin}: no answer in time") from error
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise NotReachable("unreachable", f"{address.origin}: {type(error).__name__}") from error

    # inside --------------------------------------------------------------------------------------------------------------------

    def _post(self, address: Address, body: bytes) -> Reply:
        deadline = Deadline(self._limits.total)
        connected = self._connect_to(address, deadline)
        tls = self._tls if address.scheme == "https" else None
        return exchange(connected, address, tls=tls, body=body, headers=_FORM, deadline=deadline)

    def _connect_to(self, address: Address, deadline: Deadline) -> socket.socket:
        """Return a connection to an address that was looked up once and judged: nothing is looked up again."""
        host = address.host.strip("[]")
        found = look_up_by(deadline, self._limits.connect, self._resolve, host, address.port)
        is_acceptable = is_loopback if address.origin in self._destinations.allowed else is_public
        if not found or not all(map(is_acceptable, found)):
            raise EgressRefused(f"{address.host} leads to an address that is not called")
        failure: OSError | None = None
        connecting = Deadline(min(self._limits.connect, deadline.left()))
        for each in found[:_MOST_ADDRESSES]:
            try:
                return self._connect(each, address.port, connecting.left())
            except OSError as error:
                failure = error
        raise failure or TimeoutError

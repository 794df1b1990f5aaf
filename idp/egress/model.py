"""What may be called: the one spelling of an address, the addresses that are public, and the two ways in which a call fails."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from idp.kernel.refusals import Refusal

LONGEST_URL: Final = 2000
LARGEST_BODY: Final = 64 * 1024
PORTS: Final = frozenset({443, 8443})
"""Where https is spoken; an allowed loopback origin names its own port."""

_URL: Final = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?((?:/[!-~]*)?)", re.ASCII)
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}", re.ASCII)
_LONGEST_NAME: Final = 253
_LARGEST_PORT: Final = 65535
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_PRIVATE_NAMES: Final = frozenset({"localhost", "localdomain", "local", "internal", "intranet", "lan", "arpa", "onion"})
"""Names that never lead to a public server (RFC 6761, 6762, 7686, 8375), by their last label."""

_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

Reason = Literal["unreachable", "timeout", "busy"]


class EgressRefused(Refusal):
    """The address is none that this provider calls; nothing was sent. The detail is a sentence for whoever declared it."""

    code = "egress.refused"


class NotReachable(Refusal):
    """The address was called, or would have been, and gave no answer. A later try may do.

    `reason` is all that may be told to whoever chose the address: `unreachable` says neither whether the name exists, nor whether
    a port is open, nor what was wrong with its TLS. The detail is for the operator's log.
    """

    code: ClassVar[str] = "egress.not_reachable"

    def __init__(self, reason: Reason, detail: str = "", *, again_in: float = 0.0) -> None:
        """Tell why; `again_in` are the seconds for which trying again is pointless."""
        super().__init__(detail)
        self.reason = reason
        self.again_in = again_in


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the status, and the beginning of the body, 64 kB at most."""

    status: int
    body: bytes
    is_whole: bool
    """False when the body was longer than what is read: whoever needs it must refuse it."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address in its parts."""

    scheme: str
    host: str
    port: int
    target: str
    """Path and query, as they go into the request line."""

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port always named."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """Host and port, as the Host header spells them (RFC 9110 §7.2)."""
        return self.host if self.port == _DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether its host is this machine, by name or literal address."""
        return self.host in _LOOPBACK_NAMES or self.host.endswith(".localhost")


def read_address(url: str) -> Address:
    """Return the parts of an http or https address without user part or fragment, whether it may be called or not.

    One expression reads it; nothing else ever parses it again, so no second reading can differ.

    Raises:
        EgressRefused: it is anything else.
    """
    match = _URL.fullmatch(url) if len(url) <= LONGEST_URL else None
    if match is None or "#" in url or "\\" in url:
        raise EgressRefused("an address begins with https://, a host name in small letters, and has no user part and no fragment")
    scheme, host, port, target = match[1], match[2], match[3], match[4]
    if not host.startswith("[") and (len(host) > _LONGEST_NAME or _NAME.fullmatch(host) is None):
        raise EgressRefused("the host of an address is a name of letters, digits, dashes and dots")
    number = int(port) if port else _DEFAULT_PORTS[scheme]
    if number > _LARGEST_PORT:
        raise EgressRefused("a port is at most 65535")
    return Address(scheme, host, number, target or "/")


@dataclass(frozen=True, slots=True)
class Destinations:
    """Which addresses may be called, by their form alone: those of public https servers and, in demo and test, some origins on loopback.

    Asked at registration as at every call, so that whoever declares an address hears at once what would be refused for ever. Nothing
    is looked up and nobody is called: the answer tells nothing about a network, and what the name leads to is judged at each call.
    """

    allowed: frozenset[str] = frozenset()

    @classmethod
    def read(cls, allow: tuple[str, ...]) -> Destinations:
        """Return them with the loopback origins in `allow` (scheme, host, port; http included).

        Raises:
            EgressRefused: something of `allow` is no loopback origin.
        """
        return cls(frozenset(map(_read_origin, allow)))

    def require(self, url: str) -> Address:
        """Return the parts of an address that may be called.

        Raises:
            EgressRefused: with a sentence for whoever declares it.
        """
        address = read_address(url)
        if address.origin not in self.allowed:
            _require_public(address)
        return address


def _read_origin(allowed: str) -> str:
    address = read_address(allowed)
    if address.target != "/" or allowed.endswith("/") or not address.is_loopback:
        raise EgressRefused(f"{allowed} is no loopback origin: scheme, host and port, no more")
    return address.origin


def _require_public(address: Address) -> None:
    """Refuse an address that by its form alone leads to no public https server.

    Raises:
        EgressRefused: http, another port, a literal address in any notation, or a name that never leaves a network.
    """
    if address.scheme != "https":
        raise EgressRefused("only https is called")
    if address.port not in PORTS:
        raise EgressRefused(f"only ports {', '.join(map(str, sorted(PORTS)))} are called")
    last = address.host.rpartition(".")[2]
    if address.host.startswith("[") or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last):
        raise EgressRefused("a literal address is not called: use a host name")
    if "." not in address.host or last in _PRIVATE_NAMES:
        raise EgressRefused("the host has to be a public name")


# addresses of the network ------------------------------------------------------------------------------------------------------

_NO_PUBLIC_V4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
"""The special-purpose registry of IANA (RFC 6890), written out: what a version of Python takes for global varies."""

_UNICAST_V6: Final = ipaddress.IPv6Network("2000::/3")
_NO_PUBLIC_V6: Final = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Teredo and other assignments of protocols, documentation, 6to4. All else outside 2000::/3 is not public at all."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Tell whether `address` is one of a public server. A NAT64 address is judged by the one within (RFC 6052 §2.1)."""
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(read, ipaddress.IPv6Address):
        if read.scope_id is not None:
            return False
        if read not in _NAT64:
            return read in _UNICAST_V6 and not any(read in network for network in _NO_PUBLIC_V6)
        read = ipaddress.IPv4Address(int(read) & 0xFFFF_FFFF)
    return not any(read in network for network in _NO_PUBLIC_V4)


def is_loopback(address: str) -> bool:
    """Tell whether `address` is one of this machine."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False

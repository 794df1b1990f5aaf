"""Addresses that somebody else chose: which are accepted at registration, and when a requested one is a registered one.

An accepted address has one spelling (lower-case scheme and host, no dot segments, no user part, no fragment), so that comparing
texts is comparing addresses (RFC 9700 §4.1.3). It is read by one expression of our own: no second parser disagrees with it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from idp.kernel.refusals import Refusal

_LONGEST: Final = 2000
_URI: Final = re.compile(r"(https?)://([^/?#]*)((?:/[^?#]*)?)(\?[^#]*)?", re.ASCII)
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([1-9][0-9]{0,4}))?", re.ASCII)
_REST: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()+,;=:@/?-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_BAD_ESCAPE: Final = re.compile(r"%(?:[01][0-9a-f]|7f|5c|2e|25)", re.IGNORECASE)
_DOT_SEGMENT: Final = re.compile(r"/\.{1,2}(?=/|$)")
_ANSWERS: Final = frozenset({"code", "state", "iss", "error", "error_description", "error_uri", "id_token", "access_token", "response"})
_LARGEST_PORT: Final = 65535
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_LOOPBACK_ADDRESSES: Final = frozenset({"127.0.0.1", "[::1]"})


class UnsafeUri(Refusal):
    """An address is not accepted; the detail is a sentence for whoever declared it."""

    code = "clients.unsafe_uri"


class Address(NamedTuple):
    """An accepted address in its parts."""

    scheme: str
    host: str
    port: str
    path: str
    query: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, as a browser spells them."""
        return f"{self.scheme}://{self.host}{':' if self.port else ''}{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, by name or address."""
        return self.host in _LOOPBACK


def read_uri(text: object) -> Address:
    """Return the parts of an absolute http or https address in its one accepted spelling; http on loopback only.

    Raises:
        UnsafeUri: it is anything else.
    """
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        raise UnsafeUri(f"an address is a text of 1 to {_LONGEST} characters")
    if any(not "!" <= each <= "~" for each in text) or "\\" in text:
        raise UnsafeUri("an address holds no spaces, control characters, backslashes or letters beyond ASCII")
    if "#" in text:
        raise UnsafeUri("an address here has no fragment")
    if "*" in text:
        raise UnsafeUri("wildcards are not supported: register every address")
    match = _URI.fullmatch(text)
    if match is None:
        raise UnsafeUri("an address begins with https:// (or http:// on loopback) in small letters")
    scheme, authority, path, query = match[1], match[2], match[3], match[4] or ""
    host, port = _read_authority(authority)
    address = Address(scheme, host, port, path, query)
    if scheme == "http" and not address.is_loopback:
        raise UnsafeUri("http is accepted on loopback only: use https")
    _judge_rest(path + query, path)
    return address


def read_redirect_uri(text: object) -> Address:
    """Return the parts of an address that answers are sent to: as `read_uri`, and its query has no name that an answer has.

    Raises:
        UnsafeUri: it is not accepted.
    """
    address = read_uri(text)
    names = {unquote_plus(pair.partition("=")[0]) for pair in address.query.removeprefix("?").split("&")}
    if names & _ANSWERS:
        raise UnsafeUri(f"the query of a redirect address may not hold {', '.join(sorted(names & _ANSWERS))}: the answer does")
    return address


def read_host(text: object) -> str:
    """Return a host name in small letters, as a sector identifier names one.

    Raises:
        UnsafeUri: it is no host name.
    """
    if not isinstance(text, str) or len(text) > 253 or _HOST.fullmatch(text) is None:  # noqa: PLR2004 - RFC 1035 §2.3.4
        raise UnsafeUri("a host name in small letters, without scheme, port or path")
    return text


def is_loopback_twin(requested: str, registered: frozenset[str]) -> bool:
    """Tell whether `requested` is a registered loopback address of a native application with another port (RFC 8252 §7.3).

    Only 127.0.0.1 and [::1], never `localhost`, and only the port may differ.
    """
    try:
        asked = read_uri(requested)
    except UnsafeUri:
        return False
    if asked.scheme != "http" or asked.host not in _LOOPBACK_ADDRESSES:
        return False
    without_port = asked._replace(port="")
    return any(read_uri(each)._replace(port="") == without_port for each in registered)


def _read_authority(authority: str) -> tuple[str, str]:
    if "@" in authority:
        raise UnsafeUri("an address has no user or password in it")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise UnsafeUri("the host of an address is a name in small letters, with a port at most")
    host, port = match[1], match[2] or ""
    if host.startswith("["):
        if host != "[::1]":
            raise UnsafeUri("of IPv6 addresses only [::1] is accepted")
    elif _HOST.fullmatch(host) is None:
        raise UnsafeUri("the host of an address is no host name")
    elif re.fullmatch(r"(?:0x[0-9a-f]*|[0-9]+)", host.rpartition(".")[2]) and host != "127.0.0.1":
        raise UnsafeUri("of IPv4 addresses only 127.0.0.1 is accepted")
    if port and int(port) > _LARGEST_PORT:
        raise UnsafeUri("a port is at most 65535")
    return host, port


def _judge_rest(rest: str, path: str) -> None:
    if _REST.fullmatch(rest) is None:
        raise UnsafeUri("path and query hold only the characters of RFC 3986, others percent-encoded")
    if _BAD_ESCAPE.search(rest):
        raise UnsafeUri("path and query hold no encoded control characters, backslashes, dots or percent signs")
    if _DOT_SEGMENT.search(path) or "//" in path:
        raise UnsafeUri("a path has no dot segments and no empty segments")

"""One HTTP exchange on a socket: every operation ends by one deadline, and no more is read than is allowed.

http.client writes and reads on it, because it follows no redirect, undoes no compression and reads no environment.
"""

from __future__ import annotations

import http.client
import io
import queue
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

from idp.egress.model import LARGEST_BODY, Address, NotReachable, Reply

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_LARGEST_ANSWER: Final = 2 * LARGEST_BODY
"""Bytes of head and body together."""

_MOST_LOOKUPS: Final = 32
_lookups = threading.BoundedSemaphore(_MOST_LOOKUPS)


class Deadline:
    """An instant by which everything has to be over."""

    def __init__(self, seconds: float) -> None:
        """Begin now, end in `seconds`."""
        self._at = time.monotonic() + seconds

    def left(self, at_most: float | None = None) -> float:
        """Return the seconds that are left, `at_most` that many.

        Raises:
            TimeoutError: none are.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left if at_most is None else min(left, at_most)


def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of `host` in the order of the system (RFC 6724); OSError when there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def dial(address: str, port: int, seconds: float) -> socket.socket:
    """Return a connection to a literal `address`, made within `seconds`; OSError when there is none."""
    return socket.create_connection((address, port), timeout=seconds)


def look_up_by(deadline: Deadline, at_most: float, resolve: Callable[[str, int], list[str]], host: str, port: int) -> list[str]:
    """Return what `resolve` finds, in a thread of its own: the system's resolver has no time-out."""
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolve(host, port))
        except (OSError, ValueError) as error:
            answers.put(error)
        finally:
            _lookups.release()

    if not _lookups.acquire(timeout=deadline.left(at_most)):
        raise TimeoutError
    threading.Thread(target=ask, name="egress-lookup", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.left(at_most))
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def exchange(
    connected: socket.socket,
    address: Address,
    *,
    tls: ssl.SSLContext | None,
    body: bytes,
    headers: dict[str, str],
    deadline: Deadline,
) -> Reply:
    """Post `body` on a fresh connection and return what comes back; the connection is closed in any case.

    With `tls`, the certificate has to be for the host of `address` (RFC 9525), wherever the connection leads.

    Raises:
        OSError, HTTPException: it broke, took too long, or is no HTTP.
    """
    carrier = connected
    try:
        if tls is not None:
            carrier.settimeout(deadline.left())
            carrier = tls.wrap_socket(carrier, server_hostname=address.host.strip("[]"), do_handshake_on_connect=False)
            carrier.settimeout(deadline.left())
            carrier.do_handshake()
        connection = http.client.HTTPConnection(address.host.strip("[]"), address.port)
        connection.sock = _Bounded(carrier, deadline)  # all that http.client asks of a socket
        named = {"Host": address.authority, "Connection": "close"}
        connection.request("POST", address.target, body=body, headers=headers | named)
        with connection.getresponse() as response:
            read = response.read(LARGEST_BODY + 1)
            is_whole = len(read) <= LARGEST_BODY and not response.length  # what a broken connection withheld is still in `length`
            return Reply(response.status, read[:LARGEST_BODY], is_whole=is_whole)
    finally:
        carrier.close()


class _Bounded:
    """A socket whose every wait ends by the deadline, so that an answer in drops does not begin the wait anew."""

    def __init__(self, carrier: socket.socket, deadline: Deadline) -> None:
        self._carrier = carrier
        self._deadline = deadline

    def sendall(self, sent: bytes) -> None:
        view = memoryview(sent)
        while view:
            self._carrier.settimeout(self._deadline.left())
            view = view[self._carrier.send(view) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._carrier, self._deadline))

    def close(self) -> None:
        """Nothing: `exchange` closes the carrier when the answer has been read."""


class _Reader(io.RawIOBase):
    def __init__(self, carrier: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._carrier = carrier
        self._deadline = deadline
        self._left = _LARGEST_ANSWER

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # what BufferedReader gives
        if self._left <= 0:
            raise NotReachable("unreachable", "the answer is too long")
        self._carrier.settimeout(self._deadline.left())
        read = self._carrier.recv_into(buffer)
        self._left -= read
        return read

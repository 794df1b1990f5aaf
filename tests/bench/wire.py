"""HTTP/1.1 as lean as a load generator needs it, and the loop that keeps many conversations going at once.

Owns sockets, the encoding of requests, the decoding of answers, and the turn-taking between conversations. Knows
nothing of OpenID Connect. A conversation is a generator that yields requests and is sent the answers.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import urlsplit

Result = TypeVar("Result")

ANSWER_SECONDS = 30.0
"""How long a whole batch may stay without any answer before it counts as hung."""


class BrokenAnswerError(Exception):
    """The other side closed early, answered what is not HTTP, or did not answer at all."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `target` is the path with its query, `headers` leave out Host and Content-Length."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; names of headers are in small letters, repeated headers stay repeated."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """Return the first header of that (small-letter) name, or the empty string."""
        return next((value for key, value in self.headers if key == name), "")

    def header_values(self, name: str) -> list[str]:
        """Return every header of that (small-letter) name, in order."""
        return [value for key, value in self.headers if key == name]


Conversation = Generator[Request, Answer, Result]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to connect: scheme, host and port of an http address."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Read the origin of `url`; a ValueError where it is not plain http."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            message = f"the benchmark speaks plain http only: {url}"
            raise ValueError(message)
        return cls(parts.hostname, parts.port or 80)

    @property
    def authority(self) -> str:
        """The Host header."""
        return f"{self.host}:{self.port}"


def encode(request: Request, origin: Origin) -> bytes:
    """Return the bytes of a request on a kept connection (RFC 9112 section 3)."""
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {origin.authority}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    if request.body or request.method == "POST":
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join([*lines, "", ""]).encode() + request.body


def _chunked_body(raw: bytes, start: int) -> tuple[bytes, int] | None:
    """Decode a chunked body (RFC 9112 section 7.1): its bytes and its end, or None while it is incomplete."""
    parts: list[bytes] = []
    position = start
    while True:
        end_of_size = raw.find(b"\r\n", position)
        if end_of_size < 0:
            return None
        size = int(raw[position:end_of_size].split(b";")[0], 16)
        begin = end_of_size + 2
        if len(raw) < begin + size + 2:
            return None
        if size == 0:
            return b"".join(parts), begin + 2
        parts.append(raw[begin : begin + size])
        position = begin + size + 2


def decode(raw: bytes) -> tuple[Answer, bytes] | None:
    """Return the first answer in `raw` and what follows it, or None while the answer is incomplete."""
    end_of_head = raw.find(b"\r\n\r\n")
    if end_of_head < 0:
        return None
    status_line, *lines = raw[:end_of_head].decode("latin-1").split("\r\n")
    parts = status_line.split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
        message = f"not an HTTP answer: {status_line[:80]!r}"
        raise BrokenAnswerError(message)
    status = int(parts[1])
    headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    head = Answer(status, headers, b"")
    start = end_of_head + 4
    if status in (204, 304):
        return head, raw[start:]
    if head.header("transfer-encoding").lower() == "chunked":
        chunked = _chunked_body(raw, start)
        if chunked is None:
            return None
        return Answer(status, headers, chunked[0]), raw[chunked[1] :]
    length = int(head.header("content-length") or 0)
    if len(raw) < start + length:
        return None
    return Answer(status, headers, raw[start : start + length]), raw[start + length :]


@dataclass(slots=True)
class _Lane(Generic[Result]):
    """One kept connection and the conversation that is on it."""

    connection: socket.socket
    conversation: Conversation[Result]
    began: float = 0.0
    received: bytes = b""


@dataclass(slots=True)
class Outcome(Generic[Result]):
    """What a batch of conversations gave: their results, how long each took, and how long all took."""

    results: list[Result] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0.0


def converse(origin: Origin, starts: list[Callable[[], Conversation[Result] | None]]) -> Outcome[Result]:
    """Keep `len(starts)` conversations going at once, each lane on a connection of its own, until all have ended.

    A lane asks its start for the next conversation as soon as the last has ended; None ends the lane. The first
    exception of a conversation, or a broken answer, ends the batch and is raised.
    """
    outcome: Outcome[Result] = Outcome()
    with selectors.DefaultSelector() as selector:
        lanes: list[_Lane[Result]] = []
        began = time.perf_counter()
        try:
            for start in starts:
                conversation = start()
                if conversation is None:
                    continue
                connection = socket.create_connection((origin.host, origin.port), timeout=ANSWER_SECONDS)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                lane = _Lane(connection, conversation)
                lanes.append(lane)
                selector.register(connection, selectors.EVENT_READ, (lane, start))
                _begin(lane, origin)
            waiting = len(lanes)
            while waiting:
                ready = selector.select(ANSWER_SECONDS)
                if not ready:
                    message = f"no answer from {origin.authority} within {ANSWER_SECONDS:.0f} s"
                    raise BrokenAnswerError(message)
                for key, _ in ready:
                    lane, start = key.data
                    if not _advance(lane, origin, start, outcome):
                        selector.unregister(lane.connection)
                        waiting -= 1
        finally:
            for lane in lanes:
                lane.connection.close()
        outcome.elapsed = time.perf_counter() - began
    return outcome


def _begin(lane: _Lane[Result], origin: Origin) -> None:
    lane.began = time.perf_counter()
    lane.connection.sendall(encode(next(lane.conversation), origin))


def _advance(
    lane: _Lane[Result],
    origin: Origin,
    start: Callable[[], Conversation[Result] | None],
    outcome: Outcome[Result],
) -> bool:
    """Take what has arrived and go on; false once the lane has nothing more to do."""
    arrived = lane.connection.recv(65536)
    if not arrived:
        message = f"{origin.authority} closed the connection in the middle of a conversation"
        raise BrokenAnswerError(message)
    lane.received += arrived
    decoded = decode(lane.received)
    if decoded is None:
        return True
    answer, lane.received = decoded
    try:
        request = lane.conversation.send(answer)
    except StopIteration as ended:
        outcome.seconds.append(time.perf_counter() - lane.began)
        outcome.results.append(ended.value)
        following = start()
        if following is None:
            return False
        lane.conversation = following
        _begin(lane, origin)
        return True
    lane.connection.sendall(encode(request, origin))
    return True


def converse_once(origin: Origin, conversation: Conversation[Result]) -> Result:
    """Hold one conversation to its end and return its result."""
    pending: list[Conversation[Result]] = [conversation]
    return converse(origin, [lambda: pending.pop() if pending else None]).results[0]

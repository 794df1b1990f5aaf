"""One request has one end: where two readers could disagree about it, nobody answers what hides behind (RFC 9112 §6.3, §11.2).

Every message hides a request in what each reading that the RFC allows takes for its body. So it may be refused, or answered once;
the hidden one is answered by whoever reads it otherwise, and then a proxy and the provider would not speak of the same requests.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Final

import pytest

from tests.support.load import wait_until
from tests.support.provider import Answered
from tests.support.proxies import NAME, proxied, read_answers
from tests.support.served import Served

pytestmark = pytest.mark.xdist_group("served")

READ, ASKED, HIDDEN, LAST = 401, 400, 404, 200
"""What is answered to each request here: userinfo without a token, a token request that lacks everything, an address that is none, help."""
REFUSED = frozenset({400, 413, 422, 501})
"""What a server says of a message that it does not understand; 422 is HAProxy's."""
MOST_ANSWERS_WITHIN: Final = 5.0
SEED: Final = 9112
MIXES: Final = 300


@dataclass(frozen=True)
class Way:
    """How the provider is reached."""

    kind: str
    connect: Callable[[], socket.socket]
    connect_plainly: Callable[[], socket.socket] | None = None
    """Without TLS, where a proxy listens for that too: it sends everybody on."""

    def send(self, raw: bytes, connect: Callable[[], socket.socket] | None = None) -> list[Answered]:
        """Send the bytes, and a plain request behind them that ends the connection; return every answer."""
        with (connect or self.connect)() as connection:
            connection.settimeout(MOST_ANSWERS_WITHIN)
            with suppress(OSError):  # whoever is refused early may be hung up on before all is sent
                connection.sendall(raw + plain("/help", "Connection: close\r\n"))
            return read_answers(connection)

    def require_clean(self) -> None:
        """Somebody else's request, on a connection of its own, gets its own answer."""
        assert [answered.status for answered in self.send(b"")] == [LAST]


@pytest.fixture(scope="module", params=["directly", "nginx", "haproxy"])
def way(request: pytest.FixtureRequest, node: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    if request.param == "directly":
        yield Way(request.param, lambda: socket.create_connection(("127.0.0.1", node.port), timeout=15))
        return
    with proxied(request.param, tmp_path_factory.mktemp(request.param), node.port) as proxy:
        yield Way(request.param, proxy.connect, proxy.connect_plainly)


# messages ------------------------------------------------------------------------------------------------------------------------


def plain(target: str, headers: str = "") -> bytes:
    """Return a request that reads something."""
    return f"GET {target} HTTP/1.1\r\nHost: {NAME}\r\n{headers}\r\n".encode("latin-1")


def form(headers: str, body: bytes = b"") -> bytes:
    """Return a token request; its headers say how long the body is."""
    kind = "Content-Type: application/x-www-form-urlencoded\r\n"
    return f"POST /token HTTP/1.1\r\nHost: {NAME}\r\n{kind}{headers}\r\n".encode("latin-1") + body


SMUGGLED = plain("/smuggled")
SIZE = len(SMUGGLED)
INSIDE = f"{SIZE:x}\r\n".encode() + SMUGGLED + b"\r\n0\r\n\r\n"
"""The hidden request as a chunk: who reads chunks takes it for a body, who does not for a bad request line and more."""
BEHIND = b"0\r\n\r\n" + SMUGGLED
"""The hidden request behind the last chunk: who goes by the length takes it for a body, who reads chunks for the next request."""
EXTENDED = b"2;\nxx\r\n" + f"{SIZE + 5:x}\r\n".encode() + BEHIND + b"\r\n0\r\n\r\n"
"""A line feed in an extension: who ends the line there reads on to the last chunk, who does not finds it at once, and what hides behind."""

CODINGS = {
    "of no name": "Transfer-Encoding: xchunked\r\n",
    "twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "twice, the other first": "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    "chunked, identity": "Transfer-Encoding: chunked, identity\r\n",
    "identity, chunked": "Transfer-Encoding: identity, chunked\r\n",
    "chunked, chunked": "Transfer-Encoding: chunked, chunked\r\n",
    "gzip, chunked": "Transfer-Encoding: gzip, chunked\r\n",
    "behind a tabulator": "Transfer-Encoding: \x0bchunked\r\n",
    "quoted": 'Transfer-Encoding: "chunked"\r\n',
    "in capitals": "Transfer-Encoding: CHUNKED\r\n",
    "before a space": "Transfer-Encoding : chunked\r\n",
    "folded": "Transfer-Encoding:\r\n chunked\r\n",
    "empty": "Transfer-Encoding: \r\n",
    "with an underscore": "Transfer_Encoding: chunked\r\n",
    "behind a line feed": "X-Any: b\nTransfer-Encoding: chunked\r\n",
    "behind a carriage return": "X-Any: b\rTransfer-Encoding: chunked\r\n",
}
LENGTHS = {
    "negative": f"Content-Length: -{SIZE}\r\n",
    "with a plus": f"Content-Length: +{SIZE}\r\n",
    "hexadecimal": f"Content-Length: 0x{SIZE:x}\r\n",
    "with an underscore": f"Content-Length: {SIZE // 10}_{SIZE % 10}\r\n",
    "with a fraction": f"Content-Length: {SIZE}.0\r\n",
    "with an exponent": f"Content-Length: {SIZE}e0\r\n",
    "empty": "Content-Length: \r\n",
    "two in one": f"Content-Length: 0 {SIZE}\r\n",
    "two that differ": f"Content-Length: {SIZE}\r\nContent-Length: 0\r\n",
    "two that differ, the other first": f"Content-Length: 0\r\nContent-Length: {SIZE}\r\n",
    "a list that differs": f"Content-Length: 0, {SIZE}\r\n",
    "before a space": f"Content-Length : {SIZE}\r\n",
    "before a tabulator": f"Content-Length\t: {SIZE}\r\n",
    "behind a tabulator": f"Content-Length: \x0b{SIZE}\r\n",
    "before a NUL": f"Content-Length: {SIZE}\x00\r\n",
    "more than 64 bits": "Content-Length: 18446744073709551616\r\n",
    "more than 64 bits, and one digit more": "Content-Length: 99999999999999999999\r\n",
    "in a header of no name": f": {SIZE}\r\nContent-Length: -0\r\n",
    "with a NUL in its name": f"Content-\x00Length: {SIZE}\r\n",
}
"""Lengths that are none: whoever guesses one guesses otherwise than another."""
CHUNKS = {
    "a line feed in an extension": EXTENDED,
    "a carriage return in an extension": EXTENDED.replace(b"\n", b"\r", 1),
    "a size with 0x": b"0x" + INSIDE,
    "a size with a plus": b"+" + INSIDE,
    "a size behind a space": b" " + INSIDE,
    "a negative size": b"-" + INSIDE,
    "a size with an underscore": b"0_" + INSIDE,
    "a size of more than 64 bits": b"1" + f"{SIZE:016x}\r\n".encode() + SMUGGLED + b"\r\n0\r\n\r\n",
    "no size": b"\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    "no end of a chunk": f"{SIZE:x}\r\n".encode() + SMUGGLED + b"XX0\r\n\r\n",
}
"""Chunks that are none."""


def ambiguous() -> dict[str, bytes]:
    """Return messages that nobody has to understand; each stands for a reading that somebody has had."""
    both = f"Content-Length: {len(BEHIND)}\r\n"
    made = {
        "a length, then chunks": form(both + "Transfer-Encoding: chunked\r\n", BEHIND),
        "chunks, then a length": form("Transfer-Encoding: chunked\r\n" + both, BEHIND),
        "chunks, and a length that is too short": form("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", INSIDE),
        "chunks in HTTP/1.0": form("Transfer-Encoding: chunked\r\n", INSIDE).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
        "a header folded before any": f"GET /userinfo HTTP/1.1\r\n Content-Length: {SIZE}\r\nHost: {NAME}\r\n\r\n".encode() + SMUGGLED,
        "a header folded at its value": form(f"Content-Length:\r\n {SIZE}\r\n", SMUGGLED),
        "a folded line that looks like a length": plain("/userinfo", "X-Any: b\r\n Content-Length: 5\r\n"),
        "a NUL in a header": plain("/userinfo", f"X-Any: a\0b\r\nContent-Length: {SIZE}\r\n") + SMUGGLED,
        "a carriage return in a header": plain("/userinfo", f"X-Any: b\rContent-Length: {SIZE}\r\n") + SMUGGLED,
        "two lengths that agree": form(f"Content-Length: {SIZE}\r\n" * 2, SMUGGLED),
        "a list of lengths that agree": form(f"Content-Length: {SIZE}, {SIZE}\r\n", SMUGGLED),
    }
    made |= {f"chunked {name}": form(coding, INSIDE) for name, coding in CODINGS.items()}
    made |= {f"chunked {name}, and a length": form(coding + both, BEHIND) for name, coding in CODINGS.items()}
    made |= {f"a length {name}": form(length, SMUGGLED) for name, length in LENGTHS.items()}
    return made | {f"chunks with {name}": form("Transfer-Encoding: chunked\r\n", chunks) for name, chunks in CHUNKS.items()}


AMBIGUOUS = ambiguous()
WELL_FORMED = {
    "a length": form(f"Content-Length: {SIZE}\r\n", SMUGGLED),
    "a length with a nought before it": form(f"Content-Length: 0{SIZE}\r\n", SMUGGLED),
    "chunks": form("Transfer-Encoding: chunked\r\n", INSIDE),
    "an extension": form("Transfer-Encoding: chunked\r\n", INSIDE.replace(b"\r\n", b";name=value\r\n", 1)),
    "a quoted extension": form("Transfer-Encoding: chunked\r\n", INSIDE.replace(b"\r\n", b';name="0;value"\r\n', 1)),
    "a trailer that looks like a length": form("Transfer-Encoding: chunked\r\n", INSIDE[:-2] + b"Content-Length: 90\r\n\r\n"),
    "a body of what is only read": plain("/userinfo", f"Content-Length: {SIZE}\r\n") + SMUGGLED,
    "a line that ends in a line feed alone": plain("/userinfo", f"X-Any: b\nContent-Length: {SIZE}\r\n") + SMUGGLED,
    "a head that ends in line feeds alone": f"GET /userinfo HTTP/1.1\nHost: {NAME}\nContent-Length: {SIZE}\n\n".encode() + SMUGGLED,
}
"""The control: what RFC 9112 lets everybody understand (§2.2, §7.1) is understood, and what stands in its body is a body."""


def statuses(answers: list[Answered]) -> list[int]:
    return [answered.status for answered in answers]


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused_or_is_one_request(way: Way, name: str) -> None:
    """RFC 9112 §5.1, §5.2, §6.1, §6.3, §7.1: no answer to what hides; who comes next on another connection notices nothing."""
    answered = statuses(way.send(AMBIGUOUS[name]))
    assert HIDDEN not in answered
    assert set(answered[:1]) <= REFUSED | {READ, ASKED}
    assert len(answered) <= 2
    assert set(answered[1:]) <= REFUSED | {LAST}  # the plain request, or that what was no body is no request either
    way.require_clean()


@pytest.mark.parametrize("name", LENGTHS)
def test_no_length_hides_a_request_behind_one_that_a_proxy_answers_by_itself(way: Way, name: str) -> None:
    """Of another host, or without TLS: the provider never hears of it, and where its body ends matters all the same."""
    of_another_host = form(LENGTHS[name], SMUGGLED).replace(NAME.encode(), b"other.example", 1)
    answered = statuses(way.send(of_another_host))
    assert HIDDEN not in answered
    assert len(answered) <= 2
    if way.connect_plainly is not None:
        assert len(way.send(form(LENGTHS[name], SMUGGLED), way.connect_plainly)) <= 2
    way.require_clean()


@pytest.mark.parametrize("name", WELL_FORMED)
def test_what_can_be_read_in_one_way_is_one_request_and_the_next_is_answered_too(way: Way, name: str) -> None:
    answered = statuses(way.send(WELL_FORMED[name]))
    assert answered == [READ if WELL_FORMED[name].startswith(b"GET") else ASKED, LAST]


def test_two_requests_in_one_piece_are_two_answers(way: Way) -> None:
    """The control of the counting: a request that does not hide is answered, and would have been seen."""
    assert statuses(way.send(plain("/userinfo") + SMUGGLED)) == [READ, HIDDEN, LAST]


ENDS_OF_SIZES = [b"\n", b" \r\n", b";a=b\r\n", b";a\n\r\n", b";\r\r\n"]
OTHERS = [b"X-Any: b\r\n c\r\n", b"X-Any: \0\r\n", b"X-Any : b\r\n", b"X_Any: b\r\n", b"X-Any: " + b"a" * 5000 + b"\r\n", b"Expect: x\r\n"]


# mixes ---------------------------------------------------------------------------------------------------------------------------


def any_message(dice: random.Random) -> bytes:
    """Return a message of everything above, mixed; it hides a request wherever a right reading sees a body."""

    def odd(usual: bytes, unusual: Collection[bytes]) -> bytes:
        return dice.choice([*unusual]) if dice.random() < 0.15 else usual

    by_length, by_chunks = dice.choice([(True, False), (False, True), (False, True), (True, True)])
    chunks = odd(INSIDE.replace(b"\r\n", odd(b"\r\n", ENDS_OF_SIZES), 1), CHUNKS.values())
    body = dice.choice([SMUGGLED, BEHIND, chunks]) if by_length else chunks
    right = b"Content-Length: %d\r\n" % len(body)
    length = odd(right, [right * 2, right.lower(), b"X-Any: b\n" + right, *(each.encode("latin-1") for each in LENGTHS.values())])
    coding = odd(b"Transfer-Encoding: chunked\r\n", [each.encode("latin-1") for each in CODINGS.values()])
    headers = [odd(b"X-Any: b\r\n", OTHERS), *[length] * by_length, *[coding] * by_chunks]
    dice.shuffle(headers)
    head = form(b"".join(headers).decode("latin-1"))
    return odd(head, [head.replace(b"\r\n", b"\n")]) + body


def test_no_mix_of_messages_is_answered_more_often_than_it_was_asked(way: Way, node: Served) -> None:
    """Seeded: up to three messages on a connection. The provider writes down what it was asked, and nothing hidden is among it."""
    dice, understood = random.Random(SEED), 0  # noqa: S311 - the same mixes each time
    begun = written_up_to(node, way, "begun")
    for number in range(MIXES):
        messages = [any_message(dice) for _ in range(dice.randint(1, 3))]
        answered = statuses(way.send(b"".join(messages)))
        assert HIDDEN not in answered, (number, messages, answered)
        assert len(answered) <= len(messages) + 1, (number, messages, answered)
        understood += answered[-1:] == [LAST]
        if number % 10 == 0:
            way.require_clean()
    assert MIXES * 0.1 < understood < MIXES * 0.9  # the control: they are neither all nonsense nor all plain
    asked = node.log.read_text()[begun : written_up_to(node, way, "done")]
    assert '"/token"' in asked
    assert "/smuggled" not in asked


def written_up_to(node: Served, way: Way, what: str) -> int:
    """Return how far the provider's log goes once all that was asked so far stands in it."""
    way.send(plain(f"/{what}-{way.kind}"))
    wait_until(lambda: f'"/{what}-{way.kind}"' in node.log.read_text(), within=5)
    return node.log.read_text().index(f'"/{what}-{way.kind}"')


def test_all_of_these_are_messages_of_their_own() -> None:
    """The control of the list: no two are the same by mistake, and each but the folded one hides something."""
    assert len(set(AMBIGUOUS.values())) == len(AMBIGUOUS)
    assert [name for name, raw in AMBIGUOUS.items() if SMUGGLED not in raw] == ["a folded line that looks like a length"]
    assert [pair for pair in product(AMBIGUOUS, WELL_FORMED) if AMBIGUOUS[pair[0]] == WELL_FORMED[pair[1]]] == []

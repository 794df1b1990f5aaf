from __future__ import annotations

import pytest

from tests.bench.wire import Answer, BrokenAnswerError, Origin, Request, decode, encode


def test_a_request_names_its_host_and_the_length_of_its_body() -> None:
    """RFC 9112 sections 3.2 and 6.2."""
    request = Request("POST", "/token", (("Accept", "application/json"),), b"a=1")
    assert encode(request, Origin("localhost", 8000)) == (
        b"POST /token HTTP/1.1\r\nHost: localhost:8000\r\nAccept: application/json\r\nContent-Length: 3\r\n\r\na=1"
    )


def test_an_answer_is_read_up_to_its_length_and_the_rest_is_kept() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n\r\nokHTTP/1.1 404"
    decoded = decode(raw)
    assert decoded is not None
    answer, rest = decoded
    assert (answer.status, answer.body, rest) == (200, b"ok", b"HTTP/1.1 404")
    assert answer.header_values("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"])
def test_an_unfinished_answer_is_waited_for(raw: bytes) -> None:
    assert decode(raw) is None


def test_a_chunked_answer_is_put_together() -> None:
    """RFC 9112 section 7.1."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert decode(head + b"3\r\nabc\r\n2;x=y\r\nde\r\n") is None
    decoded = decode(head + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nmore")
    assert decoded == (Answer(200, (("transfer-encoding", "chunked"),), b"abcde"), b"more")


def test_an_answer_without_content_needs_no_length() -> None:
    assert decode(b"HTTP/1.1 204 No Content\r\n\r\n") == (Answer(204, (), b""), b"")


def test_what_is_not_http_is_refused() -> None:
    with pytest.raises(BrokenAnswerError, match="not an HTTP answer"):
        decode(b"SSH-2.0-OpenSSH\r\n\r\n")


def test_only_plain_http_is_spoken() -> None:
    assert Origin.of("http://127.0.0.1:18520/x") == Origin("127.0.0.1", 18520)
    with pytest.raises(ValueError, match="plain http"):
        Origin.of("https://localhost")

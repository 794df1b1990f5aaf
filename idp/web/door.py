"""The door: every request is read once, strictly, into one frozen value; whatever cannot be read is refused here.

Protocol endpoints are plain functions from that value to an answer; everything else goes to the Flask application of the pages,
which takes its arguments, form and cookies from the same value. So there is no second reading of a request for an attacker to
find (docs/decisions/0004).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from idp.kernel.digests import random_bytes

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from ipaddress import IPv4Network, IPv6Network

Pairs = tuple[tuple[str, str], ...]

MOST_BODY: Final = 64 * 1024
_MOST_LINE: Final = 16 * 1024
_MOST_HEADER: Final = 8 * 1024
_MOST_PAIRS: Final = 100
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
_OF_PAGES: Final = frozenset({"GET", "HEAD", "POST"})
_PATH: Final = re.compile(r"/[A-Za-z0-9._~/-]*")
_COOKIE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SINGLE_HEADERS: Final = {
    "HTTP_HOST": "host",
    "HTTP_AUTHORIZATION": "authorization",
    "CONTENT_TYPE": "content-type",
    "HTTP_ORIGIN": "origin",
    "HTTP_SEC_FETCH_SITE": "sec-fetch-site",
}
_LIST_HEADERS: Final = {
    "HTTP_ACCEPT_LANGUAGE": "accept-language",
    "HTTP_IF_NONE_MATCH": "if-none-match",
    "HTTP_USER_AGENT": "user-agent",
    "HTTP_ACCEPT_ENCODING": "accept-encoding",
    "HTTP_ACCEPT": "accept",
}
_REFERENCE_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_REFERENCE_PAIRS: Final = [first + second for first in _REFERENCE_LETTERS for second in _REFERENCE_LETTERS]
FORM_TYPE: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was read: nothing in it is decoded again."""

    method: str
    path: str
    query: Pairs
    form: Pairs
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    address: str
    request_id: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: status, headers, body."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """An answer that is a page: the template's name and its values."""

    template: str
    status: int = 200
    values: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    form_targets: tuple[str, ...] = ()
    """Origins beside our own to which a form of the page may lead."""


class Unreadable(Exception):
    """The request cannot be read; `status` says how."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


Endpoint = Callable[[Request], Answer | PageAnswer]


class Door:
    """The WSGI application: reads, routes, answers, and is the last resort when something is wrong with us."""

    def __init__(
        self,
        routes: Mapping[str, Mapping[str, Endpoint]],
        pages: Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]],
        render: Callable[[PageAnswer, Request], Answer],
        *,
        host: str,
        secure: bool,
        trusted_proxies: tuple[IPv4Network | IPv6Network, ...],
        on_error: Callable[[Request, BaseException], Answer | PageAnswer],
        around: Callable[[], AbstractContextManager[object]],
        after: Callable[[Request, int], None],
    ) -> None:
        """`routes` maps a path to its methods; `host` and `secure` (https) are the issuer's.

        The context that `around` returns is entered for each request; `after` is told of every answer.
        """
        self._routes = routes
        self._pages = pages
        self._render = render
        self._host = host
        self._always = (*_ALWAYS, _HSTS) if secure else _ALWAYS
        self._proxies = trusted_proxies
        self._on_error = on_error
        self._around = around
        self._after = after

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        with self._around():
            return self._answer(environ, start_response)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            request = self._read(environ)
        except Unreadable as refusal:
            path = environ.get("PATH_INFO", "")
            shown = path if _PATH.fullmatch(path) else "/"  # programs are told in their own form, whatever could not be read
            method = environ["REQUEST_METHOD"]
            request = Request(method if method in _METHODS else "GET", shown, (), (), {}, {}, "", new_reference())
            answer = self._last_resort(request, refusal)
            if refusal.status == 405:  # noqa: PLR2004 - RFC 9110 §15.5.6: says which methods there are
                answer = replace(answer, headers=(*answer.headers, ("Allow", ", ".join(sorted(self._routes.get(shown) or _OF_PAGES)))))
            return self._send(answer, request, start_response)
        methods = self._routes.get(request.path)
        if methods is None:
            environ["idp.request"] = request
            environ["wsgi.input"] = BytesIO(request.body)
            try:
                return self._pages(environ, self._watched(start_response, request))
            except Exception as error:  # noqa: BLE001 - the last resort of pages: a stranger never sees a trace
                return self._send(self._last_resort(request, error), request, start_response)
        try:
            endpoint = methods.get(request.method)
            if endpoint is None:
                answer = Answer(405, (("Allow", ", ".join(sorted(methods))),))
            else:
                answer = self._as_answer(endpoint(request), request)
        except Exception as error:  # noqa: BLE001 - the last resort: a stranger never sees a trace
            answer = self._last_resort(request, error)
        return self._send(answer, request, start_response)

    def _last_resort(self, request: Request, error: Exception) -> Answer:
        """Return the answer to what a step raised; where its page cannot be written either, a bare line with the reference."""
        for _ in range(2):
            try:
                return self._as_answer(self._on_error(request, error), request)
            except Exception as another:  # noqa: BLE001 - answered in its turn, so that it is logged
                error = another
        return Answer(500, (("Content-Type", "text/plain; charset=utf-8"),), f"Something went wrong here: {request.request_id}\n".encode())

    def _as_answer(self, answer: Answer | PageAnswer, request: Request) -> Answer:
        return self._render(answer, request) if isinstance(answer, PageAnswer) else answer

    def _send(self, answer: Answer, request: Request, start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = () if answer.status in _NO_CONTENT else (("Content-Length", str(len(answer.body))),)
        headers = [*answer.headers, *length, *self._always]
        start_response(_STATUS.get(answer.status) or f"{answer.status} Status", headers)
        self._after(request, answer.status)
        return (answer.body if request.method != "HEAD" else b"",)

    def _watched(self, start_response: Callable[..., Any], request: Request) -> Callable[..., Any]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            self._after(request, int(status[:3]))
            return start_response(status, [*headers, *self._always], *rest)

        return start

    # reading -------------------------------------------------------------------------------------------------------------------------

    def _read(self, environ: Mapping[str, Any]) -> Request:
        method = environ["REQUEST_METHOD"]
        if method not in _METHODS:
            raise Unreadable(405, "method")
        path = environ.get("PATH_INFO", "") or "/"
        if not _PATH.fullmatch(path) or "//" in path or path.removeprefix("/.well-known").find("/.") >= 0:
            raise Unreadable(404, "path")
        query_string = environ.get("QUERY_STRING", "")
        if len(query_string) > _MOST_LINE:
            raise Unreadable(414, "query")
        headers = self._read_headers(environ)
        if headers.get("host") != self._host and not path.startswith("/health/"):
            raise Unreadable(421, "host")
        body = b""
        form: Pairs = ()
        if method == "POST":
            body = _read_body(environ)
            kind = headers.get("content-type", "" if body else FORM_TYPE)  # who sends nothing need not say what it is
            if kind.partition(";")[0].strip().lower() != FORM_TYPE:
                raise Unreadable(415, "content type")
            form = read_pairs(body)
        return Request(
            method=method,
            path=path,
            query=read_pairs(_as_sent(query_string)) if query_string else (),
            form=form,
            headers=headers,
            cookies=_read_cookies(environ.get("HTTP_COOKIE", "")),
            address=self._read_address(environ),
            request_id=new_reference(),
            body=body,
        )

    @staticmethod
    def _read_headers(environ: Mapping[str, Any]) -> dict[str, str]:
        headers = {}
        for name, known in _SINGLE_HEADERS.items():
            value = environ.get(name)
            if value:
                if len(value) > _MOST_HEADER:
                    raise Unreadable(431, known)
                if "," in value:  # sent twice, and joined by the server
                    raise Unreadable(400, known)
                headers[known] = value
        for name, known in _LIST_HEADERS.items():
            value = environ.get(name)
            if value:
                headers[known] = value[:_MOST_HEADER]
        return headers

    def _read_address(self, environ: Mapping[str, Any]) -> str:
        peer = str(environ.get("REMOTE_ADDR") or "")
        forwarded = environ.get("HTTP_X_FORWARDED_FOR")
        if not forwarded or not self._proxies:
            return peer
        for hop in [*reversed([part.strip() for part in forwarded.split(",")])]:
            if not self._is_proxy(peer):
                break
            try:
                peer = str(ip_address(hop))
            except ValueError:
                raise Unreadable(400, "x-forwarded-for") from None
        return peer

    def _is_proxy(self, address: str) -> bool:
        try:
            at = ip_address(address)
        except ValueError:
            return False
        return any(at in network for network in self._proxies)


def read_pairs(raw: bytes) -> Pairs:
    """Return the pairs of a query string or form body, each decoded once, strictly as UTF-8 without control characters.

    Raises:
        Unreadable: it cannot be.
    """
    if not raw:
        return ()
    parts = raw.split(b"&")
    if len(parts) > _MOST_PAIRS:
        raise Unreadable(400, "too many parameters")
    return tuple(_decode_pair(part) for part in parts if part)


def _as_sent(text: str) -> bytes:
    """Return the bytes of a text of the environ (PEP 3333: one character a byte)."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise Unreadable(400, "charset") from None


def _decode_pair(part: bytes) -> tuple[str, str]:
    if b"%" in part and _BAD_ESCAPE.search(part):
        raise Unreadable(400, "escape")
    name, _, value = part.replace(b"+", b" ").partition(b"=")
    try:
        read = (unquote_to_bytes(name) if b"%" in name else name).decode(), (unquote_to_bytes(value) if b"%" in value else value).decode()
    except UnicodeDecodeError:
        raise Unreadable(400, "charset") from None
    if "\0" in read[0] or "\0" in read[1]:
        raise Unreadable(400, "control character")
    return read


def _read_body(environ: Mapping[str, Any]) -> bytes:
    length = environ.get("CONTENT_LENGTH")
    if length:
        if not _LENGTH.fullmatch(length):
            raise Unreadable(400, "content length")
        if int(length) > MOST_BODY:
            raise Unreadable(413, "body")
        body = environ["wsgi.input"].read(int(length))
        if len(body) != int(length):
            raise Unreadable(400, "body cut short")
        return bytes(body)
    body = environ["wsgi.input"].read(MOST_BODY + 1)
    if len(body) > MOST_BODY:
        raise Unreadable(413, "body")
    return bytes(body)


def _read_cookies(header: str) -> dict[str, str]:
    """Return the cookies; a name that comes twice was put there by somebody else, and is ignored altogether."""
    if not header:
        return {}
    cookies: dict[str, str] = {}
    twice: set[str] = set()
    for part in header[:_MOST_LINE].split(";"):
        name, equals, value = part.strip().partition("=")
        if not equals or not _COOKIE_NAME.fullmatch(name):
            continue
        if name in cookies:
            twice.add(name)
        cookies[name] = value
    return {name: value for name, value in cookies.items() if name not in twice}


def new_reference() -> str:
    """Return a fresh request id, short enough to be read over the telephone: ten characters, 50 bits."""
    number = int.from_bytes(random_bytes(7), "big")
    pairs = _REFERENCE_PAIRS
    return (
        pairs[number & 1023]
        + pairs[number >> 10 & 1023]
        + pairs[number >> 20 & 1023]
        + pairs[number >> 30 & 1023]
        + pairs[number >> 40 & 1023]
    )


_NO_CONTENT: Final = frozenset({204, 304})
"""Answers that have no length of their own (RFC 9110 §8.6)."""

_ALWAYS: Final = (("X-Content-Type-Options", "nosniff"), ("Server", "motcua"))
"""On every answer. The server below us would name itself where we did not."""

_HSTS: Final = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")

_STATUS: Final = {
    200: "200 OK",
    204: "204 No Content",
    303: "303 See Other",
    304: "304 Not Modified",
    400: "400 Bad Request",
    401: "401 Unauthorized",
    403: "403 Forbidden",
    404: "404 Not Found",
    405: "405 Method Not Allowed",
    413: "413 Content Too Large",
    414: "414 URI Too Long",
    415: "415 Unsupported Media Type",
    421: "421 Misdirected Request",
    429: "429 Too Many Requests",
    431: "431 Request Header Fields Too Large",
    500: "500 Internal Server Error",
    503: "503 Service Unavailable",
}

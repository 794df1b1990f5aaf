"""A browser without a screen: cookies, forms and redirects, as conversations on the wire.

Owns what a browser would do with an answer. Knows the names of fields that sign-in pages carry, and nothing of
where they come from: whatever provider is measured, its own HTML forms are read and filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

from tests.bench.wire import Answer, Conversation, Request

REDIRECTS = (302, 303)
MOST_STEPS = 20
BROWSER_HEADERS = (
    ("User-Agent", "Mozilla/5.0 (benchmark)"),
    ("Accept", "text/html,application/xhtml+xml"),
    ("Accept-Language", "vi,en;q=0.5"),
)


class UnexpectedPageError(Exception):
    """A page or an answer came that the conversation has no step for."""


@dataclass(slots=True)
class CookieJar:
    """The cookies of one origin, by name and path (RFC 6265 section 5.3, without domains and expiry dates ahead)."""

    values: dict[tuple[str, str], str] = field(default_factory=dict)

    def take(self, answer: Answer, path: str) -> None:
        """Keep what an answer sets, drop what it ends; `path` is the path that was asked."""
        for line in answer.header_values("set-cookie"):
            pair, *attributes = (part.strip() for part in line.split(";"))
            name, _, value = pair.partition("=")
            pairs = (attribute.partition("=") for attribute in attributes)
            settings = {key.lower(): text for key, _, text in pairs}
            scope = settings.get("path") or path.rpartition("/")[0] or "/"
            ended = settings.get("max-age") == "0" or "1970" in settings.get("expires", "")
            if ended:
                self.values.pop((name, scope), None)
            else:
                self.values[name, scope] = value

    def header(self, path: str) -> str:
        """Return the Cookie header for a path, longer cookie paths first, or the empty string."""
        fitting = [(len(scope), name, value) for (name, scope), value in self.values.items() if _covers(scope, path)]
        return "; ".join(f"{name}={value}" for _, name, value in sorted(fitting, key=lambda each: -each[0]))


def _covers(scope: str, path: str) -> bool:
    """Whether a cookie of `scope` goes to `path` (RFC 6265 section 5.1.4)."""
    return scope == path or path.startswith(scope if scope.endswith("/") else scope + "/")


@dataclass(slots=True)
class Form:
    """One form of a page: where it goes, what it already carries, and which buttons it offers."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: set[tuple[str, str]] = field(default_factory=set)


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.inside: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            method = attributes.get("method", "get").upper()
            self.inside = Form(attributes.get("action", ""), method)
            self.forms.append(self.inside)
            return
        name = attributes.get("name", "")
        if self.inside is None or not name or "disabled" in attributes:
            return
        value = attributes.get("value", "")
        kind = attributes.get("type", "submit" if tag == "button" else "text").lower()
        if tag in ("input", "button") and kind in ("submit", "radio", "checkbox", "image"):
            self.inside.choices.add((name, value or "on"))
            if "checked" in attributes:
                self.inside.fields[name] = value or "on"
        elif tag in ("input", "textarea"):
            self.inside.fields[name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = None


def read_forms(page: str) -> list[Form]:
    """Return the forms of a page in order, with hidden and visible fields and the buttons by name and value."""
    reader = _FormReader()
    reader.feed(page)
    return reader.forms


def fill(forms: list[Form], known: Mapping[str, Callable[[], str]]) -> tuple[Form, dict[str, str]] | None:
    """Choose the first form that asks for something known, and fill it in; None where no form asks for it.

    A field is asked for by its name. A button (or radio) is pressed where its name is known and its value is the known
    one. Values are made only when they are needed, so that a one-time code is taken at the last moment.
    """
    for form in forms:
        if form.method != "POST":
            continue
        asked = [name for name in form.fields if name in known]
        pressed = [(name, value) for name, value in form.choices if name in known and known[name]() == value]
        if asked or pressed:
            return form, form.fields | {name: known[name]() for name in asked} | dict(pressed)
    return None


@dataclass(slots=True)
class Browser:
    """One browser at one origin: it follows redirects and fills in forms until it is sent to `stop_at`."""

    origin: str
    jar: CookieJar = field(default_factory=CookieJar)

    def get(self, target: str) -> Conversation[Answer]:
        """Fetch a path of the origin as a top-level navigation."""
        return self._ask("GET", target, (("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")), b"")

    def _ask(self, method: str, target: str, more: tuple[tuple[str, str], ...], body: bytes) -> Conversation[Answer]:
        path = urlsplit(target).path
        cookies = self.jar.header(path)
        headers = (*BROWSER_HEADERS, *more, *((("Cookie", cookies),) if cookies else ()))
        answer = yield Request(method, target, headers, body)
        self.jar.take(answer, path)
        return answer

    def _submit(self, page: str, form: Form, values: Mapping[str, str]) -> Conversation[Answer]:
        target = self._local(urljoin(self.origin + page, form.action) if form.action else page)
        more = (
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Origin", self.origin),
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Mode", "navigate"),
        )
        return self._ask("POST", target, more, urlencode(values).encode())

    def _local(self, url: str) -> str:
        """Return path and query of an address at this origin."""
        parts = urlsplit(urljoin(self.origin, url))
        if f"{parts.scheme}://{parts.netloc}" != self.origin:
            message = f"sent away from {self.origin} to {url}"
            raise UnexpectedPageError(message)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def navigate(self, target: str, stop_at: str, known: Mapping[str, Callable[[], str]]) -> Conversation[str]:
        """Go to `target` and on through redirects and forms; return the address under `stop_at` it leads to."""
        answer = yield from self.get(target)
        filled: set[str] = set()
        for _ in range(MOST_STEPS):
            if answer.status in REDIRECTS:
                location = urljoin(self.origin + target, answer.header("location"))
                if location.startswith(stop_at):
                    return location
                target = self._local(location)
                answer = yield from self.get(target)
                continue
            page = answer.body.decode(errors="replace")
            found = fill(read_forms(page), known) if answer.status == 200 else None
            if found is None:
                message = f"{target}: {answer.status}, no form that asks for {sorted(known)}: {page[:2000]}"
                raise UnexpectedPageError(message)
            form, values = found
            # The same secret asked for a second time means that the first was refused: guessing on would lock accounts.
            secrets = {name for name in values if name in ("password", "code")}
            if secrets & filled:
                message = f"{target}: {sorted(secrets & filled)} refused: {page[:2000]}"
                raise UnexpectedPageError(message)
            filled |= secrets
            answer = yield from self._submit(target, form, values)
        message = f"no end after {MOST_STEPS} steps at {target}"
        raise UnexpectedPageError(message)

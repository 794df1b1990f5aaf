"""The eight operations of the load, each a conversation that checks every answer it gets.

Owns what a relying party and a browser send, and what they must get back. Knows nothing of processes or of which
provider answers: addresses come from discovery, pages are read as HTML.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pyotp

from tests.bench.browser import REDIRECTS, Browser
from tests.bench.wire import Answer, Conversation, Origin, Request, converse_once

if TYPE_CHECKING:
    from tests.bench.subject import Person, Service

OPERATIONS = (
    "discovery",
    "client_credentials",
    "refresh",
    "userinfo",
    "introspection",
    "sso",
    "sign_in",
    "sign_in_totp",
)
SCOPE = "openid profile"
SCOPE_OFFLINE = "openid profile offline_access"
SAMPLE_EVERY = 50
TOTP_PERIOD = 30
FORM = ("Content-Type", "application/x-www-form-urlencoded")
OK = 200


class WrongAnswerError(Exception):
    """An answer was not what the specifications promise; the measurement is worth nothing then."""


def require(holds: bool, what: str, answer: Answer) -> None:
    """Refuse an answer that does not hold."""
    if not holds:
        message = f"{what}: {answer.status} {dict(answer.headers)} {answer.body[:1000]!r}"
        raise WrongAnswerError(message)


def read_object(answer: Answer, what: str) -> dict[str, object]:
    """Return the JSON object of a 200 answer."""
    require(answer.status == OK, what, answer)
    require(answer.header("content-type").startswith("application/json"), f"{what} is not JSON", answer)
    document = json.loads(answer.body)
    require(isinstance(document, dict), f"{what} is not an object", answer)
    return dict(document)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Paths from the discovery document (OpenID Connect Discovery 1.0 section 3), and the document as it was."""

    authorize: str
    token: str
    userinfo: str
    introspection: str
    keys: str
    document: bytes


def discover(issuer: str) -> Endpoints:
    """Fetch and check the discovery document of an issuer whose endpoints all have its origin."""
    answer = converse_once(Origin.of(issuer), _get(DISCOVERY_PATH))
    document = read_object(answer, "discovery")
    require(document.get("issuer") == issuer, "discovery names another issuer", answer)

    def path(name: str) -> str:
        url = str(document.get(name, ""))
        require(Origin.of(url) == Origin.of(issuer), f"{name} is elsewhere", answer)
        return urlsplit(url).path

    return Endpoints(
        authorize=path("authorization_endpoint"),
        token=path("token_endpoint"),
        userinfo=path("userinfo_endpoint"),
        introspection=path("introspection_endpoint"),
        keys=path("jwks_uri"),
        document=answer.body,
    )


DISCOVERY_PATH = "/.well-known/openid-configuration"


def _get(target: str) -> Conversation[Answer]:
    return (yield Request("GET", target, (("Accept", "application/json"),)))


@dataclass(frozen=True, slots=True)
class SampledIdToken:
    """An ID token kept for checking after the measurement, and what it must say."""

    value: str
    nonce: str | None
    sub: str


@dataclass(slots=True)
class Visit:
    """One of the sessions that are kept going: a signed-in browser and what its relying party holds."""

    person: Person
    browser: Browser
    sub: str = ""
    access: str = ""
    refresh: str = ""


@dataclass(slots=True)
class People:
    """Those who sign in anew, in turn, so that nobody's one-time code is used twice."""

    waiting: deque[Person]
    last_step: dict[str, int] = field(default_factory=dict)

    def take(self) -> Person:
        """Return whoever has waited longest."""
        self.waiting.rotate(-1)
        return self.waiting[-1]

    def code_of(self, person: Person) -> str:
        """Return the one-time code of now (RFC 6238), and remember that its step is used."""
        now = time.time()
        self.last_step[person.username] = int(now // TOTP_PERIOD)
        return pyotp.TOTP(person.totp_secret).at(int(now))

    def seconds_until_free(self, count: int) -> float:
        """Return how long to wait until the next `count` people each have an unused code; 0 when they have."""
        now = time.time()
        soon = [self.last_step.get(person.username, 0) for person in list(self.waiting)[:count]]
        newest = max(soon, default=0)
        return max(0.0, (newest + 1) * TOTP_PERIOD - now)


class Load:
    """The load on one running subject: eight visits, many people, and the operations by name."""

    def __init__(self, service: Service, visits: int) -> None:
        """Read discovery; nobody is signed in yet."""
        self.service = service
        self.origin = Origin.of(service.issuer)
        self.endpoints = discover(service.issuer)
        base = f"http://{self.origin.authority}"
        first, others = service.people[:visits], service.people[visits:]
        self.visits = [Visit(person, Browser(base)) for person in first]
        self.people = People(deque(others))
        self.sample: list[SampledIdToken] = []
        self._seen = 0
        pair = ":".join(quote(part, safe="") for part in (service.client.client_id, service.client.secret))
        self._basic = ("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())

    # What is asked and checked at each endpoint

    def discovery(self) -> Conversation[None]:
        """Fetch the discovery document; it must be the one that was read and checked at the start."""
        answer = yield from _get(DISCOVERY_PATH)
        require(answer.status == OK and answer.body == self.endpoints.document, "discovery changed", answer)

    def client_credentials(self) -> Conversation[None]:
        """Get an access token for the client itself (RFC 6749 section 4.4)."""
        answer = yield self._form(self.endpoints.token, {"grant_type": "client_credentials"})
        document = self._tokens(answer, "client_credentials")
        require("refresh_token" not in document, "client_credentials gave a refresh token", answer)

    def refresh(self, visit: Visit) -> Conversation[None]:
        """Rotate the visit's refresh token (RFC 6749 section 6, OpenID Connect Core 1.0 section 12)."""
        before = visit.refresh
        fields = {"grant_type": "refresh_token", "refresh_token": before}
        answer = yield self._form(self.endpoints.token, fields)
        document = self._tokens(answer, "refresh")
        self._keep_id_token(document, visit, None, answer)
        visit.refresh = str(document.get("refresh_token", ""))
        require(visit.refresh not in ("", before), "refresh did not rotate", answer)

    def userinfo(self, visit: Visit) -> Conversation[None]:
        """Read the claims of the visit's person (OpenID Connect Core 1.0 section 5.3)."""
        headers = (("Authorization", f"Bearer {visit.access}"), ("Accept", "application/json"))
        answer = yield Request("GET", self.endpoints.userinfo, headers)
        document = read_object(answer, "userinfo")
        require(document.get("sub") == visit.sub, "userinfo is about somebody else", answer)
        require("name" in document, "userinfo lacks the profile", answer)

    def introspection(self, visit: Visit) -> Conversation[None]:
        """Ask about the visit's access token (RFC 7662 section 2)."""
        answer = yield self._form(self.endpoints.introspection, {"token": visit.access})
        document = read_object(answer, "introspection")
        require(document.get("active") is True, "the access token is not active", answer)
        require(document.get("client_id") == self.service.client.client_id, "another client's", answer)
        require(document.get("sub") == visit.sub, "introspection is about somebody else", answer)
        require("openid" in str(document.get("scope")).split(), "introspection lacks the scope", answer)
        require(isinstance(document.get("exp"), int), "introspection lacks exp", answer)

    def sso(self, visit: Visit) -> Conversation[None]:
        """Authorize in a live session with consent given, then redeem the code: two requests, no page."""
        asked = _Asked(self.service, SCOPE)
        answer = yield from visit.browser.get(f"{self.endpoints.authorize}?{asked.query()}")
        require(answer.status in REDIRECTS, "authorize showed a page in a live session", answer)
        yield from self._redeem(visit, asked, answer.header("location"))

    def sign_in(self, person: Person, *, with_code: bool) -> Conversation[None]:
        """Sign in with a fresh browser: from authorize through the pages to the tokens."""
        visit = Visit(person, Browser(f"http://{self.origin.authority}"))
        more = {"acr_values": self.service.totp_class} if with_code else {}
        claims = yield from self._walk(visit, _Asked(self.service, SCOPE, more), with_code=with_code)
        held = {"pwd", "otp"} if with_code else {"pwd"}
        amr = claims.get("amr")
        require(isinstance(amr, list) and held <= set(amr), f"the ID token hides {held}", Answer(0, (), repr(claims).encode()))

    def open_visit(self, visit: Visit) -> Conversation[None]:
        """Sign a visit in and get its refresh token: consent is asked for, as offline access needs."""
        offline = _Asked(self.service, SCOPE_OFFLINE, {"prompt": "consent"})
        yield from self._walk(visit, offline, with_code=False)
        require(bool(visit.refresh), "no refresh token for offline_access", Answer(0, (), b""))
        yield from self._walk(visit, _Asked(self.service, SCOPE), with_code=False)

    def _walk(self, visit: Visit, asked: _Asked, *, with_code: bool) -> Conversation[dict[str, object]]:
        known: dict[str, Callable[[], str]] = {
            "username": lambda: visit.person.username,
            "password": lambda: visit.person.password,
            "decision": lambda: "allow",
        }
        if with_code:
            known["code"] = lambda: self.people.code_of(visit.person)
        target = f"{self.endpoints.authorize}?{asked.query()}"
        location = yield from visit.browser.navigate(target, self.service.client.redirect_uri, known)
        return (yield from self._redeem(visit, asked, location))

    def _redeem(self, visit: Visit, asked: _Asked, location: str) -> Conversation[dict[str, object]]:
        """Check the authorization response (RFC 6749 section 4.1.2, RFC 9207), redeem its code, return the claims."""
        shown = Answer(0, (("location", location),), b"")
        require(location.startswith(self.service.client.redirect_uri + "?"), "sent elsewhere", shown)
        response = dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))
        require(response.get("state") == asked.state, "another state", shown)
        require(response.get("iss") == self.service.issuer, "another issuer", shown)
        require(bool(response.get("code")), "no code", shown)
        fields = {
            "grant_type": "authorization_code",
            "code": response["code"],
            "redirect_uri": self.service.client.redirect_uri,
            "code_verifier": asked.verifier,
        }
        answer = yield self._form(self.endpoints.token, fields)
        document = self._tokens(answer, "code")
        visit.access = str(document["access_token"])
        visit.refresh = str(document.get("refresh_token", visit.refresh))
        return self._keep_id_token(document, visit, asked.nonce, answer)

    def _form(self, path: str, fields: Mapping[str, str]) -> Request:
        return Request("POST", path, (FORM, ("Accept", "application/json"), self._basic), urlencode(fields).encode())

    def _tokens(self, answer: Answer, what: str) -> dict[str, object]:
        """Check a token response (RFC 6749 section 5.1)."""
        document = read_object(answer, what)
        lifetime = document.get("expires_in")
        require(bool(document.get("access_token")), f"{what}: no access token", answer)
        require(str(document.get("token_type")).lower() == "bearer", f"{what}: not a bearer token", answer)
        require(isinstance(lifetime, int) and lifetime > 0, f"{what}: no lifetime", answer)
        require("no-store" in answer.header("cache-control"), f"{what}: may be cached", answer)
        return document

    def _keep_id_token(
        self, document: Mapping[str, object], visit: Visit, nonce: str | None, answer: Answer
    ) -> dict[str, object]:
        """Check the shape of each ID token, keep a sample for `verify_sample`, return its claims."""
        value = str(document.get("id_token", ""))
        require(value.count(".") == 2, "no ID token", answer)
        payload = value.split(".")[1]
        claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        require(not visit.sub or claims.get("sub") == visit.sub, "the ID token is about somebody else", answer)
        visit.sub = str(claims.get("sub", ""))
        if self._seen % SAMPLE_EVERY == 0:
            self.sample.append(SampledIdToken(value, nonce, visit.sub))
        self._seen += 1
        return claims

    # The operations by name

    def conversation(self, operation: str, visit: Visit) -> Conversation[None]:
        """Begin one operation in the place of a visit."""
        begin: dict[str, Callable[[], Conversation[None]]] = {
            "discovery": self.discovery,
            "client_credentials": self.client_credentials,
            "refresh": lambda: self.refresh(visit),
            "userinfo": lambda: self.userinfo(visit),
            "introspection": lambda: self.introspection(visit),
            "sso": lambda: self.sso(visit),
            "sign_in": lambda: self.sign_in(self.people.take(), with_code=False),
            "sign_in_totp": lambda: self.sign_in(self.people.take(), with_code=True),
        }
        return begin[operation]()


class _Asked:
    """One authorization request with secrets of its own: state, nonce, and the verifier of RFC 7636."""

    def __init__(self, service: Service, scope: str, more: Mapping[str, str] | None = None) -> None:
        self.state, self.nonce, self.verifier = (secrets.token_urlsafe(size) for size in (16, 16, 32))
        self._fields = {
            "response_type": "code",
            "client_id": service.client.client_id,
            "redirect_uri": service.client.redirect_uri,
            "scope": scope,
            **(more or {}),
        }

    def query(self) -> str:
        """Return the query of the request."""
        hashed = hashlib.sha256(self.verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()
        proof = {"code_challenge": challenge, "code_challenge_method": "S256"}
        return urlencode(self._fields | proof | {"state": self.state, "nonce": self.nonce})

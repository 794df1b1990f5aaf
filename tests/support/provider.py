"""The provider inside the test process, on real engines: asked over WSGI, byte for byte what a server would hand it."""

from __future__ import annotations

import base64
import html.parser
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

import pyotp

from idp.accounts.model import PersonDeclaration, PersonType
from idp.app import create_door
from idp.assurance.events import CheckedFact
from idp.audit.model import Origin
from idp.authenticators.model import TotpRefused
from idp.demo.engines import DatabaseUrls, Engines
from idp.demo.people import synthetic_person
from idp.enrolment.model import Activated, NewSecondFactor
from idp.grants.model import Lifetimes
from idp.jose import PublicKeys
from idp.kernel.clock import Clock
from idp.kernel.digests import new_bearer, s256
from idp.keys.model import KeyEncryption
from idp.keys.service import KeyKeeper
from idp.rooms import Rooms, Wanted, build_rooms
from idp.sessions.model import SessionPolicy
from idp.settings import read_settings
from idp.storage.postgres import Database

OPERATOR = Origin.operated("test")
LEVEL_ONE = ("register_match", "phone_owned")
LEVEL_TWO = (*LEVEL_ONE, "counter_identity_check", "card_chip_read", "biometric_match")


@dataclass(frozen=True)
class Answered:
    """What the provider answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first header of that name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def location(self) -> str:
        """Where it sends the browser."""
        value = self.header("location")
        assert value is not None, f"no Location in {self.status}: {self.body[:300]!r}"
        return value

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters in the address it sends the browser to."""
        return dict(parse_qsl(urlsplit(self.location).query))


class _Forms(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given.get("action", ""), {}))
        elif tag == "input" and self.forms and given.get("name") and given.get("type") != "checkbox":
            self.forms[-1][1][given["name"]] = given.get("value", "")


@dataclass
class Provider:
    """A provider of its own: a database, keys, rooms, a clock that stands until it is moved."""

    rooms: Rooms
    owner: Database
    clock: Any
    """A `FixedClock`, but for a provider beside one that is served."""
    keeper: KeyKeeper
    door: Any
    settings: Any
    people: int = 0

    def close(self) -> None:
        """Close what it holds."""
        self.rooms.database.close()
        self.rooms.ephemeral.close()
        self.owner.close()

    @property
    def host(self) -> str:
        """The host and port of the issuer."""
        return urlsplit(self.rooms.issuer).netloc

    def call(
        self,
        method: str,
        target: str,
        form: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
    ) -> Answered:
        """Send one request and return the answer."""
        parts = urlsplit(target)
        if form is not None:
            body = urlencode(form).encode()
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": parts.path or "/",
            "QUERY_STRING": parts.query,
            "HTTP_HOST": self.host,
            "REMOTE_ADDR": address,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body or b""),
            "wsgi.errors": sys.stderr,
        }
        if body is not None:
            environ["CONTENT_LENGTH"] = str(len(body))
        if body:
            environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
        for name, value in (headers or {}).items():
            key = name.upper().replace("-", "_")
            environ[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else "HTTP_" + key] = value
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, sent: list[tuple[str, str]], *_: Any) -> None:
            started.append((status, sent))

        content = b"".join(self.door(environ, start))
        status, sent = started[-1]
        return Answered(int(status[:3]), sent, content)

    def person(self, *, ial: int = 1, second_factor: bool = True, locale: str = "vi") -> Person:
        """Make a synthetic person with an account, through the same doors that operators and the person use."""
        self.people += 1
        made = synthetic_person(self.people)
        declaration = PersonDeclaration(
            person_type=PersonType.CITIZEN,
            personal_number=made.personal_number,
            full_name=made.full_name,
            birth_date=made.birth_date,
            sex=made.sex,
            nationality="VN",
            phone=made.phone,
            email=made.email,
            address=made.address,
            locale=locale,
        )
        account_id = self.rooms.accounts.add(declaration, OPERATOR)
        holder_id = self.rooms.accounts.show(account_id).holder_id
        for kind in {0: (), 1: LEVEL_ONE, 2: LEVEL_TWO}[ial]:
            self.rooms.levels.add_evidence(holder_id, CheckedFact(kind, "counter 1", "test procedure", self.clock.now()), OPERATOR)
        self.rooms.levels.current(holder_id)
        code = self.rooms.activation.issue(account_id, by="test", origin=OPERATOR)
        password = new_bearer("")
        secret = self.rooms.totp.new_secret() if second_factor else ""
        try:
            activated = self._activate(code, password, secret)
        except TotpRefused:  # with a clock that runs, a step began between the code and its check; another does not begin so soon
            activated = self._activate(code, password, secret)
        return Person(account_id, holder_id, made.personal_number, made.full_name, password, secret, activated.recovery_codes)

    def _activate(self, code: str, password: str, secret: str) -> Activated:
        """Use up the code of the step before, if there is a secret: so that the present one is still good."""
        factor = NewSecondFactor(secret, pyotp.TOTP(secret).at(self.clock.now() - timedelta(seconds=30))) if secret else None
        return self.rooms.activation.complete(code, password, factor, OPERATOR)

    def client(self, client_id: str = "portal", **declared: Any) -> Portal:
        """Register a client and return it as a relying party."""
        declaration: dict[str, Any] = {
            "client_id": client_id,
            "client_name": "Cổng mẫu",
            "profile": "baseline",
            "redirect_uris": [f"https://{client_id}.example/cb"],
            "post_logout_redirect_uris": [f"https://{client_id}.example/bye"],
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "scope": "openid profile email phone address identity offline_access",
        } | declared
        declaration = {name: value for name, value in declaration.items() if value is not None}
        (change,) = self.rooms.clients.import_([declaration], origin=OPERATOR)
        return Portal(self, client_id, change.new_secret or str(declaration.get("client_secret", "")), declaration)


@dataclass(frozen=True)
class Person:
    """Somebody who can sign in."""

    account_id: UUID
    holder_id: UUID
    username: str
    name: str
    password: str
    totp_secret: str
    recovery_codes: tuple[str, ...]

    def code(self, clock: Clock) -> str:
        """Return the code that the authenticator application shows now."""
        return pyotp.TOTP(self.totp_secret).at(clock.now())


@dataclass
class Browser:
    """A browser without JavaScript: keeps cookies, follows redirects within the provider, fills in forms."""

    provider: Provider
    cookies: dict[str, str] = field(default_factory=dict)
    page: Answered | None = None
    at: str = "/"

    def open(self, target: str) -> Answered:
        """Open an address and follow redirects as long as they stay within the provider."""
        return self._follow(self._send("GET", target))

    def send(self, method: str, target: str, form: Mapping[str, str] | None = None, **headers: str) -> Answered:
        """Send one request with this browser's cookies, following nothing."""
        return self._send(method, target, form, headers)

    def submit(self, **filled: str) -> Answered:
        """Fill in the form of the page and send it."""
        action, fields = self.form()
        return self._follow(self._send("POST", action or self.at, fields | filled, {"Sec-Fetch-Site": "same-origin"}))

    def form(self) -> tuple[str, dict[str, str]]:
        """Return where the form of the page goes, and the fields it has."""
        assert self.page is not None
        parser = _Forms()
        parser.feed(self.page.text)
        assert parser.forms, f"no form on the page {self.at}: {self.page.text[:600]}"
        return parser.forms[0]

    def _send(self, method: str, target: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Answered:
        sent = dict(headers or {})
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answered = self.provider.call(method, target, form, headers=sent)
        for name, value in answered.headers:
            if name == "Set-Cookie":
                for morsel in SimpleCookie(value).values():
                    if morsel["max-age"] == "0":
                        self.cookies.pop(morsel.key, None)
                    else:
                        self.cookies[morsel.key] = morsel.value
        self.at = target
        self.page = answered
        return answered

    def _follow(self, answered: Answered) -> Answered:
        for _ in range(12):
            if answered.status != 303 or not answered.location.startswith("/"):
                return answered
            answered = self._send("GET", answered.location)
        message = f"redirected without end, last to {answered.location}"
        raise AssertionError(message)

    def sign_in(self, person: Person, answered: Answered | None = None) -> Answered:
        """Answer whatever page comes up, as this person would, until the provider sends the browser away or shows something else."""
        answered = answered or self.page
        assert answered is not None
        for _ in range(8):
            if answered.status != 200:
                return answered
            text = answered.text
            if 'id="password"' in text and 'id="username"' in text:
                answered = self.submit(username=person.username, password=person.password)
            elif 'id="code"' in text and "/totp" in self.at:
                answered = self.submit(code=person.code(self.provider.clock))
            elif 'value="allow"' in text:
                answered = self.submit(decision="allow")
            else:
                return answered
        return answered


@dataclass
class Portal:
    """A relying party that asks what a test wants it to ask."""

    provider: Provider
    client_id: str
    secret: str
    declaration: dict[str, Any]
    verifier: str = "v" * 43

    @property
    def redirect_uri(self) -> str:
        return str(self.declaration["redirect_uris"][0])

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()

    def ask(self, **changes: str | None) -> str:
        """Return the address of an authorization request; `changes` replace or, as None, remove parameters."""
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid profile",
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": s256(self.verifier),
            "code_challenge_method": "S256",
        }
        if self.declaration["profile"] == "legacy":
            parameters |= {"code_challenge": None, "code_challenge_method": None, "nonce": None}
        parameters |= changes
        return "/authorize?" + urlencode({name: value for name, value in parameters.items() if value is not None})

    def code_for(self, browser: Browser, person: Person, **changes: str | None) -> str:
        """Walk a browser to a code."""
        answered = browser.sign_in(person, browser.open(self.ask(**changes)))
        assert "code" in answered.parameters, f"{answered.status} at {browser.at}: {answered.header('location') or answered.text[:800]}"
        return answered.parameters["code"]

    def call(self, path: str, form: Mapping[str, str], *, authenticated: bool = True) -> Answered:
        """Send a form to an endpoint that clients call directly."""
        headers: dict[str, str] = {}
        if authenticated and self.declaration["token_endpoint_auth_method"] == "client_secret_basic":
            headers["Authorization"] = self.authorization
        elif authenticated and self.declaration["token_endpoint_auth_method"] == "client_secret_post":
            form = {**form, "client_id": self.client_id, "client_secret": self.secret}
        elif authenticated:
            form = {**form, "client_id": self.client_id}
        return self.provider.call("POST", path, form, headers=headers)

    def redeem(self, code: str, **changes: str | None) -> Answered:
        """Redeem a code."""
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": None if self.declaration["profile"] == "legacy" else self.verifier,
        } | changes
        return self.call("/token", {name: value for name, value in form.items() if value is not None})

    def refresh(self, token: str, **changes: str) -> Answered:
        """Use a refresh token."""
        return self.call("/token", {"grant_type": "refresh_token", "refresh_token": token, **changes})

    def userinfo(self, token: str) -> Answered:
        """Fetch the claims behind an access token."""
        return self.provider.call("GET", "/userinfo", headers={"Authorization": "Bearer " + token})

    def introspect(self, token: str) -> dict[str, Any]:
        """Ask what a token is good for."""
        return self.call("/introspect", {"token": token}).json

    def revoke(self, token: str) -> Answered:
        """Give a token back."""
        return self.call("/revoke", {"token": token})

    def keys(self) -> PublicKeys:
        """Return the provider's public keys."""
        return PublicKeys.from_jwks(self.provider.call("GET", "/jwks").json)


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a compact token without judging it."""
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))


def make_provider(
    engines: Engines,
    urls: DatabaseUrls,
    clock: Clock,
    *,
    volume_factor: int = 1000,
    issuer: str = "http://localhost:8000",
    wrapping_key: bytes | None = None,
) -> Provider:
    """Return a provider on a migrated database; with `wrapping_key`, beside one that is served and made the keys already."""
    wrapping = "test:" + base64.urlsafe_b64encode(wrapping_key or os.urandom(32)).decode()
    settings = read_settings(
        {
            "IDP_MODE": "test",
            "IDP_ISSUER": issuer,
            "IDP_DATABASE_URL": urls.app,
            "IDP_REDIS_URL": engines.redis_url,
            "IDP_KEY_ENCRYPTION_KEYS": wrapping,
        }
    )
    encryption = KeyEncryption({"test": base64.urlsafe_b64decode(wrapping.partition(":")[2])})
    owner = Database(urls.owner)
    keeper = KeyKeeper(owner, encryption, clock)
    if wrapping_key is None:
        keeper.make_first_keys(OPERATOR)
    rooms = build_rooms(
        Wanted(
            issuer=issuer,
            zone="Asia/Ho_Chi_Minh",
            country="VN",
            assurance_policy="vn-2026-1",
            database_url=urls.app,
            redis_url=engines.redis_url,
            key_encryption=encryption,
            session_policy=SessionPolicy(),
            lifetimes=Lifetimes(),
            hash_slots=2,
            volume_factor=volume_factor,
        ),
        clock,
    )
    return Provider(rooms, owner, clock, keeper, create_door(settings, rooms), settings)

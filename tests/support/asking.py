"""Short ways to where a test begins: somebody signed in, tokens bought, time passed, a client with a key of its own."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from idp.kernel.clock import FixedClock
from tests.support.provider import Answered, Browser, Person, Portal, Provider

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ISSUER = "http://localhost:8000"


def later(op: Provider, **by: float) -> None:
    """Let time pass, in the words of `timedelta`."""
    assert isinstance(op.clock, FixedClock)
    op.clock.advance(timedelta(**by))


def seconds_now(op: Provider) -> int:
    """Return the provider's time in seconds since 1970."""
    return int(op.clock.now().timestamp())


def signed_in(op: Provider, portal: Portal, person: Person, **asked: str | None) -> Browser:
    """Return a browser in which this person has signed in, and has allowed this portal what it asks for."""
    browser = Browser(op)
    portal.code_for(browser, person, **asked)
    later(op, seconds=1)
    return browser


def bought(portal: Portal, browser: Browser, person: Person, **asked: str | None) -> dict[str, Any]:
    """Return what a code of this browser buys."""
    answered = portal.redeem(portal.code_for(browser, person, **asked))
    assert answered.status == 200, answered.text
    return answered.json


def answer_of(portal: Portal, browser: Browser, **asked: str | None) -> dict[str, str]:
    """Ask with this browser, which has to be answered at once; return the parameters of the answer."""
    answered = browser.send("GET", portal.ask(**asked))
    assert answered.status == 303, f"{answered.status}: {answered.text[:400]}"
    assert answered.location.startswith(portal.redirect_uri + "?"), answered.location
    return answered.parameters


def page_of(browser: Browser, target: str) -> str:
    """Open an address; return the name of the page on which that ends: `sign-in`, `consent` …, or `portal` beyond the provider."""
    answered = browser.open(target)
    if answered.status == 303:
        return "portal"
    assert answered.status == 200, f"{answered.status}: {answered.text[:400]}"
    return browser.at.rpartition("/")[2]


def client_uuid(op: Provider, client_id: str) -> UUID:
    """Return the id that a client has in the database."""
    found = op.rooms.clients.find(client_id)
    assert found is not None
    return found.id


def statement(claims: dict[str, Any], key: ECKey | OKPKey | RSAKey, header: dict[str, Any]) -> str:
    """Return `claims` signed with `key`, under exactly this header: for statements that the provider would never make."""
    signing_input = part(header) + "." + part(claims)
    algorithm: Any = JWSRegistry.algorithms[header["alg"]]
    return signing_input + "." + part(algorithm.sign(signing_input.encode(), key))


def part(value: object) -> str:
    """Return one part of a compact JWS: JSON in base64url, or bytes in base64url."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def new_key(alg: str) -> ECKey | OKPKey | RSAKey:
    """Return a fresh private key for a client that signs with `alg`."""
    if alg.startswith("ES"):
        return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg])
    if alg in {"EdDSA", "Ed25519"}:
        return OKPKey.generate_key("Ed25519")
    return RSAKey.generate_key(2048)


@dataclass
class KeyedPortal:
    """A relying party that authenticates with `private_key_jwt`."""

    portal: Portal
    key: ECKey | OKPKey | RSAKey
    alg: str
    kid: str = "of-the-client"

    @classmethod
    def register(cls, op: Provider, client_id: str, alg: str = "ES256", **declared: Any) -> KeyedPortal:
        """Register a client with a fresh key."""
        key = new_key(alg)
        public = key.as_dict(private=False) | {"kid": cls.kid}
        declared = {"grant_types": ["authorization_code", "refresh_token", "client_credentials"]} | declared
        portal = op.client(client_id, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [public]}, **declared)
        return cls(portal, key, alg)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a good assertion; `changes` replace or, as None, remove."""
        now = seconds_now(self.portal.provider)
        claims: dict[str, Any] = {
            "iss": self.portal.client_id,
            "sub": self.portal.client_id,
            "aud": ISSUER,
            "iat": now,
            "exp": now + 60,
            "jti": uuid4().hex,
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def assertion(self, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Return an assertion; `changes` are to its claims, `header` to its header."""
        head = {"alg": self.alg, "kid": self.kid} | (header or {})
        return statement(self.claims(**changes), self.key, {name: value for name, value in head.items() if value is not None})

    def call(self, path: str, form: dict[str, str], assertion: str | None = None) -> Answered:
        """Send a form with an assertion: a fresh good one if none is given."""
        proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion or self.assertion()}
        return self.portal.provider.call("POST", path, form | proof)

    def credentials(self, assertion: str | None = None) -> Answered:
        """Ask for a token of its own: the shortest way to see whether the client was authenticated."""
        return self.call("/token", {"grant_type": "client_credentials"}, assertion)

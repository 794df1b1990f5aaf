"""A provider just large enough to answer one portal, and able to answer wrongly on purpose."""

from __future__ import annotations

import hashlib
import re
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Flask, Response, abort, jsonify, request
from joserfc import jwt
from joserfc.jwk import ECKey
from werkzeug.serving import make_server

from clients.portal.app import Portal, create_app
from clients.portal.settings import PortalSettings

PORTAL_URL = "http://localhost:18349"


@dataclass
class ToyProvider:
    """What it answers can be bent before each step; what it was asked can be read afterwards."""

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "k1", "alg": "ES256"}, private=True))
    issuer: str = ""
    id_token: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    token_error: str | None = None
    token_status: int = 400
    expires_in: int = 300
    seen: list[dict[str, str]] = field(default_factory=list)
    nonce: str = ""
    challenge: str = ""

    def answer(self, url: str, **instead: str | None) -> str:
        """Return the redirect that answers the authorization request at `url`."""
        asked = dict(parse_qsl(urlsplit(url).query))
        self.nonce, self.challenge = asked.get("nonce", ""), asked.get("code_challenge", "")
        told: dict[str, str | None] = {"code": "code-1", "state": asked["state"], "iss": self.issuer, **instead}
        return "/signed-in?" + urlencode({name: value for name, value in told.items() if value is not None})

    def logout_token(self, **instead: Any) -> str:
        """Return a logout token for the session that `tokens` opened."""
        at = int(datetime.now(UTC).timestamp())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": "national-portal",
            "iat": at,
            "exp": at + 120,
            "jti": "jti-1",
            "sub": "sub-1",
            "sid": "sid-1",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        }
        header = {"alg": "ES256", "kid": self.key.kid or "", "typ": "logout+jwt"}
        return jwt.encode(header, claims | instead, self.key)

    def tokens(self) -> dict[str, Any]:
        at = int(datetime.now(UTC).timestamp())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": "sub-1",
            "aud": "national-portal",
            "iat": at,
            "exp": at + 300,
            "auth_time": at,
            "nonce": self.nonce,
            "sid": "sid-1",
            "acr": "urn:motcua:acr:ial1.aal2",
            "ial": 1,
            "aal": 2,
            "amr": ["pwd", "otp"],
        }
        merged = {name: value for name, value in (claims | self.id_token).items() if value is not None}
        return {
            "access_token": f"access-{len(self.seen)}",
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "scope": "openid profile identity",
            "refresh_token": f"refresh-{len(self.seen)}",
            "id_token": jwt.encode({"alg": "ES256", "kid": self.key.kid or ""}, merged, self.key),
        }

    def application(self) -> Flask:
        app = Flask("toy")

        @app.get("/.well-known/openid-configuration")
        def configuration() -> Response:
            return jsonify(
                issuer=self.issuer,
                authorization_endpoint=f"{self.issuer}/authorize",
                token_endpoint=f"{self.issuer}/token",
                userinfo_endpoint=f"{self.issuer}/userinfo",
                end_session_endpoint=f"{self.issuer}/logout",
                jwks_uri=f"{self.issuer}/jwks",
                authorization_response_iss_parameter_supported=True,
                id_token_signing_alg_values_supported=["ES256", "RS256"],
            )

        @app.get("/jwks")
        def jwks() -> Response:
            return jsonify(keys=[self.key.as_dict(private=False)])

        @app.post("/token")
        def token() -> tuple[Response, int]:
            asked = request.form.to_dict()
            self.seen.append(asked)
            if self.token_error is not None:
                return jsonify(error=self.token_error), self.token_status
            if asked["grant_type"] == "authorization_code":
                verifier = hashlib.sha256(asked["code_verifier"].encode()).digest()
                assert urlsafe_b64encode(verifier).decode().rstrip("=") == self.challenge
            return jsonify(self.tokens()), 200

        @app.get("/userinfo")
        def userinfo() -> Response:
            if not request.headers.get("Authorization", "").startswith("Bearer access-"):
                abort(401)
            told = {"sub": "sub-1", "name": "Trần Thị Hồng Nhung", "birthdate": "1990-05-20"}
            return jsonify(told | {"personal_number": "001190000123"} | self.userinfo)

        return app


@contextmanager
def running_provider() -> Iterator[ToyProvider]:
    """Serve a toy provider on a free loopback port."""
    toy = ToyProvider()
    server = make_server("127.0.0.1", 0, toy.application(), threaded=True)
    toy.issuer = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield toy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class PortalUnderTest:
    """A portal, a browser in front of it, and a clock that can be moved."""

    app: Flask
    offset: timedelta = timedelta()

    def __post_init__(self) -> None:
        self.browser = self.app.test_client()
        portal: Portal = self.app.extensions["portal"]
        self.store = portal.store
        self.app.extensions["portal"] = replace(portal, now=lambda: datetime.now(UTC) + self.offset)

    def get(self, path: str) -> Any:
        return self.browser.get(path, base_url=PORTAL_URL)

    def post(self, path: str, **form: str) -> Any:
        return self.browser.post(path, data=form, base_url=PORTAL_URL)

    def form_token(self, path: str) -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', self.get(path).text)
        assert found is not None
        return found[1]

    def cookie(self) -> str:
        found = self.browser.get_cookie("portal_national", domain="localhost")
        assert found is not None
        return found.value

    def sign_in(self, provider: ToyProvider, path: str = "/sign-in", **instead: str | None) -> Any:
        return self.get(provider.answer(self.get(path).location, **instead))


def portal_of(provider: ToyProvider, var: Path) -> PortalUnderTest:
    """Return a national portal that trusts `provider` and keeps what it knows in `var`."""
    settings = PortalSettings.from_environment(
        {"PORTAL_URL": PORTAL_URL, "PORTAL_ISSUER": provider.issuer, "PORTAL_VAR": str(var)}
    )
    return PortalUnderTest(create_app(settings))

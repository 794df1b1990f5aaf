"""The protocol side of a portal, on Authlib's Flask client: sign-in, refresh, userinfo, logout.

Authlib does PKCE, client authentication and signatures. What it leaves to its caller is done here: the issuer
of the metadata and of every answer is checked (RFC 9207), algorithms are pinned, `sub` of userinfo and of
refreshed ID tokens must stay the same, and each failure becomes one of three exceptions. Pages know only those.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import OAuth
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from .logout import LogoutKeyUnknown, LogoutNotice, read_logout_token
from .store import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from authlib.integrations.flask_client import FlaskOAuth2App
    from flask import Flask
    from joserfc.jwk import ECKey

    from .settings import PortalSettings

ALGORITHM = "ES256"
ASSERTION_FOR = timedelta(seconds=60)
CLOCKS_APART = timedelta(seconds=30)
ACCESS_FOR = timedelta(minutes=5)
"""What is assumed when the token endpoint does not say how long an access token lives."""
KEYS_ANEW_AFTER = timedelta(seconds=30)
"""Anybody may post logout tokens with unknown key ids: they must not make us fetch keys each time."""
METADATA_FOR = timedelta(hours=1)
PROTOCOL_CLAIMS = ("sub", "sid", "acr", "amr", "auth_time", "ial", "aal")
"""Taken from the signed ID token only; userinfo cannot say anything about them."""

_CLASS = re.compile(r"urn:motcua:acr:ial(\d)\.aal(\d)")


class ProviderAway(Exception):
    """The provider cannot be reached, or says that it is busy. Trying again later may help."""


class ProviderRefused(Exception):
    """The provider answered with an OAuth error."""

    def __init__(self, error: str, description: str = "") -> None:
        """Keep the error code; the description is for the log only."""
        super().__init__(error)
        self.error = error
        self.description = description


class AnswerRefused(Exception):
    """What came back is not what the provider we asked would have sent for this sign-in."""


@dataclass(frozen=True)
class SignedIn:
    """A validated answer: who, in which session, with which tokens and claims."""

    sub: str
    sid: str | None
    tokens: Tokens
    claims: dict[str, Any]


class IssuerBoundAssertion(PrivateKeyJWT):  # type: ignore[misc]  # the library has no types
    """`private_key_jwt` for the issuer, living a minute: one meant for another server is worth nothing here."""

    alg = ALGORITHM

    def sign(self, auth: Any, token_endpoint: str) -> str:
        """Return a client assertion with its own `jti` (RFC 7523 §3). The audience was given at construction."""
        key = cast("ECKey", auth.client_secret)
        assertion: str = private_key_jwt_sign(
            key,
            client_id=auth.client_id,
            token_endpoint=token_endpoint,
            alg=self.alg,
            header={"kid": key.kid},
            expires_in=int(ASSERTION_FOR.total_seconds()),
        )
        return assertion


def levels_of(acr: object) -> tuple[int, int] | None:
    """Return the identification and authentication level that a class names; None when it is no class of ours."""
    found = _CLASS.fullmatch(acr if isinstance(acr, str) else "")
    return None if found is None else (int(found[1]), int(found[2]))


def levels_reached(claims: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the levels that an ID token says are true.

    `ial` and `aal` say it outright; `acr` may name a lower class, the first one asked for that was met.
    """
    ial, aal = claims.get("ial"), claims.get("aal")
    if type(ial) is int and type(aal) is int:
        return ial, aal
    return levels_of(claims.get("acr"))


def meets(claims: Mapping[str, Any], wanted: str) -> bool:
    """Return whether both levels reach those of a class: `ial2.aal2` meets `ial1.aal2`, `ial2.aal1` does not."""
    have, want = levels_reached(claims), levels_of(wanted)
    return have is not None and want is not None and have[0] >= want[0] and have[1] >= want[1]


class Provider:
    """The provider as this portal sees it."""

    def __init__(self, app: Flask, settings: PortalSettings, key: ECKey) -> None:
        """Register with Authlib; nothing is fetched before somebody signs in."""
        self._settings = settings
        self._keys_fetched_at = datetime.min.replace(tzinfo=UTC)
        client_kwargs: dict[str, Any] = {
            "scope": settings.scope,
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": "private_key_jwt",
            "default_timeout": settings.provider_timeout.total_seconds(),
            # Neither ~/.netrc nor a proxy of the environment may come between us and the provider.
            "trust_env": False,
        }
        if settings.ca_file:
            client_kwargs["verify"] = settings.ca_file
        # Authlib's types stop at this constructor: what comes out is typed by hand.
        register: Callable[..., FlaskOAuth2App] = OAuth(app).register
        self._client = register(
            "provider",
            client_id=settings.client_id,
            client_secret=key,
            client_auth_methods=[IssuerBoundAssertion(settings.issuer)],
            server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs=client_kwargs,
        )

    def start(
        self,
        *,
        language: str,
        wanted_acr: str | None = None,
        prompt: str | None = None,
        login_hint: str | None = None,
    ) -> tuple[str, dict[str, str]]:
        """Return the address to send the browser to, and what must be kept for `finish`.

        `wanted_acr` is asked for as essential (OIDC Core §5.5.1.1): the provider then either meets it or says
        `unmet_authentication_requirements`.
        """
        asked: dict[str, str] = {"ui_locales": language}
        if wanted_acr:
            asked["claims"] = json.dumps({"id_token": {"acr": {"essential": True, "values": [wanted_acr]}}})
        else:
            asked["acr_values"] = self._settings.minimum_acr  # never both: OIDC Core §5.5.1.1
        if prompt:
            asked["prompt"] = prompt
        if login_hint:
            asked["login_hint"] = login_hint
        with self._failures():
            self._metadata()
            made = self._client.create_authorization_url(self._settings.redirect_uri, **asked)
        return made["url"], {name: made[name] for name in ("state", "nonce", "code_verifier")}

    def finish(self, answer: Mapping[str, str], kept: Mapping[str, str], *, now: datetime) -> SignedIn:
        """Turn the authorization response into a validated identity.

        Raises:
            ProviderRefused: the response, or the token endpoint, carries an error.
            AnswerRefused: it does not come from our provider, or a signature or claim is not as it must be.
            ProviderAway: the provider cannot be reached.
        """
        with self._failures():
            metadata = self._metadata()
            self._require_issuer(answer, metadata)
            if "error" in answer:
                raise ProviderRefused(answer["error"], answer.get("error_description", ""))
            if not answer.get("code"):
                message = "neither code nor error"
                raise AnswerRefused(message)
            bought = self._buy(
                redirect_uri=self._settings.redirect_uri,
                grant_type="authorization_code",
                code=answer["code"],
                code_verifier=kept["code_verifier"],
            )
            return self._identity(bought, nonce=kept["nonce"], former=None, now=now)

    def refresh(self, former: Tokens, sub: str, claims: Mapping[str, Any], *, now: datetime) -> SignedIn:
        """Spend the refresh token and fetch the claims anew (RFC 6749 §6, OIDC Core §12).

        Raises:
            ProviderRefused: `invalid_grant` means that the provider's session or the consent is over.
            AnswerRefused: the answer speaks of somebody else.
            ProviderAway: the provider cannot be reached.
        """
        with self._failures():
            self._metadata()
            bought = self._buy(grant_type="refresh_token", refresh_token=former.refresh_token, scope=former.scope)
            fresh = self._identity(bought, nonce=None, former=(former, claims), now=now)
        if fresh.sub != sub:
            message = "a refreshed identity of somebody else"
            raise AnswerRefused(message)
        return fresh

    def sign_out_address(self, id_token: str, *, language: str) -> tuple[str, str]:
        """Return the provider's logout address for this session, and the `state` that will come back."""
        with self._failures():
            self._metadata()
            made = self._client.create_logout_url(
                post_logout_redirect_uri=self._settings.post_logout_redirect_uri,
                id_token_hint=id_token,
                client_id=self._settings.client_id,
                ui_locales=language,
            )
        return made["url"], str(made["state"])

    def read_logout(self, compact: str, *, now: datetime) -> LogoutNotice:
        """Return what a logout token asks for.

        Raises:
            LogoutRefused: it is not acceptable.
            ProviderAway: the provider's keys cannot be had.
        """
        with self._failures():
            self._metadata()
            try:
                return self._read_logout(compact, now=now, anew=False)
            except LogoutKeyUnknown:
                if now - self._keys_fetched_at < KEYS_ANEW_AFTER:
                    raise
                self._keys_fetched_at = now
                return self._read_logout(compact, now=now, anew=True)

    def _buy(self, **asked: str | None) -> Mapping[str, Any]:
        fetch: Callable[..., Mapping[str, Any]] = self._client.fetch_access_token
        return fetch(**asked)

    def _read_logout(self, compact: str, *, now: datetime, anew: bool) -> LogoutNotice:
        keys = KeySet.import_key_set(self._client.fetch_jwk_set(force=anew))
        return read_logout_token(
            compact,
            keys,
            issuer=self._settings.issuer,
            client_id=self._settings.client_id,
            algorithms=[ALGORITHM],
            now=now,
        )

    def _metadata(self) -> dict[str, Any]:
        """Load discovery once an hour, and refuse it when it speaks for another issuer (OIDC Discovery §4.3)."""
        metadata: dict[str, Any] = self._client.server_metadata
        if metadata.get("_loaded_at", 0.0) < time.time() - METADATA_FOR.total_seconds():
            # A key that the provider withdrew must not be believed for as long as this process lives.
            metadata.pop("_loaded_at", None)
            metadata.pop("jwks", None)
        metadata = self._client.load_server_metadata()
        if metadata.get("issuer") != self._settings.issuer:
            metadata.pop("_loaded_at", None)
            message = "discovery names another issuer"
            raise AnswerRefused(message)
        # Authlib accepts whatever the metadata lists; this portal registered one algorithm.
        metadata["id_token_signing_alg_values_supported"] = [ALGORITHM]
        return metadata

    def _require_issuer(self, answer: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
        """RFC 9207 §2.4: an answer of another server must not reach the token endpoint of ours."""
        promised = metadata.get("authorization_response_iss_parameter_supported", False)
        if answer.get("iss", None if promised else self._settings.issuer) != self._settings.issuer:
            message = "the answer names another issuer, or none"
            raise AnswerRefused(message)

    def _identity(
        self,
        bought: Mapping[str, Any],
        *,
        nonce: str | None,
        former: tuple[Tokens, Mapping[str, Any]] | None,
        now: datetime,
    ) -> SignedIn:
        if not isinstance(bought.get("access_token"), str) or str(bought.get("token_type")).lower() != "bearer":
            message = "no bearer access token"
            raise AnswerRefused(message)
        id_token = bought.get("id_token")
        if id_token is not None:
            signed: Mapping[str, Any] = self._read_id_token(bought, nonce=nonce)
        elif former is not None:
            id_token, signed = former[0].id_token, former[1]
        else:
            message = "no ID token"
            raise AnswerRefused(message)
        told = self._client.userinfo(token={"access_token": bought["access_token"], "token_type": "Bearer"})
        if told.get("sub") != signed["sub"]:
            message = "userinfo speaks of somebody else"  # OIDC Core §5.3.2
            raise AnswerRefused(message)
        claims = {name: value for name, value in told.items() if name not in PROTOCOL_CLAIMS}
        claims |= {name: signed[name] for name in PROTOCOL_CLAIMS if name in signed}
        expires_in = bought.get("expires_in")
        lives = timedelta(seconds=expires_in) if isinstance(expires_in, int) else ACCESS_FOR
        tokens = Tokens(
            id_token=str(id_token),
            access_token=bought["access_token"],
            access_until=now + lives,
            refresh_token=bought.get("refresh_token") or (former[0].refresh_token if former else None),
            scope=str(bought.get("scope") or (former[0].scope if former else self._settings.scope)),
        )
        sid = signed.get("sid")
        return SignedIn(str(signed["sub"]), sid if isinstance(sid, str) else None, tokens, claims)

    def _read_id_token(self, bought: Mapping[str, Any], *, nonce: str | None) -> Mapping[str, Any]:
        read = self._client.parse_id_token(
            bought,
            nonce=nonce,
            claims_options={
                "iss": {"essential": True, "value": self._settings.issuer},
                "aud": {"essential": True, "value": self._settings.client_id},
            },
            leeway=int(CLOCKS_APART.total_seconds()),
        )
        return cast("Mapping[str, Any]", read)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what Authlib, joserfc and requests raise into our three exceptions."""
        try:
            yield
        except requests.HTTPError as error:
            # Userinfo may refuse a token whose session ended a moment ago; anything else is the provider's trouble.
            if error.response is not None and error.response.status_code in {401, 403}:
                raise ProviderRefused("invalid_token") from error
            raise ProviderAway from error
        except requests.RequestException as error:
            raise ProviderAway from error
        except AuthlibBaseError as error:
            raise ProviderRefused(error.error or "server_error", error.description or "") from error
        except (JoseError, ValueError, KeyError, TypeError) as error:
            # Malformed JSON, an unusable key, a claim of the wrong type: nothing that a good answer contains.
            raise AnswerRefused(type(error).__name__) from error

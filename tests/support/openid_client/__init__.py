"""An independent relying party for the tests: npm openid-client in a process of its own.

The browser's part is the test's: it takes `AuthorizationRequest.url`, walks the provider's pages, and hands the
address it was sent back to. Everything else is done, and validated, by code that shares nothing with ours.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

HERE = Path(__file__).parent


class OpenidClientError(Exception):
    """The provider refused, or openid-client refused what the provider sent."""

    def __init__(self, code: str, description: str, status: int | None, where: str) -> None:
        """Keep the RFC's error code; `where` is authorization, endpoint, challenge or client."""
        super().__init__(f"{code} ({where}, {status}): {description}")
        self.code = code
        self.description = description
        self.status = status
        self.where = where


class OpenidClientMissingError(Exception):
    """Node or the locked packages are not there; the message says what to run."""


@dataclass(frozen=True)
class AuthorizationRequest:
    """Where to send the browser, and what openid-client will hold the answer against."""

    url: str
    state: str
    nonce: str
    code_verifier: str


@dataclass(frozen=True)
class TokenAnswer:
    """A successful, validated answer of the token endpoint."""

    access_token: str
    token_type: str
    expires_in: int | None
    scope: str | None
    refresh_token: str | None
    id_token: str | None
    claims: dict[str, Any]
    """Of the verified ID token; empty without one."""


def find_node() -> str:
    """Return a Node of version 20 or newer: the machine's own, else the one that Playwright brings along.

    Raises:
        OpenidClientMissingError: there is none.
    """
    candidates = [shutil.which("node")]
    try:
        from playwright._impl._driver import compute_driver_executable
    except ImportError:
        pass
    else:
        candidates.append(str(compute_driver_executable()[0]))
    for candidate in candidates:
        if candidate is not None and _major_version(candidate) >= 20:
            return candidate
    raise OpenidClientMissingError("Node 20 or newer is needed to run npm openid-client.")


def _major_version(node: str) -> int:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, timeout=10)
    major = told.stdout.strip().removeprefix("v").partition(".")[0]
    return int(major) if major.isdigit() else 0


class OpenidClient:
    """One relying party; a context manager, since it is a process."""

    def __init__(self, *, timeout: float = 20) -> None:
        """Prepare; the process starts on entry. `timeout` is in seconds for each command."""
        self._timeout = timeout
        self._process: subprocess.Popen[str] | None = None
        self._count = 0
        self.metadata: dict[str, Any] = {}

    def __enter__(self) -> Self:
        if not (HERE / "node_modules" / "openid-client").is_dir():
            raise OpenidClientMissingError(
                "openid-client is not installed: run `npm ci --ignore-scripts` in tests/support/openid_client."
            )
        self._process = subprocess.Popen(
            [find_node(), str(HERE / "rp.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=HERE,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            try:
                process.communicate(timeout=5)  # closes stdin, which ends the program
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()

    def discover(
        self,
        issuer: str,
        client_id: str,
        *,
        private_jwk: Mapping[str, Any] | None = None,
        client_secret: str | None = None,
        secret_in_body: bool = False,
        id_token_alg: str = "ES256",  # noqa: S107 - the name of an algorithm
        clock_skew: int = 0,
    ) -> dict[str, Any]:
        """Fetch discovery and become `client_id`; return the provider's metadata.

        Authenticates by `private_key_jwt` with `private_jwk`, else with `client_secret` (basic, or in the body),
        else not at all. `clock_skew` (seconds) follows a provider whose clock a test has moved.
        """
        if private_jwk is not None:
            method = "private_key_jwt"
        elif client_secret is None:
            method = "none"
        else:
            method = "client_secret_post" if secret_in_body else "client_secret_basic"
        self.metadata = self._ask(
            "discover",
            issuer=issuer,
            client_id=client_id,
            method=method,
            private_jwk=private_jwk,
            client_secret=client_secret,
            clock_skew=clock_skew,
            metadata={"id_token_signed_response_alg": id_token_alg},
        )
        return self.metadata

    def authorization_url(
        self,
        redirect_uri: str,
        *,
        scope: str = "openid",
        pkce: bool = True,
        parameters: Mapping[str, str | None] | None = None,
    ) -> AuthorizationRequest:
        """Return a request with fresh state, nonce and verifier. `parameters` add to it; a value None takes one away."""
        made = self._ask(
            "authorization_url", redirect_uri=redirect_uri, scope=scope, pkce=pkce, parameters=dict(parameters or {})
        )
        return AuthorizationRequest(made["url"], made["state"], made["nonce"], made["code_verifier"])

    def exchange(
        self,
        asked: AuthorizationRequest,
        callback: str,
        *,
        form: str | None = None,
        code: str | None = None,
        state: str | None = None,
        nonce: str | None = None,
        code_verifier: str | None = None,
        max_age: int | None = None,
        **bend: Any,
    ) -> TokenAnswer:
        """Validate the answer in `callback` (or the posted `form`), redeem its code, verify the ID token.

        For negative cases `code` replaces the one in the answer; `state`, `nonce` and `code_verifier` replace what
        the answer is held against; an empty verifier sends none. `bend` is that of `refresh`.

        Raises:
            OpenidClientError: the provider refused (`invalid_grant`, `invalid_client`, …), or the answer is bad.
        """
        given: dict[str, Any] = {
            "url": callback if code is None else with_parameter(callback, "code", code),
            "state": asked.state if state is None else state,
            "nonce": asked.nonce if nonce is None else nonce,
            "code_verifier": asked.code_verifier if code_verifier is None else code_verifier,
        }
        if form is not None:
            given["form"] = form
        if max_age is not None:
            given["max_age"] = max_age
        return _token_answer(self._ask("exchange", **given, **bend))

    def refresh(self, refresh_token: str, *, scope: str | None = None, **bend: Any) -> TokenAnswer:
        """Spend a refresh token.

        `bend` arranges negative cases of client authentication, for this command alone: `assertion` and
        `assertion_header` override claims and header of the client assertion (None removes one), `instead` the way
        to authenticate (`{"private_jwk": …}`, `{"client_secret": …}`, `{"method": "none"}`).
        """
        parameters = {"scope": scope} if scope else {}
        return _token_answer(self._ask("refresh", refresh_token=refresh_token, parameters=parameters, **bend))

    def client_credentials(self, *, scope: str | None = None, **bend: Any) -> TokenAnswer:
        """Get an access token for the client itself."""
        parameters = {"scope": scope} if scope else {}
        return _token_answer(self._ask("client_credentials", parameters=parameters, **bend))

    def userinfo(self, access_token: str, *, sub: str | None = None) -> dict[str, Any]:
        """Return the claims; with `sub`, openid-client refuses those of anybody else."""
        return self._ask("userinfo", access_token=access_token, sub=sub)

    def introspect(self, token: str, **bend: Any) -> dict[str, Any]:
        """Return what the provider says about `token` (RFC 7662)."""
        return self._ask("introspect", token=token, **bend)

    def revoke(self, token: str, **bend: Any) -> None:
        """Revoke `token` (RFC 7009)."""
        self._ask("revoke", token=token, **bend)

    def end_session_url(self, **parameters: str) -> str:
        """Return the logout address with these parameters: `id_token_hint`, `post_logout_redirect_uri`, `state`."""
        return cast("str", self._ask("end_session_url", parameters=parameters)["url"])

    def _ask(self, command: str, **given: Any) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("OpenidClient is used outside its `with` block.")
        self._count += 1
        given = {name: value for name, value in given.items() if value is not None}
        process.stdin.write(json.dumps({"id": self._count, "command": command, **given}) + "\n")
        process.stdin.flush()
        watchdog = threading.Timer(self._timeout, process.kill)
        watchdog.start()
        try:
            line = process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            trouble = process.stderr.read() if process.stderr is not None else ""
            raise RuntimeError(f"openid-client ended, or took over {self._timeout} s, at {command}: {trouble}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            told = answer["error"]
            raise OpenidClientError(told["code"], told["description"], told["status"], told["where"])
        result: dict[str, Any] = answer["result"]
        return result


def with_parameter(url: str, name: str, value: str) -> str:
    """Return `url` with one query parameter replaced or added."""
    parts = urlsplit(url)
    kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != name]
    return urlunsplit(parts._replace(query=urlencode([*kept, (name, value)])))


def _token_answer(got: Mapping[str, Any]) -> TokenAnswer:
    return TokenAnswer(
        access_token=got["access_token"],
        token_type=got["token_type"],
        expires_in=got.get("expires_in"),
        scope=got.get("scope"),
        refresh_token=got.get("refresh_token"),
        id_token=got.get("id_token"),
        claims=dict(got.get("claims") or {}),
    )

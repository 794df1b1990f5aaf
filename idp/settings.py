"""What an operator sets. Read from the environment (prefix `IDP_`) or from files in `IDP_SECRETS_DIR`; frozen; unknown names refused.

Read by `app`, `cli` and `demo` alone: rooms receive values. Unsafe settings stop the start with one sentence that says what to
change (law 11).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr, ValidationError

from idp.egress import Destinations, EgressRefused
from idp.kernel.refusals import Refusal
from idp.reference.countries import get_country
from idp.reference.model import UnknownCountry, is_digits

PREFIX: Final = "IDP_"
_ORIGIN: Final = re.compile(
    r"(?P<scheme>https?)://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?", re.ASCII
)
"""The issuer is an origin as browsers spell it: they send its host and port, and the endpoints lie at its root."""
_LOG_LEVELS: Final = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})
_DAY: Final = timedelta(days=1)
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class UnsafeSettings(Refusal):
    """A setting is missing, unknown or unsafe; the sentence says what to change."""

    code = "settings.unsafe"


class Mode(StrEnum):
    """What this installation is for."""

    PRODUCTION = "production"
    DEMO = "demo"
    TEST = "test"


def _words(value: Any) -> Any:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    return timedelta(seconds=float(value)) if isinstance(value, str) and is_digits(value.replace(".", "", 1)) else value


def _issuer(value: str) -> str:
    match = _ORIGIN.fullmatch(value)
    usual = {"https": "443", "http": "80"}
    if match is None or not _is_port(match["port"] or "1") or match["port"] == usual[match["scheme"]]:
        raise ValueError("has to be https://, a host in small letters and, where it is an unusual one, a port; nothing behind them")
    return value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Span = Annotated[timedelta, BeforeValidator(_seconds)]
"""A length of time: whole seconds, or ISO 8601."""


class Settings(BaseModel):
    """Every setting, with its unit and a safe default or none."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    mode: Mode = Mode.PRODUCTION
    """`production`, `demo` (loopback only) or `test` (demo, plus external engines on loopback and a movable clock)."""
    issuer: Annotated[str, AfterValidator(_issuer)] = "http://localhost:8000"
    """The issuer identifier, and the address under which browsers and portals reach this provider."""
    database_url: SecretStr | None = None
    """libpq URL, as the role `idp_app`; several hosts allowed. With it (and `redis_url`) nothing is started."""
    database_owner_url: SecretStr | None = None
    """libpq URL, as the owner, for `idp migrate` and `idp keys` only."""
    database_worker_url: SecretStr | None = None
    """libpq URL, as the role `idp_worker`, for `idp worker` only."""
    redis_url: SecretStr | None = None
    """`redis://`, `rediss://` or `unix://` URL of Redis 7.0 or newer, or Valkey; eviction has to be off (`noeviction`)."""
    key_encryption_keys: SecretStr | None = None
    """`name:base64url of 32 bytes`, several separated by spaces; the first wraps new keys, all unwrap."""
    bind: str = "127.0.0.1:8000"
    """Address and port that `idp serve` listens on."""
    workers: int = 2
    """Serving processes; as many as cores."""
    threads: int = 4
    """Threads of each serving process."""
    hash_slots: int = 1
    """Password hashes computed at once in each process: 19 MiB each. The rest wait briefly, then get 503."""
    trusted_proxies: Words = ()
    """Networks (CIDR) whose X-Forwarded-For is believed. None: the peer's address counts."""
    country: str = "VN"
    """Whose numbers, units and words apply (ISO 3166-1 alpha-2): reference data has to ship for it. It never changes on a database."""
    zone: str = "Asia/Ho_Chi_Minh"
    """Time zone in which instants are shown."""
    assurance_policy: str = "vn-2026-1"
    """Name of the policy file from which identification levels are computed."""
    session_idle_for: Span = timedelta(hours=1)
    """A session ends when for this long (seconds) nobody proved who they are in it and no portal was entered with it."""
    session_lasts_for: Span = timedelta(hours=12)
    """A session ends after this long in any case (seconds)."""
    code_for: Span = timedelta(seconds=60)
    """How long an authorization code is good (seconds, 60 at most)."""
    access_for: Span = timedelta(minutes=10)
    """How long an access token is good (seconds)."""
    refresh_idle_for: Span = timedelta(days=14)
    """How long a refresh token is good when it is not used (seconds)."""
    refresh_for: Span = timedelta(days=30)
    """How long a grant can be refreshed in all (seconds)."""
    egress_allow: Words = ()
    """Demo and test only: loopback origins (http included) that may be called."""
    egress_ca: Path | None = None
    """Demo and test only: a root certificate to trust beside the system's, PEM."""
    clock_offset_file: Path | None = None
    """Test only: a file below `var` holding seconds to add to the clock."""
    var: Path = Path("var")
    """Where the embedded run keeps engines, keys and secrets."""
    log_level: str = "INFO"
    """Least severity that is logged."""
    announce_for: Span = timedelta(0)
    """How long a node that was told to stop goes on serving while `/health/ready` says no, so that the proxy finds out (seconds)."""
    drain_for: Span = timedelta(seconds=10)
    """How long requests under way may take to end when the server stops (seconds)."""

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the provider over https."""
        return self.issuer.startswith("https://")

    @property
    def is_embedded(self) -> bool:
        """Whether the engines are the embedded ones."""
        return self.database_url is None

    @property
    def volume_factor(self) -> int:
        """By how much limits by address and by browser are raised: a thousandfold in demo and test; account limits never are."""
        return 1 if self.mode is Mode.PRODUCTION else 1000


def environment() -> dict[str, str]:
    """Return the whole environment of this process, for those who compose: settings, and what declarations are filled from."""
    return dict(os.environ)


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of `environment` (the process's own if None).

    Raises:
        UnsafeSettings: the first thing that is wrong, and what to change.
    """
    environment = dict(os.environ if environment is None else environment)
    secrets = environment.pop(PREFIX + "SECRETS_DIR", None)
    given = _given(environment, secrets)
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        if first["type"] == "extra_forbidden":
            raise UnsafeSettings(f"{name} is not a setting: correct its name or remove it") from None
        raise UnsafeSettings(f"{name}: {first['msg']}") from None
    _require_safe(settings)
    return settings


def _given(environment: Mapping[str, str], secrets: str | None) -> dict[str, str]:
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX) and value}
    if secrets is not None:
        try:
            for path in sorted(Path(secrets).iterdir()):
                if path.is_file() and path.name.upper().startswith(PREFIX):
                    given.setdefault(path.name.lower().removeprefix(PREFIX.lower()), path.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError):
            raise UnsafeSettings(f"{PREFIX}SECRETS_DIR has to be a folder of readable text files") from None
    return given


def _require_safe(settings: Settings) -> None:
    for is_wrong, sentence in _unsafe(settings):
        if is_wrong:
            raise UnsafeSettings(sentence)


def _unsafe(s: Settings) -> list[tuple[bool, str]]:
    production, test = s.mode is Mode.PRODUCTION, s.mode is Mode.TEST
    engines = [url.get_secret_value() for url in (s.database_url, s.database_owner_url, s.database_worker_url, s.redis_url) if url]
    bind_host = s.bind.rpartition(":")[0].strip("[]")
    return [
        (not _is_port(s.bind.rpartition(":")[2]), "IDP_BIND has to be an address and a port, such as 127.0.0.1:8000"),
        (production and not s.is_secure, "IDP_ISSUER has to begin with https:// in production"),
        (production and s.database_url is None, "set IDP_DATABASE_URL: production does not use the embedded engines"),
        (production and s.redis_url is None, "set IDP_REDIS_URL: production does not use the embedded engines"),
        ((s.database_url is None) != (s.redis_url is None), "set both IDP_DATABASE_URL and IDP_REDIS_URL, or neither"),
        (production and s.key_encryption_keys is None, "set IDP_KEY_ENCRYPTION_KEYS: stored keys are wrapped with it"),
        (production and bool(s.egress_allow), "IDP_EGRESS_ALLOW is for demo and test only: remove it"),
        (production and s.egress_ca is not None, "IDP_EGRESS_CA is for demo and test only: remove it"),
        (not _are_origins(s.egress_allow), "IDP_EGRESS_ALLOW has to hold loopback origins such as http://localhost:8010, no slash behind"),
        (not test and s.clock_offset_file is not None, "IDP_CLOCK_OFFSET_FILE is for IDP_MODE=test only: remove it"),
        (not _is_below(s.clock_offset_file, s.var), "IDP_CLOCK_OFFSET_FILE has to be a file below IDP_VAR: move it there"),
        (not production and not _is_loopback(urlsplit(s.issuer).hostname or ""), "IDP_ISSUER has to be on loopback in demo and test"),
        (not production and not _is_loopback(bind_host), "IDP_BIND has to be on loopback in demo and test"),
        (
            s.mode is Mode.DEMO and not all(_engine_is_embedded(url, s.var) for url in engines),
            "demo uses the embedded engines: remove IDP_DATABASE_URL and IDP_REDIS_URL",
        ),
        (test and not all(map(_engine_is_local, engines)), "engines have to be on loopback in test"),
        (not _are_urls(s, {"postgresql", "postgres"}, "database"), "IDP_DATABASE_URL and its like begin with postgresql://"),
        (not _are_urls(s, {"redis", "rediss", "unix"}, "redis"), "IDP_REDIS_URL has to begin with redis://, rediss:// or unix://"),
        (s.log_level not in _LOG_LEVELS, "IDP_LOG_LEVEL has to be DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        (s.workers < 1 or s.threads < 1 or s.hash_slots < 1, "IDP_WORKERS, IDP_THREADS and IDP_HASH_SLOTS are at least 1"),
        (not _are_networks(s.trusted_proxies), "IDP_TRUSTED_PROXIES has to hold networks such as 10.0.0.0/28, and not everybody"),
        (not _is_country(s.country), "IDP_COUNTRY has to be a country whose reference data is shipped, such as VN"),
        (not _is_zone(s.zone), "IDP_ZONE has to be a time zone such as Asia/Ho_Chi_Minh"),
        *_unsafe_spans(s),
    ]


def _unsafe_spans(s: Settings) -> list[tuple[bool, str]]:
    spans = {
        "CODE_FOR": s.code_for,
        "ACCESS_FOR": s.access_for,
        "REFRESH_IDLE_FOR": s.refresh_idle_for,
        "REFRESH_FOR": s.refresh_for,
        "SESSION_IDLE_FOR": s.session_idle_for,
        "SESSION_LASTS_FOR": s.session_lasts_for,
    }
    return [
        *[(span < timedelta(seconds=1), f"{PREFIX}{name} is at least a second") for name, span in spans.items()],
        (min(s.announce_for, s.drain_for) < timedelta(0), "IDP_ANNOUNCE_FOR and IDP_DRAIN_FOR are not negative"),
        (s.code_for > timedelta(seconds=60), "IDP_CODE_FOR is at most 60 seconds"),
        (s.access_for > timedelta(hours=1), "IDP_ACCESS_FOR is at most an hour"),
        (s.session_lasts_for > _DAY, "IDP_SESSION_LASTS_FOR is at most a day"),
        (s.session_idle_for > s.session_lasts_for, "IDP_SESSION_IDLE_FOR is at most IDP_SESSION_LASTS_FOR"),
        (s.refresh_idle_for > s.refresh_for, "IDP_REFRESH_IDLE_FOR is at most IDP_REFRESH_FOR"),
    ]


def _is_port(text: str) -> bool:
    return is_digits(text) and 0 < int(text[:6]) <= 65535  # noqa: PLR2004 - the largest there is


def _are_urls(s: Settings, schemes: set[str], engine: str) -> bool:
    urls = (s.redis_url,) if engine == "redis" else (s.database_url, s.database_owner_url, s.database_worker_url)
    return all(url.get_secret_value().partition("://")[0] in schemes for url in urls if url)


def _is_loopback(host: str) -> bool:
    if host in _LOOPBACK_NAMES or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _engine_is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "unix" or "host=/" in url or "host=%2F" in url or _is_loopback(parts.hostname or "")


def _engine_is_embedded(url: str, var: Path) -> bool:
    """Whether `url` names a socket of the engines that the launcher started in `var`, which says there where they are."""
    try:
        runtime = json.loads((var / "engines.json").read_text(encoding="utf-8"))["runtime"]
    except (OSError, ValueError, KeyError):
        return False
    return url.startswith(f"unix://{runtime}/") or f"?host={runtime}/" in url


def _are_networks(texts: tuple[str, ...]) -> bool:
    try:
        return all(network_of(text).prefixlen > 0 for text in texts)
    except ValueError:
        return False


def network_of(text: str) -> IPv4Network | IPv6Network:
    """Return the network that `text` names; ValueError when it names none."""
    return IPv6Network(text) if ":" in text else IPv4Network(text)


def _are_origins(texts: tuple[str, ...]) -> bool:
    try:
        Destinations.read(texts)
    except EgressRefused:
        return False
    return True


def _is_below(file: Path | None, folder: Path) -> bool:
    return file is None or folder.resolve() in file.resolve().parents


def _is_country(code: str) -> bool:
    try:
        get_country(code)
    except UnknownCountry:
        return False
    return True


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True

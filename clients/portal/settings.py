"""What a portal is told from outside: who it is, where the provider is, where it may write.

The only file of the portal that reads the environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class SettingsRefused(ValueError):
    """A setting is missing or unsafe; the message says what to change."""


@dataclass(frozen=True)
class Brand:
    """What makes one portal look different from the other and from the provider."""

    name: str
    name_in_english: str
    colour: str
    """Must carry white text at a contrast of 4.5 or more."""
    pressed: str
    client_id: str
    url: str
    minimum_acr: str


BRANDS: dict[str, Brand] = {
    "national": Brand(
        name="Cổng Dịch vụ công quốc gia (mẫu)",
        name_in_english="National portal (sample)",
        colour="#1f3f8f",
        pressed="#142a63",
        client_id="national-portal",
        url="http://localhost:8001",
        minimum_acr="urn:motcua:acr:ial1.aal2",
    ),
    "provincial": Brand(
        name="Cổng Dịch vụ công tỉnh (mẫu)",
        name_in_english="Provincial portal (sample)",
        colour="#7c3a12",
        pressed="#57270a",
        client_id="provincial-portal",
        url="http://localhost:8002",
        minimum_acr="urn:motcua:acr:ial1.aal1",
    ),
}


@dataclass(frozen=True)
class PortalSettings:
    """Everything a portal needs to start. `clients/README.md` documents each variable."""

    kind: str
    name: str
    name_in_english: str
    colour: str
    pressed: str
    url: str
    """Public origin of the portal, without a slash at the end."""
    issuer: str
    client_id: str
    scope: str
    minimum_acr: str
    """The class this portal registered as its minimum, checked again in every answer."""
    var: Path
    bind: tuple[str, int]
    zone: timezone
    session_for: timedelta
    provider_timeout: timedelta
    ca_file: str | None
    personal_number_claim: str

    @property
    def is_https(self) -> bool:
        """Whether cookies may carry `Secure` and the `__Host-` prefix."""
        return self.url.startswith("https://")

    @property
    def cookie_name(self) -> str:
        """The cookie of this portal alone: cookies ignore ports, so two portals on one host need two names."""
        prefix = "__Host-" if self.is_https else ""
        return f"{prefix}portal_{self.kind}"

    @property
    def issuer_origin(self) -> str:
        """Origin of the provider, for the `form-action` of our content security policy."""
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends the answer to a sign-in."""
        return f"{self.url}/signed-in"

    @property
    def post_logout_redirect_uri(self) -> str:
        """Where the provider sends the browser after signing out."""
        return f"{self.url}/signed-out"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> PortalSettings:
        """Read `PORTAL_*`; what is absent comes from the brand of `PORTAL_KIND`.

        Raises:
            SettingsRefused: a value is missing, unreadable or unsafe.
        """
        kind = environment.get("PORTAL_KIND", "national")
        brand = BRANDS.get(kind)
        if brand is None:
            message = f"PORTAL_KIND is {kind!r}; it must be one of: {', '.join(sorted(BRANDS))}."
            raise SettingsRefused(message)
        url = _address("PORTAL_URL", environment.get("PORTAL_URL", brand.url)).rstrip("/")
        issuer = _address("PORTAL_ISSUER", environment.get("PORTAL_ISSUER", "http://localhost:8000"))
        if urlsplit(url).path:
            message = "PORTAL_URL must be an origin, such as https://portal.example, without a path."
            raise SettingsRefused(message)
        return cls(
            kind=kind,
            name=environment.get("PORTAL_NAME", brand.name),
            name_in_english=environment.get("PORTAL_NAME_EN", brand.name_in_english),
            colour=brand.colour,
            pressed=brand.pressed,
            url=url,
            issuer=issuer,
            client_id=environment.get("PORTAL_CLIENT_ID", brand.client_id),
            scope=environment.get("PORTAL_SCOPE", "openid profile identity"),
            minimum_acr=environment.get("PORTAL_MINIMUM_ACR", brand.minimum_acr),
            var=Path(environment.get("PORTAL_VAR", f"var/portal-{kind}")),
            bind=_bind(environment.get("PORTAL_BIND"), url),
            zone=timezone(timedelta(hours=_number(environment, "PORTAL_UTC_OFFSET_HOURS", 7))),
            session_for=timedelta(minutes=_number(environment, "PORTAL_SESSION_MINUTES", 60)),
            provider_timeout=timedelta(seconds=_number(environment, "PORTAL_PROVIDER_TIMEOUT_SECONDS", 5)),
            ca_file=environment.get("PORTAL_CA_FILE"),
            personal_number_claim=environment.get("PORTAL_PERSONAL_NUMBER_CLAIM", "personal_number"),
        )


def _address(name: str, value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = f"{name} is {value!r}; it must be an absolute http(s) address."
        raise SettingsRefused(message)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        message = f"{name} is plain http to {parts.hostname}; use https, or a loopback host while developing."
        raise SettingsRefused(message)
    if parts.query or parts.fragment:
        message = f"{name} must not have a query or a fragment."
        raise SettingsRefused(message)
    return value


def _bind(value: str | None, url: str) -> tuple[str, int]:
    parts = urlsplit(f"//{value}" if value else url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        message = "PORTAL_BIND must be host:port, such as 127.0.0.1:8001."
        raise SettingsRefused(message) from error
    host = parts.hostname or "127.0.0.1"
    return ("127.0.0.1" if host == "localhost" else host, port)


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(environment.get(name, default))
    except ValueError as error:
        message = f"{name} must be a whole number."
        raise SettingsRefused(message) from error

"""The cookies of the provider: their names, and how they are set. Cookies ignore ports, so the names are ours alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from idp.authenticators.service.devices import REMEMBERED_FOR

if TYPE_CHECKING:
    from collections.abc import Mapping

_LANGUAGE_FOR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Cookies:
    """Names and headers; `secure` where browsers come over https: then every name has the `__Host-` prefix (ASVS 3.3.1)."""

    secure: bool

    def _name(self, name: str) -> str:
        return f"__Host-motcua-{name}" if self.secure else f"motcua-{name}"

    @property
    def session(self) -> str:
        """Who is signed in."""
        return self._name("session")

    @property
    def browser(self) -> str:
        """Which browser this is, before anybody signs in: interactions and forms are bound to it."""
        return self._name("browser")

    @property
    def device(self) -> str:
        """That somebody signed in here before: this device keeps guesses of its own."""
        return self._name("device")

    @property
    def language(self) -> str:
        """The language chosen."""
        return self._name("language")

    def find(self, cookies: Mapping[str, str], name: str) -> str | None:
        """Return a cookie's value, or None."""
        return cookies.get(name) or None

    def set(self, name: str, value: str, *, keep_for: timedelta | None = None) -> tuple[str, str]:
        """Return the header that sets a cookie: HttpOnly, SameSite=Lax, the whole host; until the browser closes if not `keep_for`."""
        parts = [f"{name}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
        if self.secure:
            parts.append("Secure")
        if keep_for is not None:
            parts.append(f"Max-Age={int(keep_for.total_seconds())}")
        return "Set-Cookie", "; ".join(parts)

    def set_session(self, value: str) -> tuple[str, str]:
        """Return the header that sets the session cookie."""
        return self.set(self.session, value)

    def set_device(self, value: str) -> tuple[str, str]:
        """Return the header that sets the device cookie."""
        return self.set(self.device, value, keep_for=REMEMBERED_FOR)

    def set_language(self, value: str) -> tuple[str, str]:
        """Return the header that keeps the language."""
        return self.set(self.language, value, keep_for=_LANGUAGE_FOR)

    def drop(self, name: str) -> tuple[str, str]:
        """Return the header that removes a cookie."""
        return self.set(name, "", keep_for=timedelta(0))

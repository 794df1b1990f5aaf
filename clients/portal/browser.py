"""What a portal knows of the browser in front of it: one opaque cookie, a language, a form token.

Flask's own `session` is not used: its cookie has one name for every application on a host, and cookies
ignore ports.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from flask import current_app, g, request

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from .settings import PortalSettings

LANGUAGES = ("vi", "en")
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


def settings() -> PortalSettings:
    """Return the settings of the portal that answers."""
    found: PortalSettings = current_app.extensions["portal"].settings
    return found


def find_browser() -> str | None:
    """Return the cookie value of this browser, when it has one of ours."""
    value = request.cookies.get(settings().cookie_name, "")
    return value if _VALUE.fullmatch(value) else None


def new_browser() -> str:
    """Return a new cookie value: 256 random bits."""
    return secrets.token_urlsafe(32)


def remember_browser(response: Response, value: str) -> None:
    """Give the browser its cookie: host-only, for this tab's life, sent along when the provider sends it back."""
    response.set_cookie(
        settings().cookie_name, value, httponly=True, samesite="Lax", secure=settings().is_https, path="/"
    )


def language() -> str:
    """Return the language of this browser: Vietnamese unless it chose English."""
    chosen = request.cookies.get(f"{settings().cookie_name}_language", "vi")
    return chosen if chosen in LANGUAGES else "vi"


def remember_language(response: Response, chosen: str) -> None:
    """Keep the choice for a year."""
    response.set_cookie(
        f"{settings().cookie_name}_language",
        chosen,
        max_age=365 * 24 * 3600,
        httponly=True,
        samesite="Lax",
        secure=settings().is_https,
        path="/",
    )


def form_token(browser: str | None) -> str:
    """Return the value that every form of this browser carries: derived from its cookie, so nothing is stored."""
    if browser is None:
        return ""
    digest = hmac.digest(browser.encode(), b"portal form", hashlib.sha256)
    return urlsafe_b64encode(digest).decode().rstrip("=")


def is_own_form() -> bool:
    """Return whether this POST was made by a page of ours in this browser."""
    sent, expected = request.form.get("form_token", ""), form_token(find_browser())
    return bool(expected) and hmac.compare_digest(sent.encode(), expected.encode())


def reference() -> str:
    """Return the code by which a person and our log name the same request."""
    if "reference" not in g:
        g.reference = secrets.token_hex(4).upper()
    code: str = g.reference
    return code

"""A portal as one Flask application: composition, headers, and the pages of last resort."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from . import browser, journeys, pages, troubles
from .keys import load_or_make_key
from .oidc import AnswerRefused, Provider, ProviderAway, ProviderRefused
from .settings import PortalSettings
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("portal")


@dataclass(frozen=True)
class Portal:
    """What the routes of one portal work with."""

    settings: PortalSettings
    store: Store
    provider: Provider
    now: Callable[[], datetime]


def create_app(settings: PortalSettings) -> Flask:
    """Return the portal as a WSGI application; makes its key and its tables on first use."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 64 * 1024
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    key = load_or_make_key(settings.var)
    app.extensions["portal"] = Portal(
        settings=settings,
        store=Store(settings.var / "portal.sqlite3"),
        provider=Provider(app, settings, key),
        now=lambda: datetime.now(UTC),
    )
    app.register_blueprint(journeys.blueprint)
    app.register_blueprint(pages.blueprint)
    app.context_processor(pages.template_context)
    app.after_request(_harden)
    for kind in (ProviderAway, ProviderRefused, AnswerRefused):
        app.register_error_handler(kind, troubles.provider_trouble)
    app.register_error_handler(HTTPException, troubles.http_trouble)
    app.register_error_handler(Exception, troubles.unexpected_trouble)
    return app


def from_environment() -> Flask:
    """Return the portal that `PORTAL_*` describes; what granian calls (`--factory`)."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    return create_app(PortalSettings.from_environment(os.environ))


def _harden(response: Response) -> Response:
    """Nothing foreign runs, frames or is kept; forms may lead here and, by redirect, to the provider."""
    response.headers.setdefault(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {browser.settings().issuer_origin}",
    )
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    if request.endpoint in {"static", "pages.colours", "pages.mark"}:
        response.headers["Cache-Control"] = "public, max-age=3600"
    else:
        response.headers["Cache-Control"] = "no-store"
    return response

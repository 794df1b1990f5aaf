"""Every trouble in words: what happened, what to do next, and a reference code that the log has too."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import render_template

from . import browser
from .oidc import AnswerRefused, ProviderAway, ProviderRefused

if TYPE_CHECKING:
    from werkzeug.exceptions import HTTPException

log = logging.getLogger("portal")

STATUS_OF_ERROR = {
    "access_denied": 403,
    "login_required": 401,
    "interaction_required": 401,
    "consent_required": 401,
    "account_selection_required": 401,
    "unmet_authentication_requirements": 403,
    "temporarily_unavailable": 503,
    "server_error": 502,
    "invalid_token": 401,
    "invalid_grant": 400,
}
SAME_PAGE_AS = {
    "interaction_required": "login_required",
    "consent_required": "login_required",
    "account_selection_required": "login_required",
    "server_error": "temporarily_unavailable",
    "invalid_token": "ended_meanwhile",
    "invalid_grant": "unknown_state",
}


def notice(kind: str, status: int) -> tuple[str, int]:
    """Return a page that says what is now true and what comes next."""
    return render_template("message.html", kind=kind, reference=None, return_to="/"), status


def trouble(kind: str, status: int, return_to: str = "/") -> tuple[str, int]:
    """Return a page that says what happened, what to do next, and a reference code, which the log has too.

    `return_to` is where the person was going: the next try goes there too.
    """
    log.warning("%s, reference=%s", kind, browser.reference())
    return render_template("message.html", kind=kind, reference=browser.reference(), return_to=return_to), status


def provider_trouble(error: Exception, return_to: str = "/") -> tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Say in words what the provider answered, or that it did not."""
    if isinstance(error, ProviderAway):
        return (*trouble("provider_away", 503, return_to), {"Retry-After": "30"})
    if isinstance(error, ProviderRefused):
        if error.error not in STATUS_OF_ERROR:
            # A stranger can send any text as `error`: what is not in the table is logged, never shown.
            log.error("provider refused: %.60r %.200r", error.error, error.description)
            return trouble("refused_request", 400, return_to)
        return trouble(SAME_PAGE_AS.get(error.error, error.error), STATUS_OF_ERROR[error.error], return_to)
    if isinstance(error, AnswerRefused):
        log.error("answer refused: %s", error)
    return trouble("answer_refused", 502, return_to)


def http_trouble(error: HTTPException) -> tuple[str, int]:
    """Dress what Flask itself refuses."""
    status = error.code or 400
    return trouble("not_found" if status == HTTPStatus.NOT_FOUND else "bad_request", status)


def unexpected_trouble(error: Exception) -> tuple[str, int]:
    """Log what nobody foresaw, and say no more than that."""
    log.error("unexpected, reference=%s", browser.reference(), exc_info=error)
    return render_template("message.html", kind="unexpected", reference=browser.reference(), return_to="/"), 500

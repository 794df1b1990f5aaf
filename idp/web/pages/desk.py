"""What the views work with: the rooms, the flow, forms bound to the browser, who asks, and errors as pages."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode

import structlog
from werkzeug.datastructures import MultiDict

from idp.audit.model import Origin
from idp.authenticators.model import TooManyTotps
from idp.enrolment.model import ActivationCodeRefused
from idp.interactions.service import InteractionGone
from idp.interactions.signing_in import Where
from idp.kernel.refusals import Unavailable
from idp.oidc.discovery import DISCOVERY, PATHS
from idp.oidc.errors import AddressNotKnown, AnswerWithError, ClientNotKnown, ClientOver, NotRedirectable, ProtocolError
from idp.sessions.model import LiveSession, NoSuchSession
from idp.throttle.model import AuthenticatorDisabled, TooManyGuesses, TooMuchVolume, VolumeKind
from idp.web.door import Answer, PageAnswer, Unreadable
from idp.web.logs import shown_path
from idp.web.own_page import is_own
from idp.web.pages.forms import CsrfContext, Form
from idp.web.pages.values import TO_FIRST_PAGE, TO_MY_PAGE, TO_SIGN_IN, Asker, Link, ToldPortal
from idp.web.protocol.answers import ANY_ORIGIN, OF_SCRIPTS, json_answer, origin_of, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from idp.clients.model import Client
    from idp.interactions.service import Interaction
    from idp.oidc.request import AuthorizationRequest
    from idp.web.cookies import Cookies
    from idp.web.door import Request
    from idp.web.flow import Flow
    from idp.web.pages.assets import Assets
    from idp.web.pages.rendering import Locale
    from idp.web.pages.values import ErrorKind

log = structlog.get_logger("idp.web")

F = TypeVar("F", bound=Form)

_PROGRAMS: Final = frozenset(PATHS.values()) - {PATHS["authorization_endpoint"], PATHS["end_session_endpoint"]} | {
    DISCOVERY, "/health/live", "/health/ready"
}
"""Paths that programs call: their errors are JSON, everybody else's are pages."""

_KIND_OF_STATUS: Final[Mapping[int, ErrorKind]] = {
    403: "not_allowed", 404: "not_found", 413: "too_large", 414: "too_large", 431: "too_large",
}  # fmt: skip
_KIND_OF_ERROR: Final[Mapping[type[ProtocolError], ErrorKind]] = {
    ClientNotKnown: "portal_unknown",
    ClientOver: "portal_disabled",
    AddressNotKnown: "address_unknown",
}
_ONWARD: Final[Mapping[ErrorKind, Link]] = {
    "sign_out_unreadable": Link(TO_MY_PAGE, "/"),
    "code_over": Link(TO_SIGN_IN, "/sign-in"),
    "not_found": Link(TO_FIRST_PAGE, "/"),
    "not_allowed": Link(TO_FIRST_PAGE, "/"),
    "unexpected": Link(TO_FIRST_PAGE, "/"),
}
"""Where a page of an error leads. From the others only the portal, or another window, leads on."""
_SERVER_ERROR: Final = 500


class Desk:
    """One for each process."""

    def __init__(
        self, flow: Flow, cookies: Cookies, assets: Assets, locale: Callable[[Request, str | None], tuple[Locale, bool]]
    ) -> None:
        """`locale` tells the reader's language, and whether it was chosen just now."""
        self.assets = assets
        self.flow = flow
        self.locale = locale
        self.rooms = flow.rooms
        self.cookies = cookies
        self.issuer = flow.rooms.issuer

    # the browser and its forms -----------------------------------------------------------------------------------------------------------

    def browser(self, request: Request) -> str:
        """Return what tells this browser from others, or nothing: it was never here, or keeps no cookies."""
        return self.cookies.find(request.cookies, self.cookies.browser) or ""

    def form(self, form_class: type[F], request: Request, *about: str) -> F:
        """Return a form bound to this browser, and to what its page is `about`: filled from a POST, empty otherwise."""
        filled = MultiDict(request.form) if request.method == "POST" else None
        return form_class(filled, meta=self._meta(self.browser(request), about))

    def form_for(self, form_class: type[F], browser: str) -> F:
        """Return an empty form for a browser whose cookie this very answer sets."""
        return form_class(None, meta=self._meta(browser))

    def _meta(self, browser: str, about: tuple[str, ...] = ()) -> dict[str, Any]:
        key = self.rooms.keys.sealer.index("csrf", "forms")
        return {"csrf_context": CsrfContext(key, browser, about), "country": self.rooms.country}

    def interaction(self, request: Request, interaction_id: str) -> Interaction:
        """Return the interaction that a page belongs to.

        Raises:
            InteractionGone: it is over, or another browser's.
        """
        return self.rooms.interactions.find(interaction_id, self.cookies.find(request.cookies, self.cookies.browser))

    def session(self, request: Request) -> LiveSession | None:
        """Return the live session of this browser, if there is one."""
        cookie = self.cookies.find(request.cookies, self.cookies.session)
        return self.rooms.sessions.find(cookie) if cookie else None

    def where(self, request: Request, asked: AuthorizationRequest) -> Where:
        """Return where a proof is given."""
        return Where(
            origin=self.origin(request),
            client_id=None if is_own(asked) else asked.client.id,
            user_agent=request.headers.get("user-agent", ""),
            device=self.cookies.find(request.cookies, self.cookies.device),
        )

    @staticmethod
    def origin(request: Request) -> Origin:
        """Return where a step is asked for, for the record."""
        return Origin(request.request_id, request.address)

    # who asks --------------------------------------------------------------------------------------------------------------------------

    @staticmethod
    def asker(client: Client, wants: str = "sign_in") -> Callable[[str], Asker]:
        """Return who asks, in whatever language the page turns out to be in."""
        return lambda locale: Asker(client.name(locale), client.origin, wants)  # type: ignore[arg-type]  # one of its words

    def page(
        self, template: str, asked: AuthorizationRequest, *, wants: str = "sign_in", status: int = 200, **values: Any
    ) -> PageAnswer:
        """Return a page of an interaction: it says who asks, and its form may lead back to the portal."""
        given: dict[str, Any] = {"ui_locales": " ".join(asked.ui_locales)}
        if is_own(asked):
            return PageAnswer(template, status, given | values)
        given["asker"] = self.asker(asked.client, wants)
        return PageAnswer(template, status, given | values, form_targets=(origin_of(asked.redirect_uri),))

    @staticmethod
    def with_headers(page: PageAnswer, *headers: tuple[str, str]) -> PageAnswer:
        """Return the page with more headers."""
        return replace(page, headers=(*page.headers, *headers))

    @staticmethod
    def told(client: Client, state: str, locale: Locale) -> ToldPortal:
        """Return a portal as the sign-out pages show it to readers of `locale`."""
        return ToldPortal(client.name(locale), client.origin, state)  # type: ignore[arg-type]  # one of its words

    # errors ------------------------------------------------------------------------------------------------------------------------------

    def page_error(self, request: Request, kind: ErrorKind, *, status: int = 400, technical: str | None = None) -> PageAnswer:
        """Return an error as a page: what happened, what to do, and the reference code."""
        values = {"kind": kind, "onward": _ONWARD.get(kind), "reference": request.request_id, "technical": technical}
        return PageAnswer("error.html", status, {"ui_locales": self._asked_language(request), **values})

    def http_error(self, request: Request, status: int) -> Answer | PageAnswer:
        """Return an error of routing or reading."""
        if request.path in _PROGRAMS:
            return json_answer(status, {"error": "invalid_request", "error_description": "The request could not be read."})
        return self.page_error(request, _KIND_OF_STATUS.get(status, "request_unreadable"), status=status)

    def error(self, request: Request, error: BaseException) -> Answer | PageAnswer:
        """Return the answer to whatever a step refused with; what nobody expected is logged, and says nothing to strangers."""
        answer = self._error(request, error)
        if isinstance(answer, Answer):
            return replace(answer, headers=(*answer.headers, *ANY_ORIGIN)) if request.path in OF_SCRIPTS else answer
        if isinstance(error, Unavailable):  # a store that is away is not asked once more
            return answer
        if "ui_locales" in answer.values:
            return answer
        return replace(answer, values={"ui_locales": self._asked_language(request), **answer.values})

    def _asked_language(self, request: Request) -> str:
        """Return the `ui_locales` that this request, or the interaction it belongs to, was begun with."""
        parts = request.path.split("/")
        if len(parts) > 2 and parts[1] == "i":  # noqa: PLR2004 - /i/<interaction>/…
            try:
                return self.interaction(request, parts[2]).parameters.get("ui_locales", "")
            except Exception:  # noqa: BLE001 - whatever is wrong with it, the page that says so is written all the same
                return ""
        return next((value for name, value in request.query if name == "ui_locales"), "")

    def _error(self, request: Request, error: BaseException) -> Answer | PageAnswer:  # noqa: C901, PLR0911 - one table
        """Return the answer, in a language that is yet to be told."""
        match error:
            case Unreadable():
                return self.http_error(request, error.status)
            case InteractionGone():
                kind: ErrorKind = "sign_in_over" if self.cookies.find(request.cookies, self.cookies.browser) else "no_cookie"
                return self.page_error(request, kind)
            case NoSuchSession() | TooManyTotps():  # ended, or set up, in another window meanwhile
                return self.page_error(request, "sign_in_over")
            case ActivationCodeRefused():
                return self.page_error(request, "code_over")
            case NotRedirectable() | AnswerWithError():
                kind = _KIND_OF_ERROR.get(type(error), "request_unreadable")
                return self.page_error(request, kind, technical=f"{error.error}: {error.description}")
            case ProtocolError():
                return json_answer(error.status, {"error": error.error, "error_description": error.description})
            case AuthenticatorDisabled():  # no time ends it: whoever is told to wait would wait in vain
                return self.page_error(request, "authenticator_off", status=403)
            case TooManyGuesses() | TooMuchVolume():
                return self._too_many(request, error)
            case Unavailable():
                log.warning("unavailable", request=request.request_id, path=shown_path(request.path), reason=error.detail)
                if request.path in _PROGRAMS:
                    return unavailable(error)
                values = {"retry_url": _retry_url(request), "reference": request.request_id}
                return PageAnswer("busy.html", 503, values, headers=(("Retry-After", str(error.retry_after)),))
            case _:
                log.error("unexpected", request=request.request_id, path=shown_path(request.path), exc_info=error)
                if request.path in _PROGRAMS:
                    return json_answer(_SERVER_ERROR, {"error": "server_error", "error_description": "Something went wrong here."})
                return self.page_error(request, "unexpected", status=_SERVER_ERROR)

    @staticmethod
    def _too_many(request: Request, refusal: TooManyGuesses | TooMuchVolume) -> Answer | PageAnswer:
        seconds = max(1, math.ceil(refusal.retry_after.total_seconds()))
        after = ("Retry-After", str(seconds))
        if request.path in _PROGRAMS:
            return json_answer(429, {"error": "temporarily_unavailable", "error_description": "Too many requests."}, after)
        values = {"minutes": math.ceil(seconds / 60), "of": _counted(refusal), "retry_url": _retry_url(request)}
        return PageAnswer("too_many.html", 429, values, headers=(after,))


def _counted(refusal: TooManyGuesses | TooMuchVolume) -> str:
    """Return what there was too much of, as the page says it."""
    if isinstance(refusal, TooManyGuesses):
        return "guesses"
    return "open" if refusal.detail == VolumeKind.OPEN else "address"


def _retry_url(request: Request) -> str:
    """Return where the step is tried again: what was asked by GET is asked anew; a form, where its page is."""
    if request.method == "GET":
        return request.path + ("?" + urlencode(request.query) if request.query else "")
    return request.path if request.path.startswith(("/i/", "/activate")) else "/"

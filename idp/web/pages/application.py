"""The Flask application of the pages. It reads nothing itself: arguments, form and cookies come from the door's request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from flask import Flask, Request, Response
from flask import request as flask_request
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from idp.web.door import Answer, PageAnswer
from idp.web.door import Request as ReadRequest
from idp.web.protocol.answers import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from idp.web.pages.desk import Desk

    View = Callable[..., Answer | PageAnswer]


class PageRequest(Request):
    """A request whose every part was read by the door."""

    @property
    def read(self) -> ReadRequest:
        """The door's value."""
        value: ReadRequest = self.environ["idp.request"]
        return value

    @property
    def args(self) -> ImmutableMultiDict[str, str]:
        """The query's pairs."""
        return ImmutableMultiDict(self.read.query)

    @property
    def form(self) -> ImmutableMultiDict[str, str]:
        """The form's pairs."""
        return ImmutableMultiDict(self.read.form)

    @property
    def cookies(self) -> ImmutableMultiDict[str, str]:
        """The cookies."""
        return ImmutableMultiDict(dict(self.read.cookies))


class PageApplication(Flask):
    """Flask, where a view returns an `Answer` or a `PageAnswer`."""

    request_class = PageRequest
    present: Callable[[PageAnswer, ReadRequest], Answer]

    def page(self, rule: str, endpoint: str, view: View, *, methods: list[str]) -> None:
        """Give a view its address."""
        self.add_url_rule(rule, endpoint, cast("Any", view), methods=methods)

    def log_exception(self, exc_info: Any) -> None:
        """Write nothing: Flask's line would hold the whole path and the exception's words (law 10). The desk has logged it without."""

    def make_response(self, rv: Any) -> Response:
        """Return what a view answered as Flask's response."""
        if isinstance(rv, PageAnswer):
            rv = self.present(rv, read())
        if isinstance(rv, Answer):
            response = Response(rv.body, status=rv.status)
            del response.headers["Content-Type"]
            for name, value in rv.headers:
                response.headers.add(name, value)
            return response
        return super().make_response(rv)


_SERVER_ERROR: Final = 500
_SENT_BY_PORTALS = frozenset({"/logout"})
"""Where a portal may send a form (RP-Initiated Logout §2): nothing is changed there."""


def read() -> ReadRequest:
    """Return the request as the door read it."""
    value: ReadRequest = flask_request.environ["idp.request"]
    return value


def create_pages(desk: Desk, present: Callable[[PageAnswer, ReadRequest], Answer]) -> PageApplication:
    """Return the application with every page; `desk` is what views work with."""
    from idp.web.pages import views  # noqa: PLC0415 - views import `read` from here

    pages = PageApplication("idp.web.pages", static_folder=None, template_folder=None)
    pages.config["PROPAGATE_EXCEPTIONS"] = False
    pages.present = present
    pages.before_request(cast("Any", lambda: _refuse_foreign_forms(desk)))
    pages.register_error_handler(HTTPException, cast("Any", lambda error: _http_error(desk, error)))
    pages.register_error_handler(Exception, cast("Any", lambda error: desk.error(read(), error)))
    views.register(pages, desk)
    return pages


def _http_error(desk: Desk, error: HTTPException) -> Answer | PageAnswer:
    """Return an error of routing as a page; what went wrong with us, also while a page was written, is the desk's to say and to log."""
    status = error.code or _SERVER_ERROR
    if status >= _SERVER_ERROR:
        return desk.error(read(), getattr(error, "original_exception", None) or error)
    answer = desk.http_error(read(), status)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        allowed = ("Allow", ", ".join(sorted(set(error.valid_methods) - {"OPTIONS"})))
        answer = replace(answer, headers=(*answer.headers, allowed))
    return answer


def _refuse_foreign_forms(desk: Desk) -> PageAnswer | None:
    """Refuse a form that another site sent (ASVS 3.5.1), beside the proof in the form itself.

    Sec-Fetch-Site and Origin each have to be ours where a browser tells them; `null` is what our own pages send as Origin under
    `no-referrer`, and leaves the decision to the other and to the form's proof.
    """
    request = read()
    if request.method != "POST" or request.path in _SENT_BY_PORTALS:
        return None
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin", "null")
    is_ours = site in {None, "same-origin"} and origin in {"null", origin_of(desk.issuer)}
    return None if is_ours else desk.page_error(request, "forged", status=403)

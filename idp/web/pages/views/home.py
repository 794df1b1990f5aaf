"""The person's own page: who they are here, where they are signed in, which portals may read what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

from idp.authenticators.model import OTP, PASSWORD, RECOVERY_CODE
from idp.grants.model import OFFLINE, NoSuchConsent
from idp.oidc.claims import CLAIMS_OF_SCOPE
from idp.sessions.model import NoSuchSession
from idp.web.door import PageAnswer
from idp.web.pages.application import read
from idp.web.pages.forms import ConfirmForm
from idp.web.pages.values import CLAIM_LABELS, TO_MY_PAGE, AuthenticatorEntry, ConsentEntry, Link, ReplayedEntry, SessionEntry
from idp.web.protocol.answers import see_other

if TYPE_CHECKING:
    from idp.sessions.model import LiveSession
    from idp.web.door import Answer
    from idp.web.pages.application import PageApplication
    from idp.web.pages.desk import Desk
    from idp.web.pages.rendering import Locale

_KINDS: Final[Mapping[str, Literal["password", "totp", "recovery_codes"]]] = {
    PASSWORD: "password",
    OTP: "totp",
    RECOVERY_CODE: "recovery_codes",
}
_BROWSERS: Final = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


class Home:
    """The first page, and what can be done on it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def show(self) -> Answer | PageAnswer:
        """Show what this is, or to whoever is signed in, their own page."""
        request = read()
        browser, headers = self.desk.flow.browser_of(request)
        form = self.desk.form_for(ConfirmForm, browser)
        session = self.desk.session(request)
        values: dict[str, Any] = {
            "name": None,
            "sign_in_url": "/sign-in",
            "form": form,
            "end_session_url": "/sessions/end",
            "withdraw_url": "/consents/withdraw",
            "sign_out_url": "/logout",
        }
        values |= self._of(session, self.desk.locale(request, None)[0]) if session is not None else _NOBODY
        return PageAnswer("home.html", values=values, headers=headers)

    def sign_in(self) -> Answer | PageAnswer:
        """Lead to the sign-in for the person's own page."""
        return self.desk.flow.begin_own(read())

    def _of(self, session: LiveSession, locale: Locale) -> dict[str, Any]:
        shown = self.desk.rooms.accounts.show(session.account_id)
        assessment = self.desk.rooms.levels.current(shown.holder_id)
        return {
            "name": shown.full_name,
            "ial": assessment.ial,
            "ial_until": assessment.until,
            "authenticators": [
                AuthenticatorEntry(_KINDS[held.method], held.since, held.left)
                for held in self.desk.rooms.authenticators.held(session.account_id)
            ],
            "sessions": [_session_entry(row, session) for row in self.desk.rooms.sessions.list_for(session.account_id)],
            "consents": [self._consent_entry(row, locale) for row in self.desk.rooms.grants.consents(session.account_id)],
            "replayed": [
                ReplayedEntry(self.desk.rooms.clients.get(row.client_id).name(locale), row.killed_at)
                for row in self.desk.rooms.grants.replayed(session.account_id)
            ],
        }

    def _consent_entry(self, row: Any, locale: Locale) -> ConsentEntry:
        client = self.desk.rooms.clients.get(row.client_id)
        names = [name for scope in CLAIMS_OF_SCOPE if scope in row.scopes for name in CLAIMS_OF_SCOPE[scope]]
        labels = tuple(dict.fromkeys(CLAIM_LABELS[name] for name in [*names, *row.claims] if name in CLAIM_LABELS))
        return ConsentEntry(str(row.id), client.name(locale), client.origin, labels, row.changed_at, OFFLINE in row.scopes)

    def end_session(self) -> Answer | PageAnswer:
        """End one of the person's sessions; a foreign one does not exist for them."""
        return self._change("session_ended")

    def withdraw(self) -> Answer | PageAnswer:
        """Withdraw a consent, and with it all that was issued under it."""
        return self._change("consent_withdrawn")

    def _change(self, kind: str) -> Answer | PageAnswer:
        request = read()
        session = self.desk.session(request)
        form = self.desk.form(ConfirmForm, request)
        if session is None:
            return self.desk.page_error(request, "not_allowed", status=403)
        if not form.validate():
            return self.desk.page_error(request, "forged", status=403)
        if not self.desk.flow.may_change_own(request):  # then the page is there again, and the button with it
            return self.desk.flow.begin_own(request, to_change=True)
        try:
            subject = UUID(form.subject.data or "")
            if kind == "session_ended":
                self.desk.rooms.sessions.end(subject, "signed_out", self.desk.origin(request), account_id=session.account_id)
            else:
                self.desk.rooms.grants.withdraw_consent(subject, session.account_id, self.desk.origin(request))
        except (ValueError, NoSuchSession, NoSuchConsent):
            return self.desk.page_error(request, "not_found", status=404)
        if kind == "session_ended" and subject == session.id:
            return see_other("/", self.desk.cookies.drop(self.desk.cookies.session))
        return PageAnswer("done.html", values={"kind": kind, "onward": Link(TO_MY_PAGE, "/")})


_NOBODY: Final[dict[str, Any]] = {"ial": 0, "ial_until": None, "authenticators": (), "sessions": (), "consents": (), "replayed": ()}


def _session_entry(row: Any, current: LiveSession) -> SessionEntry:
    browser = next((name for sign, name in _BROWSERS if sign in row.user_agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in row.user_agent), "")
    return SessionEntry(str(row.id), ", ".join(filter(None, (browser, system))), row.started_at, row.seen_at, row.id == current.id)


def register(pages: PageApplication, desk: Desk) -> None:
    """Give the pages their addresses."""
    home = Home(desk)
    pages.page("/", "home", home.show, methods=["GET"])
    pages.page("/sign-in", "sign_in_here", home.sign_in, methods=["GET"])
    pages.page("/sessions/end", "end_session", home.end_session, methods=["POST"])
    pages.page("/consents/withdraw", "withdraw_consent", home.withdraw, methods=["POST"])

"""Signing out: asked of the person, done once, and told: which portals were reached, and whether they answered."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from idp.kernel.digests import base64url, digest, new_bearer
from idp.kernel.refusals import Unavailable
from idp.reference.model import is_digits
from idp.sessions.model import NoSuchSession
from idp.web.door import PageAnswer
from idp.web.pages.application import read
from idp.web.pages.forms import SignOutForm
from idp.web.pages.values import TO_FIRST_PAGE, TO_MY_PAGE, TO_PORTAL, Link
from idp.web.protocol.answers import origin_of, see_other
from idp.web.protocol.logout import SignOutRequest, SignOutUnreadable, read_sign_out

if TYPE_CHECKING:
    from idp.clients.model import Client
    from idp.sessions.model import LiveSession
    from idp.web.door import Answer, Request
    from idp.web.pages.application import PageApplication
    from idp.web.pages.desk import Desk
    from idp.web.pages.rendering import Locale
    from idp.web.pages.values import ToldPortal

_KEPT_FOR: Final = timedelta(hours=1)
_LOOKS: Final = 5
"""How often the page renews itself while portals are being told."""
_LOOK_EVERY: Final = 2
_LOOKED_DIGITS: Final = 2
_GO_BACK_AFTER: Final = 5
"""Seconds after which the page leads back to the portal by itself: time to read which portals were told."""


class SigningOut:
    """The pages of a sign-out."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def ask(self) -> Answer | PageAnswer:
        """Ask whether to sign out everywhere (RP-Initiated Logout §2). A POST from a portal is asked anew by GET, with its cookies."""
        request = read()
        pairs = request.form if request.method == "POST" else request.query
        try:
            asked = read_sign_out(pairs, self.desk.rooms)
        except SignOutUnreadable as refusal:
            return self.desk.page_error(request, "sign_out_unreadable", technical=str(refusal))
        if request.method == "POST":
            return see_other(_asking("/logout", asked))
        session = self.desk.session(request)
        if session is None:
            return see_other(asked.back_to) if asked.back_to else self._signed_out_page(request, None, asked.back_to, 0, asked)
        return self._ask_page(request, asked, session)

    def _ask_page(self, request: Request, asked: SignOutRequest, session: LiveSession) -> PageAnswer:
        browser, headers = self.desk.flow.browser_of(request)
        form = self.desk.form_for(SignOutForm, browser)
        locale, _ = self.desk.locale(request, asked.ui_locales)
        values: dict[str, Any] = {
            "form": form,
            "action": _asking("/logout/confirm", asked),
            "name": self.desk.rooms.accounts.show(session.account_id).full_name,
            "portals": self._portals(session.id, locale, asked.client),
            "ui_locales": asked.ui_locales,
            "language_url": _in_other_language(asked, locale),
        }
        if asked.client is not None:
            values["asker"] = self.desk.asker(asked.client, "sign_out")
        targets = (origin_of(asked.back_to),) if asked.back_to else ()
        return PageAnswer("sign_out.html", values=values, headers=headers, form_targets=targets)

    def _portals(self, session_id: UUID, locale: Locale, asker: Client | None) -> list[ToldPortal]:
        """Return every portal that the session reached, and what became of telling it.

        Who registered no address cannot be told; of one that asks for the sign-out itself the pages say so.
        """

        def untold(client: Client) -> str:
            if client.backchannel_logout_uri:
                return "pending"
            return "asked" if asker is not None and asker.id == client.id else "untold"

        told = {notice.client_id: _STATES[notice.state] for notice in self.desk.rooms.sessions.notices(session_id)}
        reached = [self.desk.rooms.clients.get(row.client_id) for row in self.desk.rooms.sessions.reached(session_id)]
        return [self.desk.told(client, told.get(client.id) or untold(client), locale) for client in reached]

    def confirm(self) -> Answer | PageAnswer:
        """End the session, or go back without having changed anything."""
        request = read()
        try:
            asked = read_sign_out(request.query, self.desk.rooms)
        except SignOutUnreadable as refusal:
            return self.desk.page_error(request, "sign_out_unreadable", technical=str(refusal))
        form = self.desk.form(SignOutForm, request)
        if not form.validate():
            return self.desk.page_error(request, "forged", status=403)
        if form.decision.data == "stay":  # the portal's own page says that all is over: it is not led to
            done = {"kind": "stayed", "onward": Link(TO_MY_PAGE, "/"), "ui_locales": asked.ui_locales}
            return PageAnswer("done.html", values=done) if asked.client is not None else see_other("/")
        session = self.desk.session(request)
        dropped = self.desk.cookies.drop(self.desk.cookies.session)
        if session is None:
            return see_other(asked.back_to or "/", dropped)
        try:
            self.desk.rooms.sessions.end(session.id, "signed_out", self.desk.origin(request), account_id=session.account_id)
        except NoSuchSession:
            return see_other(asked.back_to or "/", dropped)
        kept = self._keep(session.id, asked)
        return see_other(f"/signed-out/{kept}" if kept else asked.back_to or "/", dropped)

    def _keep(self, session_id: UUID, asked: SignOutRequest) -> str | None:
        """Remember what the next page shows; without Redis there is no such page, and the person is signed out all the same."""
        name = new_bearer("")
        client_id = asked.client.client_id if asked.client else None
        value = {"session": str(session_id), "back_to": asked.back_to, "client": client_id, "ui_locales": asked.ui_locales}
        try:
            self.desk.rooms.ephemeral.put(_key(name), json.dumps(value).encode(), keep_for=_KEPT_FOR)
        except Unavailable:
            return None
        return name

    def signed_out(self, name: str) -> Answer | PageAnswer:
        """Tell which portals were told, and whether they answered."""
        request = read()
        stored = self.desk.rooms.ephemeral.find(_key(name))
        if stored is None:
            if self.desk.session(request) is not None:  # an address of nobody says of nobody that they are signed out
                return see_other("/")
            return self._signed_out_page(request, None, None, 0, SignOutRequest())
        kept = json.loads(stored)
        looks = (value for key, value in request.query if key == "looked")
        looked = next((int(value) for value in looks if is_digits(value) and len(value) <= _LOOKED_DIGITS), 0)
        client = self.desk.rooms.clients.find(kept["client"]) if kept["client"] else None
        if client is None or client.is_dead(self.desk.rooms.clock.now()):
            client, kept["back_to"] = None, None
        asked = SignOutRequest(client=client, ui_locales=kept["ui_locales"])
        return self._signed_out_page(request, UUID(kept["session"]), kept["back_to"], looked, asked)

    def _signed_out_page(
        self, request: Request, session_id: UUID | None, back_to: str | None, looked: int, asked: SignOutRequest
    ) -> PageAnswer:
        locale, _ = self.desk.locale(request, asked.ui_locales)
        portals = self._portals(session_id, locale, asked.client) if session_id else None
        waits = any(portal.state == "pending" for portal in portals or ())
        again = f"{request.path}?looked={looked + 1}"
        headers: tuple[tuple[str, str], ...] = ()
        if waits and looked < _LOOKS:
            headers = (("Refresh", f"{_LOOK_EVERY}; url={again}"),)
        elif back_to is not None:
            headers = (("Refresh", f"{_GO_BACK_AFTER}; url={back_to}"),)
        values: dict[str, Any] = {
            "portals": portals,
            "refresh_url": again,
            "onward": Link(TO_PORTAL, back_to) if back_to else Link(TO_FIRST_PAGE, "/"),
            "ui_locales": asked.ui_locales,
        }
        if session_id is None and asked.carried:
            values["language_url"] = _in_other_language(asked, locale)
        if asked.client is not None:
            values["asker"] = self.desk.asker(asked.client, "signed_out")
        return PageAnswer("signed_out.html", values=values, headers=headers)


_STATES: Final = {"told": "told", "waiting": "pending", "trying": "no_answer", "given_up": "no_answer"}


def _asking(path: str, asked: SignOutRequest) -> str:
    """Return an address that asks for the same again, in the same language; an ID token is never in it (ASVS 10.1.1)."""
    language = urlencode({"ui_locales": asked.ui_locales}) if asked.ui_locales else ""
    query = "&".join(part for part in (asked.carried, language) if part)
    return path + ("?" + query if query else "")


def _in_other_language(asked: SignOutRequest, locale: Locale) -> str:
    lang = urlencode({"lang": "en" if locale == "vi" else "vi"})
    return "/logout?" + "&".join(part for part in (asked.carried, lang) if part)


def _key(name: str) -> str:
    return "signed-out:" + base64url(digest(name))


def register(pages: PageApplication, desk: Desk) -> None:
    """Give the pages their addresses."""
    signing_out = SigningOut(desk)
    pages.page("/logout", "sign_out", signing_out.ask, methods=["GET", "POST"])
    pages.page("/logout/confirm", "sign_out_confirm", signing_out.confirm, methods=["POST"])
    pages.page("/signed-out/<name>", "signed_out", signing_out.signed_out, methods=["GET"])

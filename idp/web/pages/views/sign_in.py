"""Signing in: password, second factor, and setting one up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from idp.authenticators.model import OTP, RECOVERY_CODE, SecondFactorHeld, TotpRefused
from idp.interactions.model import AddFactor, Enrol, LogIn
from idp.interactions.service import InteractionGone
from idp.oidc.errors import AnswerWithError, ClientOver
from idp.throttle.model import VolumeKind
from idp.web.door import PageAnswer
from idp.web.pages.application import read
from idp.web.pages.forms import (
    WRONG_RECOVERY_CODE,
    WRONG_SIGN_IN,
    WRONG_TOTP,
    EnrolOnTheWayForm,
    KeepCodesForm,
    RecoveryCodeForm,
    SignInForm,
    TotpForm,
)
from idp.web.pages.qr import qr_of
from idp.web.pages.values import SHOWN_DIGITS
from idp.web.pages.views.here import base_of, begin_anew, elsewhere, form_page, here, leave
from idp.web.pages.views.recovery_codes import UnkeptCodes
from idp.web.protocol.answers import see_other

if TYPE_CHECKING:
    from idp.sessions.model import LiveSession
    from idp.web.door import Answer, Request
    from idp.web.pages.application import PageApplication
    from idp.web.pages.desk import Desk
    from idp.web.pages.forms import Form, WayOutForm
    from idp.web.pages.views.here import Here
    from idp.web.pages.views.recovery_codes import FreshCodes


F = TypeVar("F", bound="Form")


def _name_of_codes(interaction_id: str, session: LiveSession) -> str:
    """Return under which name codes are kept that were made on the way: whoever goes on as somebody else finds none."""
    return f"{interaction_id}/{session.account_id}"


class SigningIn:
    """The pages on which something is proved."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.codes = UnkeptCodes(desk)

    def begin(self, interaction_id: str) -> Answer | PageAnswer:
        """Lead into an interaction: the browser is bound to it, and sent where it must go."""
        request = read()
        browser, headers = self.desk.flow.browser_of(request)
        it = self.desk.rooms.interactions.bind(interaction_id, browser)
        if it.enrolling and self._unkept(it.id, self.desk.session(request), request) is not None:
            return see_other(base_of(it.id) + "/recovery-codes", *headers)
        return self.desk.flow.proceed(request, it, *headers)

    # password ---------------------------------------------------------------------------------------------------------------------------

    def password(self, interaction_id: str) -> Answer | PageAnswer:
        """Ask for personal number and password; a right pair begins or renews the session."""
        at = here(self.desk, interaction_id)
        if not isinstance(at.step, LogIn):
            return elsewhere(at)
        form = self.desk.form(SignInForm, at.request)
        if at.request.method != "POST" or not form.validate():
            return self._instead(at, form) if form.instead else self._password_page(at, form)
        self.desk.rooms.volumes.reserve(VolumeKind.SIGN_IN, at.request.address)
        where = self.desk.where(at.request, at.asked)
        signed_in = self.desk.rooms.sign_in.with_password(
            form.username.data or "", form.password.data or "", self.desk.session(at.request), where
        )
        if signed_in is None:
            form.refuse("password", WRONG_SIGN_IN)
            return self._password_page(at, form)
        headers = [self.desk.cookies.set_session(signed_in.session.cookie)]
        if signed_in.device is not None:
            headers.append(self.desk.cookies.set_device(signed_in.device))
        return see_other(at.base, *headers)

    def _password_page(self, at: Here, form: SignInForm) -> PageAnswer:
        if at.request.method != "POST" and not form.username.data:
            hint = at.asked.login_hint
            form.username.data = hint if self.desk.rooms.country.personal_number.is_written(hint) else ""
        return self._page("sign_in.html", at, form, "/sign-in", step=1)

    # second factor ------------------------------------------------------------------------------------------------------------------------

    def totp(self, interaction_id: str) -> Answer | PageAnswer:
        """Ask for the code of the authenticator application."""
        at = here(self.desk, interaction_id)
        if not (isinstance(at.step, AddFactor) and OTP in at.step.methods):
            return elsewhere(at)
        form = self._form(TotpForm, at)
        if at.request.method == "POST" and form.validate():
            session = self.desk.session(at.request)
            if session is None:
                return elsewhere(at)
            signed_in = self.desk.rooms.sign_in.with_otp(form.code.data or "", session, self.desk.where(at.request, at.asked))
            if signed_in is not None:
                return see_other(at.base, self.desk.cookies.set_session(signed_in.session.cookie))
            form.refuse("code", WRONG_TOTP)
        if form.instead:
            return self._instead(at, form)
        recovery = at.base + "/recovery-code" if RECOVERY_CODE in at.step.methods else None
        return self._page("totp.html", at, form, "/totp", recovery_url=recovery, number=self._number(at), wants="step_up")

    def recovery_code(self, interaction_id: str) -> Answer | PageAnswer:
        """Ask for a recovery code instead."""
        at = here(self.desk, interaction_id)
        if not (isinstance(at.step, AddFactor) and RECOVERY_CODE in at.step.methods):
            return elsewhere(at)
        form = self._form(RecoveryCodeForm, at)
        if at.request.method == "POST" and form.validate():
            session = self.desk.session(at.request)
            if session is None:
                return elsewhere(at)
            where = self.desk.where(at.request, at.asked)
            signed_in = self.desk.rooms.sign_in.with_recovery_code(form.code.data or "", session, where)
            if signed_in is not None:
                return see_other(at.base, self.desk.cookies.set_session(signed_in.session.cookie))
            form.refuse("code", WRONG_RECOVERY_CODE)
        if form.instead:
            return self._instead(at, form)
        totp_url = at.base + "/totp"
        return self._page("recovery_code.html", at, form, "/recovery-code", totp_url=totp_url, number=self._number(at), wants="step_up")

    def enrol(self, interaction_id: str) -> Answer | PageAnswer:
        """Have an authenticator application set up; its first code makes the recovery codes, which the next page shows."""
        at = here(self.desk, interaction_id)
        session = self.desk.session(at.request)
        if not (isinstance(at.step, Enrol) and OTP in at.step.methods) or session is None or at.standing is None:
            is_done = bool(at.it.enrolling) and self._unkept(at.it.id, session, at.request) is not None
            return see_other(at.base + "/recovery-codes") if is_done else elsewhere(at)
        form = self._form(EnrolOnTheWayForm, at)
        if at.request.method == "POST" and form.validate() and at.it.enrolling:
            where = self.desk.where(at.request, at.asked)
            try:
                enrolled = self.desk.rooms.sign_in.enrol_otp(UUID(at.it.enrolling), form.code.data or "", session, where)
            except TotpRefused:
                form.refuse("code", WRONG_TOTP)
            except SecondFactorHeld:
                return see_other(at.base)
            else:
                cookie = self.desk.cookies.set_session(enrolled.session.cookie)
                fresh = self.codes.make(enrolled.recovery_codes, self.desk.rooms.accounts.person(at.standing.holder_id).full_name)
                name = _name_of_codes(at.it.id, session)
                if self.codes.could_keep(name, self.desk.browser(at.request), fresh):
                    return see_other(at.base + "/recovery-codes", cookie)
                return self.desk.with_headers(self._codes_page(at.request, at.it.id, fresh), cookie)
        if form.instead:
            return self._instead(at, form)
        person = self.desk.rooms.accounts.person(at.standing.holder_id)
        offered = None
        if at.it.enrolling:  # the same picture again, in the other language or after a wrong code: it may be scanned already
            offered = self.desk.rooms.totp.offered(session.account_id, UUID(at.it.enrolling), person.full_name)
        if offered is None:
            offered = self.desk.rooms.totp.enrol(session.account_id, person.full_name)
            self.desk.rooms.interactions.settle(at.it, enrolling=str(offered.id))
        shown: dict[str, Any] = {"uri": offered.uri, "qr": qr_of(offered.uri), "secret": offered.secret, "number": self._number(at)}
        return self._page("enrol_totp.html", at, form, "/enrol", wants="step_up", **shown)

    def recovery_codes(self, interaction_id: str) -> Answer | PageAnswer:
        """Show the codes that were just made, until their owner says that they are kept, whatever became of the interaction."""
        request = read()
        session = self.desk.session(request)
        fresh = self._unkept(interaction_id, session, request)
        if session is None or fresh is None:
            return self.desk.flow.proceed(request, self.desk.interaction(request, interaction_id))
        if request.method != "POST":
            return self._codes_page(request, interaction_id, fresh)
        if not self.desk.form(KeepCodesForm, request).validate():
            return self.desk.page_error(request, "forged", status=403)
        self.codes.forget(_name_of_codes(interaction_id, session))
        try:
            return self.desk.flow.proceed(request, self.desk.interaction(request, interaction_id))
        except InteractionGone:
            return see_other("/")

    def _unkept(self, interaction_id: str, session: LiveSession | None, request: Request) -> FreshCodes | None:
        """Return the codes that this browser's person was given on the way, and has not said to have kept."""
        return None if session is None else self.codes.find(_name_of_codes(interaction_id, session), self.desk.browser(request))

    def _codes_page(self, request: Request, interaction_id: str, fresh: FreshCodes) -> PageAnswer:
        form = self.desk.form_for(KeepCodesForm, self.desk.browser(request))
        action = base_of(interaction_id) + "/recovery-codes"
        values: dict[str, Any] = {"form": form, "action": action, "step": 1, "steps": 1, **fresh.values()}
        try:
            asked = self.desk.flow.asked_in(self.desk.interaction(request, interaction_id))
        except (InteractionGone, ClientOver, AnswerWithError):
            return PageAnswer("recovery_codes.html", values=values)
        return self.desk.page("recovery_codes.html", asked, wants="step_up", **values)

    def _form(self, form_class: type[F], at: Here) -> F:
        """Return a form that is about whose session stands: what was typed for somebody else is judged for nobody."""
        return self.desk.form(form_class, at.request, at.it.id, str(at.standing.account_id) if at.standing else "")

    def _instead(self, at: Here, form: WayOutForm) -> Answer | PageAnswer:
        return begin_anew(self.desk, at) if form.instead == "another" else leave(self.desk, at, "access_denied")

    def _number(self, at: Here) -> str:
        """Return the end of the number of whose proof is asked for; whoever gave the password has typed it."""
        return self.desk.rooms.accounts.person(at.standing.holder_id).personal_number[-SHOWN_DIGITS:] if at.standing else ""

    def _page(self, template: str, at: Here, form: Form, path: str, *, step: int = 2, wants: str = "sign_in", **values: Any) -> PageAnswer:
        steps = max(at.steps, step) if at.begins_here or step == 1 else 1
        return form_page(self.desk, template, at, form, path, wants=wants, step=step, steps=steps, **values)


def register(pages: PageApplication, desk: Desk) -> None:
    """Give the pages their addresses."""
    signing_in = SigningIn(desk)
    both = ["GET", "POST"]
    pages.page("/i/<interaction_id>", "begin", signing_in.begin, methods=["GET"])
    pages.page("/i/<interaction_id>/sign-in", "sign_in", signing_in.password, methods=both)
    pages.page("/i/<interaction_id>/totp", "totp", signing_in.totp, methods=both)
    pages.page("/i/<interaction_id>/recovery-code", "recovery_code", signing_in.recovery_code, methods=both)
    pages.page("/i/<interaction_id>/enrol", "enrol", signing_in.enrol, methods=both)
    pages.page("/i/<interaction_id>/recovery-codes", "recovery_codes", signing_in.recovery_codes, methods=both)

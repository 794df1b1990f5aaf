"""Signing in: password, second factor, and setting one up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from idp.authenticators.model import OTP, PASSWORD, RECOVERY_CODE, SecondFactorHeld, TotpRefused
from idp.interactions.model import AddFactor, Enrol, LogIn, Step
from idp.throttle.model import VolumeKind
from idp.web.flow import page_for
from idp.web.pages.application import read
from idp.web.pages.forms import (
    WRONG_RECOVERY_CODE,
    WRONG_SIGN_IN,
    WRONG_TOTP,
    EnrolTotpForm,
    KeepCodesForm,
    RecoveryCodeForm,
    SignInForm,
    TotpForm,
)
from idp.web.pages.qr import qr_of
from idp.web.pages.values import SHOWN_DIGITS
from idp.web.pages.views.recovery_codes import UnkeptCodes
from idp.web.protocol.answers import see_other

if TYPE_CHECKING:
    from idp.grants.model import Standing
    from idp.interactions.model import Asked
    from idp.interactions.service import Interaction
    from idp.oidc.request import AuthorizationRequest
    from idp.sessions.model import LiveSession
    from idp.web.door import Answer, PageAnswer, Request
    from idp.web.pages.application import PageApplication
    from idp.web.pages.desk import Desk
    from idp.web.pages.forms import Form, ProofForm
    from idp.web.pages.views.recovery_codes import FreshCodes


@dataclass(frozen=True, slots=True)
class Here:
    """Where a page stands in its interaction: what the dispatcher says comes next, and from what."""

    request: Request
    it: Interaction
    asked: AuthorizationRequest
    wanted: Asked
    step: Step
    standing: Standing | None

    @property
    def base(self) -> str:
        """The address below which the interaction's pages live."""
        return f"/i/{self.it.id}"

    @property
    def begins_here(self) -> bool:
        """Whether the first proof is given in this request; else what is asked now is one step alone."""
        proved = None if self.standing is None else self.standing.proofs.get(PASSWORD)
        return proved is None or proved >= self.it.begun_at.replace(microsecond=0)

    @property
    def steps(self) -> int:
        """How many steps of proof this request may take: two where a second factor is wanted."""
        wanted = max(self.wanted.minimum.aal, *(level.aal for level in self.wanted.classes), 1)
        return 2 if wanted > 1 else 1


def here(desk: Desk, interaction_id: str) -> Here:
    """Return where the browser stands in an interaction."""
    request = read()
    it = desk.interaction(request, interaction_id)
    asked = desk.flow.asked_in(it)
    decision = desk.flow.decide(asked, it.begun_at, request, it)
    return Here(request, it, asked, decision.asked, decision.step, decision.standing)


def elsewhere(at: Here) -> Answer:
    """Lead to the page of the step that comes next: this one is not it."""
    return see_other(page_for(at.step, at.it))


def form_page(desk: Desk, template: str, at: Here, form: Form, path: str, *, wants: str = "sign_in", **values: Any) -> PageAnswer:
    """Return a page of an interaction with a form that comes back to `path`."""
    return desk.page(template, at.asked, wants=wants, status=form.status, form=form, action=at.base + path, **values)


def _name_of_codes(at: Here) -> str:
    """Return under which name codes are kept that were made in this request: whoever goes on as somebody else finds none."""
    return f"{at.it.id}/{at.standing.account_id if at.standing else ''}"


def begin_anew(desk: Desk, at: Here) -> Answer | PageAnswer:
    """Begin the sign-in anew, as anybody: the session of this browser is left as it is until somebody else proves who they are."""
    it = desk.rooms.interactions.settle(at.it, anew=desk.rooms.clock.now().timestamp())
    return desk.flow.proceed(at.request, it)


def leave(desk: Desk, at: Here, error: str) -> Answer | PageAnswer:
    """Lead back to the portal that asked, which is told `error`; the session of this browser stays as it is."""
    desk.rooms.interactions.end(at.it)
    return desk.flow.refuse(at.asked, error)


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
        return self.desk.flow.proceed(request, it, *headers)

    # password ---------------------------------------------------------------------------------------------------------------------------

    def password(self, interaction_id: str) -> Answer | PageAnswer:
        """Ask for personal number and password; a right pair begins or renews the session."""
        at = here(self.desk, interaction_id)
        if not isinstance(at.step, LogIn):
            return elsewhere(at)
        form = self.desk.form(SignInForm, at.request)
        is_filled = at.request.method == "POST" and form.validate()
        if form.instead:
            return self._instead(at, form)
        if not is_filled:
            return self._password_page(at, form)
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
        return self._page("sign_in.html", at, form, "/sign-in", step=1, activate_url="/activate")

    # second factor ------------------------------------------------------------------------------------------------------------------------

    def totp(self, interaction_id: str) -> Answer | PageAnswer:
        """Ask for the code of the authenticator application."""
        at = here(self.desk, interaction_id)
        if not (isinstance(at.step, AddFactor) and OTP in at.step.methods):
            return elsewhere(at)
        form = self.desk.form(TotpForm, at.request)
        is_filled = at.request.method == "POST" and form.validate()
        if form.instead:
            return self._instead(at, form)
        if is_filled:
            session = self._session(at)
            if session is None:
                return elsewhere(at)
            signed_in = self.desk.rooms.sign_in.with_otp(form.code.data or "", session, self.desk.where(at.request, at.asked))
            if signed_in is not None:
                return see_other(at.base, self.desk.cookies.set_session(signed_in.session.cookie))
            form.refuse("code", WRONG_TOTP)
        recovery = at.base + "/recovery-code" if RECOVERY_CODE in at.step.methods else None
        return self._page("totp.html", at, form, "/totp", recovery_url=recovery, number=self._number(at), wants="step_up")

    def recovery_code(self, interaction_id: str) -> Answer | PageAnswer:
        """Ask for a recovery code instead."""
        at = here(self.desk, interaction_id)
        if not (isinstance(at.step, AddFactor) and RECOVERY_CODE in at.step.methods):
            return elsewhere(at)
        form = self.desk.form(RecoveryCodeForm, at.request)
        is_filled = at.request.method == "POST" and form.validate()
        if form.instead:
            return self._instead(at, form)
        if is_filled:
            session = self._session(at)
            if session is None:
                return elsewhere(at)
            where = self.desk.where(at.request, at.asked)
            signed_in = self.desk.rooms.sign_in.with_recovery_code(form.code.data or "", session, where)
            if signed_in is not None:
                return see_other(at.base, self.desk.cookies.set_session(signed_in.session.cookie))
            form.refuse("code", WRONG_RECOVERY_CODE)
        totp_url = at.base + "/totp"
        return self._page("recovery_code.html", at, form, "/recovery-code", totp_url=totp_url, number=self._number(at), wants="step_up")

    def enrol(self, interaction_id: str) -> Answer | PageAnswer:
        """Have an authenticator application set up, and show the recovery codes that come with it, once."""
        at = here(self.desk, interaction_id)
        session = self._session(at)
        if not (isinstance(at.step, Enrol) and OTP in at.step.methods) or session is None or at.standing is None:
            return elsewhere(at)
        form = self.desk.form(EnrolTotpForm, at.request)
        is_filled = at.request.method == "POST" and form.validate()
        if form.instead:
            return self._instead(at, form)
        if is_filled and at.it.enrolling:
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
                if self.codes.could_keep(_name_of_codes(at), self.desk.browser(at.request), fresh):
                    return see_other(at.base + "/recovery-codes", cookie)
                return self.desk.with_headers(self._codes_page(at, fresh), cookie)
        person = self.desk.rooms.accounts.person(at.standing.holder_id)
        offered = None
        if at.it.enrolling:  # the same picture again, in the other language or after a wrong code: it may be scanned already
            offered = self.desk.rooms.totp.offered(session.account_id, UUID(at.it.enrolling), person.full_name)
        if offered is None:
            offered = self.desk.rooms.totp.enrol(session.account_id, person.full_name)
            self.desk.rooms.interactions.settle(at.it, enrolling=str(offered.id))
        shown: dict[str, Any] = {"uri": offered.uri, "qr": qr_of(offered.uri), "secret": offered.secret, "signing_in": True}
        return self._page("enrol_totp.html", at, form, "/enrol", wants="step_up", **shown)

    def recovery_codes(self, interaction_id: str) -> Answer | PageAnswer:
        """Show the codes that were just made, until their owner says that they are kept; then go on."""
        at = here(self.desk, interaction_id)
        fresh = self.codes.find(_name_of_codes(at), self.desk.browser(at.request))
        if at.request.method != "POST":
            return self.desk.flow.proceed(at.request, at.it) if fresh is None else self._codes_page(at, fresh)
        form = self.desk.form(KeepCodesForm, at.request)
        if not form.validate():
            return self.desk.page_error(at.request, "forged", status=403)
        self.codes.forget(_name_of_codes(at))
        return self.desk.flow.proceed(at.request, at.it)

    def _codes_page(self, at: Here, fresh: FreshCodes) -> PageAnswer:
        form = self.desk.form_for(KeepCodesForm, self.desk.browser(at.request))
        return self._page("recovery_codes.html", at, form, "/recovery-codes", wants="step_up", **fresh.values())

    def _instead(self, at: Here, form: ProofForm) -> Answer | PageAnswer:
        return begin_anew(self.desk, at) if form.instead == "another" else leave(self.desk, at, "access_denied")

    def _number(self, at: Here) -> str:
        """Return the end of the number of whose proof is asked for; whoever gave the password has typed it."""
        return self.desk.rooms.accounts.person(at.standing.holder_id).personal_number[-SHOWN_DIGITS:] if at.standing else ""

    def _session(self, at: Here) -> LiveSession | None:
        return self.desk.session(at.request)

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

"""Activation: with the code that an officer gave, the person alone sets password and second factor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from idp.authenticators.model import (
    PasswordOfContext,
    PasswordRefused,
    PasswordTooCommon,
    PasswordTooLong,
    PasswordTooShort,
    PasswordUnreadable,
    TotpRefused,
)
from idp.enrolment.model import ActivationCodeRefused, NewSecondFactor
from idp.kernel.digests import new_bearer
from idp.throttle.model import VolumeKind
from idp.web.door import PageAnswer
from idp.web.pages.application import read
from idp.web.pages.forms import (
    PASSWORD_TOO_LONG,
    WRONG_ACTIVATION,
    WRONG_TOTP,
    ActivationForm,
    EnrolTotpForm,
    KeepCodesForm,
    NewPasswordForm,
)
from idp.web.pages.kept import Kept
from idp.web.pages.qr import qr_of
from idp.web.pages.values import N_, TO_SIGN_IN, Link
from idp.web.pages.views.recovery_codes import UnkeptCodes
from idp.web.protocol.answers import see_other

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.enrolment.model import Activating
    from idp.web.door import Answer, Request
    from idp.web.pages.application import PageApplication
    from idp.web.pages.desk import Desk
    from idp.web.pages.forms import Form
    from idp.web.pages.views.recovery_codes import FreshCodes

PASSWORD_WORDS: Final[Mapping[type[PasswordRefused], str]] = {
    PasswordTooShort: N_("Use 10 characters or more."),
    PasswordTooLong: PASSWORD_TOO_LONG,
    PasswordUnreadable: N_("This password holds a character that cannot be seen, such as a tab. Type it anew without."),
    PasswordTooCommon: N_("This password is among those that are guessed first. Choose another one."),
    PasswordOfContext: N_("This password is made of your own number or name, or of the name of this service. Choose another one."),
}
"""Why a password may not be set, in words for people: one sentence for each refusal there is."""
_STEPS: Final = 3


@dataclass(frozen=True, slots=True)
class Pending:
    """What was settled so far: sealed while it is kept, and opened for this browser only."""

    code: str
    password: str = ""
    secret: str = ""


class Activations:
    """The three pages of an activation, and those behind it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.pending = Kept(desk, Pending, "activation", "activation.pending")
        self.codes = UnkeptCodes(desk)

    def code(self) -> Answer | PageAnswer:
        """Ask for personal number and activation code; nothing is used up yet."""
        request = read()
        browser, headers = self.desk.flow.browser_of(request)
        form = self.desk.form(ActivationForm, request) if request.method == "POST" else self.desk.form_for(ActivationForm, browser)
        if request.method == "POST" and form.validate():
            self.desk.rooms.volumes.reserve(VolumeKind.ACTIVATION, request.address)
            if self._is_of(form.code.data or "", form.username.data or ""):
                name = new_bearer("")
                self.pending.keep(name, browser, Pending(form.code.data or ""))
                return see_other(f"/activate/{name}/password")
            form.refuse("code", WRONG_ACTIVATION)
        page = self._page("activate.html", form, "/activate", 1)
        return self.desk.with_headers(page, *headers)

    def _is_of(self, code: str, number: str) -> bool:
        """Whether the code is good and of the account that the number names; which of both failed, nobody is told."""
        found = self.desk.rooms.accounts.find_by_number(number)
        try:
            activating = self.desk.rooms.activation.begin(code)
        except ActivationCodeRefused:
            return False
        return found is not None and found.account_id == activating.account_id

    def password(self, name: str) -> Answer | PageAnswer:
        """Ask for a new password."""
        request = read()
        pending, activating = self._pending(request, name)
        form = self.desk.form(NewPasswordForm, request)
        if request.method == "POST":
            is_filled = form.validate()
            try:
                if form.password.data:  # everything that is wrong is said at once
                    self.desk.rooms.activation.require_good_password(activating, form.password.data)
            except PasswordRefused as refusal:
                form.refuse("password", PASSWORD_WORDS[type(refusal)])
                is_filled = False
            if is_filled:
                secret = pending.secret or self.desk.rooms.totp.new_secret()
                self.pending.keep(name, self.desk.browser(request), replace(pending, password=form.password.data or "", secret=secret))
                return see_other(f"/activate/{name}/second-factor")
        person = self.desk.rooms.accounts.person(activating.holder_id)
        return self._page("activate_password.html", form, request.path, 2, number=person.personal_number)

    def second_factor(self, name: str) -> Answer | PageAnswer:
        """Have an authenticator application set up; its first code completes the activation."""
        request = read()
        pending, activating = self._pending(request, name)
        if not pending.password:
            return see_other(f"/activate/{name}/password")
        form = self.desk.form(EnrolTotpForm, request)
        if request.method == "POST" and form.validate():
            try:
                factor = NewSecondFactor(pending.secret, form.code.data or "")
                activated = self.desk.rooms.activation.complete(pending.code, pending.password, factor, self.desk.origin(request))
            except TotpRefused:
                form.refuse("code", WRONG_TOTP)
            except PasswordRefused:  # what is known about the person changed meanwhile: the page of the password says why
                return see_other(f"/activate/{name}/password")
            else:
                self.pending.forget(name)
                fresh = self.codes.make(activated.recovery_codes, activating.full_name)
                if self.codes.could_keep(name, self.desk.browser(request), fresh):
                    return see_other(f"/activate/{name}/recovery-codes")
                return self._codes_page(request, name, fresh)
        uri = self.desk.rooms.totp.uri(pending.secret, activating.full_name)
        return self._page(
            "enrol_totp.html",
            form,
            request.path,
            3,
            uri=uri,
            qr=qr_of(uri),
            secret=pending.secret,
            number=None,
        )

    def recovery_codes(self, name: str) -> Answer | PageAnswer:
        """Show the codes that came with the account, until their owner says that they are kept."""
        request = read()
        fresh = self.codes.find(name, self.desk.browser(request))
        if request.method != "POST":
            if fresh is None:
                raise ActivationCodeRefused
            return self._codes_page(request, name, fresh)
        form = self.desk.form(KeepCodesForm, request)
        if not form.validate():
            return self.desk.page_error(request, "forged", status=403)
        self.codes.forget(name)
        return see_other("/activated")

    def _codes_page(self, request: Request, name: str, fresh: FreshCodes) -> PageAnswer:
        form = self.desk.form_for(KeepCodesForm, self.desk.browser(request))
        return self._page("recovery_codes.html", form, f"/activate/{name}/recovery-codes", 3, **fresh.values())

    @staticmethod
    def activated() -> PageAnswer:
        """Say that the account is ready."""
        return PageAnswer("done.html", values={"kind": "activated", "onward": Link(TO_SIGN_IN, "/sign-in")})

    def _pending(self, request: Request, name: str) -> tuple[Pending, Activating]:
        """Return what is settled so far, and whom it would activate.

        Raises:
            ActivationCodeRefused: it is over, another browser's, another version's, or the code is no longer good.
        """
        pending = self.pending.find(name, self.desk.browser(request))
        if pending is None:
            raise ActivationCodeRefused
        return pending, self.desk.rooms.activation.begin(pending.code)

    @staticmethod
    def _page(template: str, form: Form, action: str, step: int, **values: Any) -> PageAnswer:
        return PageAnswer(template, form.status, {"form": form, "action": action, "step": step, "steps": _STEPS, **values})


def register(pages: PageApplication, desk: Desk) -> None:
    """Give the pages their addresses."""
    activations = Activations(desk)
    both = ["GET", "POST"]
    pages.page("/activate", "activate", activations.code, methods=both)
    pages.page("/activate/<name>/password", "activate_password", activations.password, methods=both)
    pages.page("/activate/<name>/second-factor", "activate_second_factor", activations.second_factor, methods=both)
    pages.page("/activate/<name>/recovery-codes", "activate_recovery_codes", activations.recovery_codes, methods=both)
    pages.page("/activated", "activated", activations.activated, methods=["GET"])

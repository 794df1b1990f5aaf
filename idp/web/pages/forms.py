"""The forms of the pages: which fields they have, how typed text is read, and proof that our own page was sent.

Owns field names, ids, normalisation and form-level messages. Must not know what the values mean to a room: whether a
password or code is right is judged elsewhere, and comes back through `Form.refuse`.

Messages are English message ids; templates translate them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from wtforms import Form as WtForm
from wtforms import PasswordField, StringField
from wtforms.csrf.core import CSRF, CSRFTokenField
from wtforms.validators import InputRequired, StopValidation

from idp.authenticators.model import MAX_PASSWORD_BYTES
from idp.web.pages.values import N_

if TYPE_CHECKING:
    from collections.abc import Callable

    from wtforms import Field
    from wtforms.form import BaseForm

    from idp.reference.model import Country

_SPACES: Final = re.compile(r"[\s.\u2011\u2013-]+")
_TOTP_CODE: Final = re.compile(r"[0-9]{6}")
_LONG_CODE: Final = re.compile(r"[0-9A-Za-z]{24}")

FORGED: Final = N_("This page was open for too long, or was opened somewhere else. Please try once more.")
REPEATED: Final = N_("This was sent twice. Fill it in once.")

# What services refuse, in words for people; given to `Form.refuse`.
WRONG_SIGN_IN: Final = N_("The number or the password is not right.")
WRONG_TOTP: Final = N_("This code is not right, its time is over, or it was just used. Wait for the next one and type that.")
WRONG_RECOVERY_CODE: Final = N_("This code is not right, or was used already. Try another one.")
WRONG_ACTIVATION: Final = N_("The number or the code is not right, or the code is over or was used. Ask for a new code if need be.")
PASSWORD_TOO_LONG: Final = N_("This password is longer than we can take.")


@dataclass(frozen=True, slots=True)
class CsrfContext:
    """What a form's proof is bound to: a key of this installation, the value of the browser's own cookie, and what the page is about.

    `about` is what a decision is made on: a page that shows something else by now is another page.
    """

    key: bytes
    browser: str
    about: tuple[str, ...] = ()


class BrowserCsrf(CSRF):
    """A form's proof: HMAC-SHA256 over browser, purpose and what is decided on. Nothing is stored; another browser's proof fails.

    OWASP ASVS 5.0, 3.5.1. A form without a context, or a browser without a cookie, is always refused.
    """

    _context: CsrfContext | None
    _purpose: str

    def setup_form(self, form: BaseForm) -> list[tuple[str, Any]]:
        """Remember what the proof is bound to; adds the hidden field."""
        self._context = form.meta.csrf_context
        self._purpose = form.purpose  # type: ignore[attr-defined]  # only our forms name this class
        return list(super().setup_form(form))

    def generate_csrf_token(self, csrf_token_field: CSRFTokenField) -> str:  # noqa: ARG002 - WTForms' signature
        """Return the proof for this browser and purpose; empty when there is nothing to bind it to."""
        if self._context is None or not self._context.key or not self._context.browser:
            return ""
        text = "\0".join((self._purpose, *self._context.about, self._context.browser)).encode("utf-8", "backslashreplace")
        mac = hmac.new(self._context.key, text, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()

    def validate_csrf_token(self, form: BaseForm, field: CSRFTokenField) -> None:  # noqa: ARG002 - WTForms' signature
        """Compare in constant time. Raises StopValidation when the proof is absent or another's."""
        sent = (field.data or "").encode("utf-8", "backslashreplace")
        if not field.current_token or not hmac.compare_digest(field.current_token.encode(), sent):
            raise StopValidation(FORGED)


class Form(WtForm):
    """Every form of ours: bound to a browser and a purpose, each single field accepted once only.

    `SignInForm(formdata, meta={"csrf_context": CsrfContext(key, browser), "country": country})`
    """

    class Meta:
        """Our own proof; messages stay English message ids until a template translates them."""

        csrf = True
        csrf_class = BrowserCsrf
        csrf_field_name = "csrf_token"
        csrf_context: CsrfContext | None = None
        country: Country
        locales = ()
        cache_translations = False

        def get_translations(self, form: BaseForm) -> None:  # noqa: ARG002 - WTForms' signature
            """WTForms translates nothing: its own messages are never used."""
            return

    purpose: ClassVar[str] = ""

    def validate(self, extra_validators: Any = None) -> bool:
        """Return whether everything is as it has to be; a field sent twice is not."""
        valid = super().validate(extra_validators)
        repeated = [field for field in self if len(field.raw_data or ()) > 1]
        for field in repeated:
            field.errors = [REPEATED]
        return valid and not repeated

    @property
    def proof(self) -> str:
        """What the hidden field of this form carries: proof that a page of ours, in this browser, was sent."""
        return str(getattr(self["csrf_token"], "current_token", ""))

    @property
    def is_forged(self) -> bool:
        """Whether the proof that our page was sent is missing or another browser's."""
        return bool(self["csrf_token"].errors)

    @property
    def status(self) -> int:
        """The status of the page that shows this form: 403 where it is shown anew because it was forged."""
        return 403 if self.is_forged else 200

    def refuse(self, field: str, message: str) -> None:
        """Put a service's refusal (a message id) at a field, as if the form itself had refused. KeyError: no field."""
        self[field].errors = [*self[field].errors, message]


def strip_spaces(text: str | None) -> str:
    """Return the text without spaces, dots and hyphens, as people group long numbers. Nothing else is forgiven.

    Full-width and other digits are not folded into ASCII: what looks alike to a person must not differ to a check.
    """
    return _SPACES.sub("", text or "")


def _filled(message: str) -> InputRequired:
    return InputRequired(message)


def _matching(pattern: re.Pattern[str], message: str) -> Callable[[BaseForm, Field], None]:
    def check(form: BaseForm, field: Field) -> None:  # noqa: ARG001 - WTForms' signature
        if not pattern.fullmatch(field.data):
            raise StopValidation(message)

    return check


def _personal_number(form: BaseForm, field: Field) -> None:
    if not form.meta.country.personal_number.is_written(field.data):
        raise StopValidation(N_("A personal number has 12 digits. Check what you typed."))


def _within_bytes(form: BaseForm, field: Field) -> None:  # noqa: ARG001 - WTForms' signature
    if len((field.data or "").encode("utf-8", "backslashreplace")) > MAX_PASSWORD_BYTES:
        raise StopValidation(PASSWORD_TOO_LONG)


class _DecisionForm(Form):
    """A form whose buttons carry the answer in `decision`."""

    answers: ClassVar[frozenset[str]] = frozenset()
    decision = StringField()

    def validate_decision(self, field: Field) -> None:
        """Raise StopValidation for an answer that no button of this form gives."""
        if (field.data or "") not in self.answers:
            raise StopValidation(N_("Choose one of the buttons."))


class WayOutForm(_DecisionForm):
    """A form that asks for something, with buttons to do without: go on as `another` person, or `leave` for the portal that asks."""

    answers = frozenset({"", "another", "leave"})
    instead: str = ""
    """Which of them was pressed, once the form is judged; then it is not valid, and nothing else in it counts."""

    def validate(self, extra_validators: Any = None) -> bool:
        """Return whether what is asked for was given, as it has to be."""
        valid = super().validate(extra_validators)
        self.instead = "" if self.decision.errors or self.is_forged else self.decision.data or ""
        return valid and not self.instead


class SignInForm(WayOutForm):
    """Personal number and password. The password is taken exactly as typed (NIST SP 800-63B 3.1.1)."""

    purpose = "sign-in"
    answers = frozenset({"", "leave"})
    username = StringField(
        N_("Personal number"),
        [
            _filled(N_("Enter your personal number.")),
            _personal_number,
        ],
        filters=[strip_spaces],
    )
    password = PasswordField(N_("Password"), [_filled(N_("Enter your password.")), _within_bytes])


class TotpForm(WayOutForm):
    """The six digits that an authenticator app shows (RFC 6238)."""

    purpose = "totp"
    code = StringField(
        N_("6-digit code"),
        [
            _filled(N_("Enter the code.")),
            _matching(_TOTP_CODE, N_("The code has 6 digits. Check what you typed.")),
        ],
        filters=[strip_spaces],
    )


class RecoveryCodeForm(WayOutForm):
    """One of the ten recovery codes."""

    purpose = "recovery-code"
    code = StringField(
        N_("Recovery code"),
        [
            _filled(N_("Enter a recovery code.")),
            _matching(_LONG_CODE, N_("A recovery code has 24 letters and digits. Check what you typed.")),
        ],
        filters=[strip_spaces],
    )


class EnrolTotpForm(Form):
    """The first code of a new authenticator app: proof that the secret arrived."""

    purpose = "enrol-totp"
    code = StringField(
        N_("6-digit code"),
        [
            _filled(N_("Enter the code.")),
            _matching(_TOTP_CODE, N_("The code has 6 digits. Check what you typed.")),
        ],
        filters=[strip_spaces],
    )


class EnrolOnTheWayForm(WayOutForm, EnrolTotpForm):
    """The same in the middle of a sign-in, where somebody else may go on."""

    purpose = "enrol-totp-on-the-way"


class KeepCodesForm(Form):
    """A button: the recovery codes were put somewhere safe, and need not be shown any more."""

    purpose = "recovery-codes"


class ConsentForm(_DecisionForm):
    """Allow or refuse."""

    purpose = "consent"
    answers = frozenset({"allow", "refuse"})


class SelectAccountForm(_DecisionForm):
    """Continue as the account that is signed in, use another one, or leave for the portal."""

    purpose = "select-account"
    answers = frozenset({"continue", "another", "leave"})


class LevelForm(WayOutForm):
    """Go back to the portal that asks for a higher level, or go on as another person."""

    purpose = "level"
    answers = frozenset({"", "another"})


class SignOutForm(_DecisionForm):
    """Sign out of every portal of this browser, or stay."""

    purpose = "sign-out"
    answers = frozenset({"sign-out", "stay"})


class ActivationForm(Form):
    """Personal number and the one-time activation code an officer gave."""

    purpose = "activate"
    username = StringField(
        N_("Personal number"),
        [
            _filled(N_("Enter your personal number.")),
            _personal_number,
        ],
        filters=[strip_spaces],
    )
    code = StringField(
        N_("Activation code"),
        [
            _filled(N_("Enter the activation code.")),
            _matching(_LONG_CODE, N_("An activation code has 24 letters and digits. Check what you typed.")),
        ],
        filters=[strip_spaces],
    )


class NewPasswordForm(Form):
    """A new password, twice, since it can be shown only with JavaScript. No composition rules (SP 800-63B 3.1.1)."""

    purpose = "new-password"
    password = PasswordField(N_("New password"), [_filled(N_("Choose a password."))])
    repeat = PasswordField(N_("The same password once more"), [_filled(N_("Type the password once more."))])

    def validate_repeat(self, field: Field) -> None:
        """Raise StopValidation when the two differ."""
        if field.data != self.password.data:
            raise StopValidation(N_("The two passwords differ. Type the same one twice."))


class ConfirmForm(Form):
    """A button that changes something and asks for nothing: end a session, withdraw a consent.

    `subject` names what it is about (`session_id`, `consent_id`).
    """

    purpose = "confirm"
    subject = StringField()

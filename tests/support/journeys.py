"""Browsers led to every page of the provider: one place that knows how each page is reached, for tests that visit them all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pyotp
from werkzeug.routing import Rule

from tests.support.provider import OPERATOR, Answered, Browser, Person, Portal, Provider

STEP = timedelta(seconds=30)
LEVEL_OF_TWO_FACTORS = "urn:motcua:acr:ial0.aal2"
LEVEL_OF_CHECKED_PEOPLE = "urn:motcua:acr:ial2.aal1"
GOOD_PASSWORD = "mưa rào trên mái tôn"

_ordinals = itertools.count(1)


PAGES = ("", "sign-in", "totp", "recovery-code", "enrol", "recovery-codes", "consent", "account", "level")
"""Every page of an interaction, by the end of its address."""

FORMS = (
    "sign_in",
    "totp",
    "recovery_code",
    "enrol",
    "recovery_codes",
    "consent",
    "account",
    "level",
    "activate",
    "activate_password",
    "activate_second_factor",
    "activate_recovery_codes",
    "sign_out_confirm",
    "end_session",
    "withdraw_consent",
)
"""Every endpoint that takes a form of ours."""

FOR_PORTALS = ("sign_out",)
"""Where a portal may send a form, which is only asked of the person anew."""

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Journeys:
    """A provider with three portals: one that is content with a password, one that wants two factors, one that wants checked people."""

    op: Provider
    plain: Portal = field(init=False)
    strong: Portal = field(init=False)
    checked: Portal = field(init=False)

    def __post_init__(self) -> None:
        number = next(_ordinals)
        self.plain = self.op.client(f"plain{number}")
        self.strong = self.op.client(f"strong{number}", minimum_acr=LEVEL_OF_TWO_FACTORS)
        self.checked = self.op.client(f"checked{number}", minimum_acr=LEVEL_OF_CHECKED_PEOPLE)

    # browsers at pages -------------------------------------------------------------------------------------------------------------

    def at_sign_in(self, **changes: str | None) -> Browser:
        """A stranger at the page that asks for number and password."""
        browser = Browser(self.op)
        browser.open(self.plain.ask(**changes))
        return browser

    def signed_in(self, person: Person | None = None, **changes: str | None) -> Browser:
        """A browser that signed in by password at the plain portal, and shared what it asked."""
        browser = Browser(self.op)
        self.plain.code_for(browser, person or self.op.person(second_factor=False), **changes)
        return browser

    def at_totp(self, person: Person | None = None) -> Browser:
        """A browser that gave the password and is asked for the second factor."""
        browser, person = Browser(self.op), person or self.op.person()
        browser.open(self.strong.ask())
        browser.submit(username=person.username, password=person.password)
        assert browser.at.endswith("/totp"), browser.at
        return browser

    def at_recovery_code(self, person: Person | None = None) -> Browser:
        """A browser that gave the password and chose to give a recovery code."""
        browser = self.at_totp(person)
        browser.open(browser.at.replace("/totp", "/recovery-code"))
        return browser

    def at_enrol(self, person: Person | None = None) -> Browser:
        """A browser of somebody who has no second factor, where two are wanted."""
        browser, person = Browser(self.op), person or self.op.person(second_factor=False)
        browser.open(self.strong.ask())
        browser.submit(username=person.username, password=person.password)
        assert browser.at.endswith("/enrol"), browser.at
        return browser

    def at_recovery_codes(self) -> Browser:
        """A browser that has just set up an authenticator application: its recovery codes are shown."""
        browser = self.at_enrol()
        browser.submit(code=self.offered_code(browser))
        assert browser.at.endswith("/recovery-codes"), browser.at
        return browser

    def at_consent(self, person: Person | None = None) -> Browser:
        """A browser that is asked what to share."""
        browser, person = self.at_sign_in(), person or self.op.person(second_factor=False)
        browser.submit(username=person.username, password=person.password)
        assert browser.at.endswith("/consent"), browser.at
        return browser

    def at_account(self) -> Browser:
        """A browser that is asked as which account to go on."""
        browser = self.signed_in()
        browser.open(self.plain.ask(prompt="select_account"))
        return browser

    def at_level(self) -> Browser:
        """A browser that is told that its person's level is too low."""
        browser, person = Browser(self.op), self.op.person(ial=1, second_factor=False)
        browser.open(self.checked.ask())
        browser.submit(username=person.username, password=person.password)
        assert browser.at.endswith("/level"), browser.at
        return browser

    def at_activate(self) -> tuple[Browser, str, str]:
        """A browser at the page for activation codes, with a number and a code that are good."""
        person = self.op.person()
        code = self.op.rooms.activation.issue(person.account_id, by="test", origin=OPERATOR)
        browser = Browser(self.op)
        browser.open("/activate")
        return browser, person.username, code

    def at_activate_password(self) -> Browser:
        """A browser that gave a good activation code."""
        browser, number, code = self.at_activate()
        browser.submit(username=number, code=code)
        assert browser.at.endswith("/password"), browser.at
        return browser

    def at_activate_second_factor(self) -> Browser:
        """A browser that chose its password."""
        browser = self.at_activate_password()
        browser.submit(password=GOOD_PASSWORD, repeat=GOOD_PASSWORD)
        assert browser.at.endswith("/second-factor"), browser.at
        return browser

    def at_home(self) -> Browser:
        """A browser at its person's own page, with another session and a consent on it."""
        person = self.op.person(second_factor=False)
        self.signed_in(person)
        browser = self.signed_in(person)
        browser.open("/")
        return browser

    def at_sign_out(self) -> Browser:
        """A browser that is asked whether to sign out."""
        browser = self.signed_in()
        browser.open("/logout")
        return browser

    def at_signed_out(self) -> Browser:
        """A browser that signed out, at the page that tells which portals were told."""
        browser = self.at_sign_out()
        browser.submit(decision="sign-out")
        assert browser.at.startswith("/signed-out/"), browser.at
        return browser

    def at(self, target: str) -> Browser:
        """A stranger at an address."""
        browser = Browser(self.op)
        browser.open(target)
        return browser

    def offered_code(self, browser: Browser) -> str:
        """Return the code that an application shows which scanned the page's QR code."""
        return pyotp.TOTP(self.offered_secret(browser)).at(self.op.clock.now())

    @staticmethod
    def offered_secret(browser: Browser) -> str:
        """Return the secret that the page offers to an authenticator application; empty when it offers none."""
        assert browser.page is not None
        return browser.page.text.partition('id="secret">')[2].partition("</code>")[0].replace(" ", "").strip()

    def at_activate_recovery_codes(self) -> Browser:
        """A browser that completed an activation: its recovery codes are shown."""
        browser = self.at_activate_second_factor()
        browser.submit(code=self.offered_code(browser))
        assert browser.at.endswith("/recovery-codes"), browser.at
        return browser

    # the inventory -------------------------------------------------------------------------------------------------------------------

    @property
    def pages(self) -> Mapping[str, Callable[[], Browser]]:
        """How the page of each endpoint is reached: a browser whose `page` is it, and whose `at` is its address."""
        return {
            "sign_in": self.at_sign_in,
            "totp": self.at_totp,
            "recovery_code": self.at_recovery_code,
            "enrol": self.at_enrol,
            "recovery_codes": self.at_recovery_codes,
            "consent": self.at_consent,
            "account": self.at_account,
            "level": self.at_level,
            "activate": lambda: self.at_activate()[0],
            "activate_password": self.at_activate_password,
            "activate_second_factor": self.at_activate_second_factor,
            "activate_recovery_codes": self.at_activate_recovery_codes,
            "activated": lambda: self.at("/activated"),
            "home": self.at_home,
            "sign_out": self.at_sign_out,
            "signed_out": self.at_signed_out,
            "help": lambda: self.at("/help"),
            "privacy": lambda: self.at("/privacy"),
            "about": lambda: self.at("/about"),
        }

    def filled(self, endpoint: str) -> Filled:
        """Return a form of the endpoint, filled in so that it does what it is for when it is sent."""
        return getattr(self, "_fill_" + endpoint)()  # type: ignore[no-any-return]  # each of them returns one

    def _fill_sign_in(self) -> Filled:
        person = self.op.person(second_factor=False)
        return Filled.of(self.at_sign_in(), username=person.username, password=person.password)

    def _fill_totp(self) -> Filled:
        person = self.op.person()
        return Filled.of(self.at_totp(person), code=person.code(self.op.clock))

    def _fill_recovery_code(self) -> Filled:
        person = self.op.person()
        return Filled.of(self.at_recovery_code(person), code=person.recovery_codes[0])

    def _fill_enrol(self) -> Filled:
        browser = self.at_enrol()
        return Filled.of(browser, code=self.offered_code(browser))

    def _fill_recovery_codes(self) -> Filled:
        return Filled.of(self.at_recovery_codes())

    def _fill_consent(self) -> Filled:
        return Filled.of(self.at_consent(), decision="allow")

    def _fill_account(self) -> Filled:
        return Filled.of(self.at_account(), decision="continue")

    def _fill_level(self) -> Filled:
        return Filled.of(self.at_level())

    def _fill_activate(self) -> Filled:
        browser, number, code = self.at_activate()
        return Filled.of(browser, username=number, code=code)

    def _fill_activate_password(self) -> Filled:
        return Filled.of(self.at_activate_password(), password=GOOD_PASSWORD, repeat=GOOD_PASSWORD)

    def _fill_activate_second_factor(self) -> Filled:
        browser = self.at_activate_second_factor()
        return Filled.of(browser, code=self.offered_code(browser))

    def _fill_activate_recovery_codes(self) -> Filled:
        return Filled.of(self.at_activate_recovery_codes())

    def _fill_sign_out_confirm(self) -> Filled:
        return Filled.of(self.at_sign_out(), decision="sign-out")

    def _fill_end_session(self) -> Filled:
        return Filled.of(self.at_home())

    def _fill_withdraw_consent(self) -> Filled:
        filled = Filled.of(self.at_home())
        assert filled.browser.page is not None
        consent = filled.browser.page.text.partition('action="/consents/withdraw"')[2].partition('name="subject" value="')[2]
        return replace(filled, action="/consents/withdraw", fields=filled.fields | {"subject": consent.partition('"')[0]})


@dataclass(frozen=True)
class Filled:
    """A form of ours as a browser would send it."""

    browser: Browser
    action: str
    fields: dict[str, str]

    @classmethod
    def of(cls, browser: Browser, **filled: str) -> Filled:
        """The first form of the page a browser is at."""
        action, fields = browser.form()
        return cls(browser, action or browser.at, fields | filled)

    def send(self, fields: Mapping[str, str] | None = None, /, **headers: str) -> Answered:
        """Send it with these headers (underscores for hyphens), following nothing."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.browser._send("POST", self.action, fields if fields is not None else self.fields, named)


def rules_of(op: Provider) -> Iterator[Rule]:
    """Yield every route of the pages."""
    yield from op.door._pages.url_map.iter_rules()


def is_signed_in(op: Provider, cookie: str | None, browser_cookie: str = "") -> bool:
    """Tell whether a browser with this session cookie is shown its own page."""
    browser = Browser(op, {"motcua-session": cookie or "", "motcua-browser": browser_cookie})
    shown = browser.open("/").text
    return 'action="/consents/withdraw"' in shown or 'id="sign-out"' in shown


def session_of(browser: Browser) -> str | None:
    """Return the value of the browser's session cookie, if it has one."""
    return browser.cookies.get("motcua-session")


def base_of(browser: Browser) -> str:
    """Return the address of the interaction that a browser is in."""
    return "/".join(browser.at.split("/")[:3])


def has_code(answered: Answered) -> bool:
    """Whether an answer carries a code to a portal, by address or by form."""
    return "code=" in (answered.header("location") or "") or 'name="code" value=' in answered.text


def proofs_of(journeys: Journeys, browser: Browser) -> dict[str, str]:
    """The proofs that this browser would be given on each page, for what it is at and whoever is signed in."""
    from idp.web.pages import forms
    from idp.web.pages.forms import CsrfContext

    key, own = journeys.op.rooms.keys.sealer.index("csrf", "forms"), browser.cookies["motcua-browser"]
    session = journeys.op.rooms.sessions.find(session_of(browser) or "")
    about = (base_of(browser).removeprefix("/i/"), str(session.account_id) if session else "")
    classes = {
        "consent": forms.ConsentForm,
        "account": forms.SelectAccountForm,
        "level": forms.LevelForm,
        "recovery-codes": forms.KeepCodesForm,
        "enrol": forms.EnrolOnTheWayForm,
        "recovery-code": forms.RecoveryCodeForm,
        "totp": forms.TotpForm,
    }
    bound = {"enrol", "recovery-code", "totp"}
    contexts = {page: CsrfContext(key, own, about if page in bound else ()) for page in classes}
    return {page: each(None, meta={"csrf_context": contexts[page]}).proof for page, each in classes.items()}

"""Every field says what is typed into it, so that password managers and telephones can fill it in."""

from __future__ import annotations

import html
import html.parser
import re
from dataclasses import dataclass

import pytest

from idp.web.pages.qr import qr_of
from tests.support.journeys import Journeys

FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "sign_in": {"username": ("text", "username"), "password": ("password", "current-password")},
    "totp": {"code": ("text", "one-time-code")},
    "recovery_code": {"code": ("text", "off")},
    "enrol": {"code": ("text", "one-time-code")},
    "activate": {"username": ("text", "username"), "code": ("text", "off")},
    "activate_password": {
        "username": ("text", "username"),
        "password": ("password", "new-password"),
        "repeat": ("password", "new-password"),
    },
    "activate_second_factor": {"code": ("text", "one-time-code")},
}
"""The type and the autofill token of each field, by the endpoint of its page. Codes that stand on paper are `off`: what a browser
would offer for them is the code of an application, or one that was used."""
TOKENS = {"username", "current-password", "new-password", "one-time-code", "off"}
WRONG = {
    "sign_in": {"username": "1", "password": "x"},
    "totp": {"code": "1"},
    "recovery_code": {"code": "1"},
    "enrol": {"code": "1"},
    "activate": {"username": "1", "code": "1"},
    "activate_password": {"password": "x", "repeat": "y"},
    "activate_second_factor": {"code": "1"},
}
_NOT_TYPED = {"hidden", "checkbox"}


@dataclass
class Input:
    """A field that is typed into: its name, type and autofill token, and what its form says about all."""

    name: str
    kind: str
    token: str | None
    of_form: str | None
    has_value: bool


class _Inputs(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Input] = []
        self._of_form: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._of_form = given.get("autocomplete")
        elif tag in {"input", "textarea", "select"} and given.get("type") not in _NOT_TYPED:
            kind, token = given.get("type") or "text", given.get("autocomplete")
            self.found.append(Input(given.get("name") or "", kind, token, self._of_form, bool(given.get("value"))))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._of_form = None


def inputs_of(text: str) -> list[Input]:
    parser = _Inputs()
    parser.feed(text)
    return parser.found


def test_the_control_a_field_that_says_nothing_or_forbids_a_manager_is_seen() -> None:
    page = (
        '<form autocomplete="off"><input name="a"><input type="hidden" name="b"></form><input type="password" name="c" autocomplete="off">'
    )
    assert inputs_of(page) == [
        Input("a", "text", None, "off", has_value=False),
        Input("c", "password", "off", None, has_value=False),
    ]


@pytest.mark.parametrize("is_wrong", [False, True])
@pytest.mark.parametrize("endpoint", FIELDS)
def test_each_field_carries_its_token_also_when_the_page_comes_back(journeys: Journeys, endpoint: str, is_wrong: bool) -> None:
    """WCAG 2.2, 1.3.5; HTML, autofill field names: by these tokens a manager tells a password that is new from one that is known."""
    browser = journeys.pages[endpoint]()
    if is_wrong:
        browser.submit(**WRONG[endpoint])
    assert browser.page is not None
    assert ('class="govuk-error-summary"' in browser.page.text) is is_wrong
    found = inputs_of(browser.page.text)
    assert {each.name: (each.kind, each.token) for each in found} == FIELDS[endpoint]
    assert len(found) == len(FIELDS[endpoint])
    assert not [each for each in found if each.kind == "password" and each.has_value]


def test_on_no_page_is_a_password_kept_from_managers_or_a_field_left_without_a_token(journeys: Journeys) -> None:
    """ASVS 5.0, 6.2.7: no password field, and no form around one, has `autocomplete="off"`; nothing is typed on any other page."""
    for endpoint, visit in journeys.pages.items():
        page = visit().page
        assert page is not None
        found = inputs_of(page.text)
        assert bool(found) is (endpoint in FIELDS), endpoint
        for each in found:
            assert each.token in TOKENS, (endpoint, each)
            assert each.of_form is None, (endpoint, each)
            assert each.kind != "password" or (each.token or "").endswith("-password"), (endpoint, each)


def test_where_a_password_is_chosen_its_manager_is_told_whose_it_is(journeys: Journeys) -> None:
    """HTML, autofill: the number stands in the form before the password, so that both are kept together; nobody can change it."""
    browser = journeys.at_activate_password()
    assert browser.page is not None
    first = inputs_of(browser.page.text)[0]
    assert (first.name, first.token, first.has_value) == ("username", "username", True)
    assert 'autocomplete="username" readonly hidden>' in browser.page.text


def test_on_a_phone_the_key_of_an_authenticator_app_opens_in_the_app(journeys: Journeys) -> None:
    """Nobody scans the screen they hold: the link says what the picture says, and the key that can be typed is the one in it."""
    for browser in (journeys.at_enrol(), journeys.at_activate_second_factor()):
        assert browser.page is not None
        text = browser.page.text
        uri = html.unescape(re.findall(r'<a href="([^"]+)" id="open-app">', text)[0])
        key = re.findall(r'id="secret">([^<]+)<', text)[0].replace(" ", "")
        assert uri.startswith("otpauth://totp/")
        assert f"secret={key}" in uri
        assert str(qr_of(uri)) in text

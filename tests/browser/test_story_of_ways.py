"""Ways to use the pages: one's own page, without JavaScript, with the keyboard alone, over a slow line, and when something is wrong."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.support.demo import RunningDemo
from tests.support.visitor import Visit, Visitor, weighed

pytestmark = pytest.mark.xdist_group("demo")

LANGUAGES = ("vi", "en")


def speak(visitor: Visitor) -> Visitor:
    """Choose the visitor's language at the provider itself."""
    if visitor.language == "en":
        visitor.page.goto(f"{visitor.demo.issuer}/")
        visitor.press(".language")
    return visitor


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_person_sees_their_sessions_and_consents_and_withdraws_one(demo: RunningDemo, visit: Visit, language: str) -> None:
    """What a portal may read ends at once with the consent; it has to ask again (law 8)."""
    person, citizen = demo.person(), visit(language)
    citizen.arrive(demo.provincial).press("#sign-in").give_password(person).allow()
    speak(citizen).open(demo.issuer)
    assert citizen.heading == person.name
    assert citizen.page.locator("form[action='/sessions/end']").count() == 0  # this browser's is the only session
    consents = citizen.page.locator(".entry", has=citizen.page.locator("form[action='/consents/withdraw']"))
    assert consents.count() == 1
    assert {"vi": "Cổng Dịch vụ công tỉnh", "en": "Provincial portal"}[language] in consents.inner_text()

    citizen.press("form[action='/consents/withdraw'] button")
    assert citizen.place == "provider/consents/withdraw"
    citizen.press("#continue")
    assert citizen.place == "provider/"
    assert citizen.page.locator("form[action='/consents/withdraw']").count() == 0

    citizen.open(f"{demo.provincial}/sign-in")
    assert citizen.place == "provider/i/consent"  # asked again, though the session lives
    citizen.allow()
    assert citizen.place == "provincial/identity"


def test_a_session_ended_from_another_browser_is_over_there(demo: RunningDemo, visit: Visit) -> None:
    """One's own page ends a session elsewhere, and the portals it had reached are told."""
    person, at_home, elsewhere = demo.person(), visit(), visit()
    elsewhere.arrive(demo.provincial).press("#sign-in").give_password(person).allow()
    at_home.open(demo.issuer).press("#sign-in").give_password(person)
    assert at_home.place == "provider/"
    at_home.press("form[action='/sessions/end'] button")
    assert at_home.place == "provider/sessions/end"
    elsewhere.open(demo.issuer)
    assert elsewhere.shows("#sign-in")
    assert at_home.open(demo.issuer).heading == person.name
    elsewhere.page.goto(demo.provincial)
    for _ in range(50):
        if elsewhere.shows("#ended-provider"):
            break
        elsewhere.page.wait_for_timeout(100)
        elsewhere.page.reload()
    assert elsewhere.shows("#ended-provider")


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_works_without_javascript(demo: RunningDemo, visit: Visit, language: str) -> None:
    """Design §6: sign in, agree, step into the second portal, sign out and be told, on plain HTML."""
    person, citizen = demo.person(), visit(language, java_script_enabled=False)
    citizen.arrive(demo.national).press("#sign-in").give_password(person).give_code(person).allow()
    assert citizen.place == "national/identity"
    assert citizen.facts()["name"] == person.name
    citizen.arrive(demo.provincial).press("#sign-in").allow()
    citizen.press("#sign-out").press("#sign-out")
    assert citizen.place == "provider/signed-out"
    citizen.page.wait_for_url(f"{demo.provincial}/signed-out**", timeout=30_000)  # renewed by the Refresh header, then led back
    citizen.open(demo.national)
    assert citizen.shows("#ended-provider")


def tab_to(visitor: Visitor, element_id: str) -> None:
    """Press Tab until that element has the focus, as somebody without a mouse would."""
    for _ in range(25):
        if visitor.page.evaluate("document.activeElement.id") == element_id:
            return
        visitor.page.keyboard.press("Tab")
        assert visitor.page.evaluate("document.activeElement === document.body || document.activeElement.matches(':focus-visible')")
    message = f"#{element_id} cannot be reached with Tab on {visitor.place}"
    raise AssertionError(message)


def press_enter(visitor: Visitor) -> None:
    """Press Enter, which leads to another page."""
    with visitor.page.expect_navigation():
        visitor.page.keyboard.press("Enter")
    visitor.examine()


def test_a_sign_in_with_the_keyboard_alone(demo: RunningDemo, visit: Visit) -> None:
    """WCAG 2.2, 2.1.1, 2.4.3 and 2.4.7."""
    person, citizen = demo.person(), visit("en")
    citizen.arrive(demo.national)
    tab_to(citizen, "sign-in")
    press_enter(citizen)
    tab_to(citizen, "username")
    citizen.page.keyboard.type(person.username)
    tab_to(citizen, "password")
    citizen.page.keyboard.type(person.password)
    press_enter(citizen)
    assert citizen.place == "provider/i/totp"
    assert citizen.page.evaluate("document.activeElement.id") == "code"  # there from the start
    citizen.page.keyboard.type(person.code())
    press_enter(citizen)
    tab_to(citizen, "allow")
    press_enter(citizen)
    assert citizen.facts()["name"] == person.name
    tab_to(citizen, "sign-out")
    press_enter(citizen)
    tab_to(citizen, "sign-out")
    press_enter(citizen)
    assert citizen.place == "provider/signed-out"


def test_the_first_page_weighs_less_than_120_kb_and_each_one_after_less_than_10(demo: RunningDemo, visit: Visit) -> None:
    """Design §6: bodies as they travel, in Vietnamese, whose letters need one font file more."""
    person, citizen = demo.person(), visit()
    citizen.arrive(demo.national)
    first = weighed(citizen.page, lambda: citizen.press("#sign-in"))
    second = weighed(citizen.page, lambda: citizen.give_password(person))
    third = weighed(citizen.page, lambda: citizen.give_code(person))
    assert 40_000 < first < 120_000
    assert 500 < second < 10_000
    assert 500 < third < 10_000


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_goes_wrong_is_said_with_a_next_step_and_a_reference(demo: RunningDemo, visit: Visit, language: str) -> None:
    """Where sending the browser back is not proved safe, a page says why (RFC 6749 4.1.2.1; looks, errors)."""
    citizen = speak(visit(language))
    asked = {"response_type": "code", "client_id": "national-portal", "redirect_uri": "https://elsewhere.example/", "scope": "openid"}
    for query in (urlencode(asked), urlencode({**asked, "client_id": "nobody"}), urlencode({"client_id": "national-portal"})):
        citizen.open(f"{demo.issuer}/authorize?{query}")
        assert citizen.page.locator(".reference code").inner_text() != ""
        assert citizen.place == "provider/authorize"
    citizen.open(f"{demo.issuer}/i/{'0' * 32}/sign-in")
    citizen.open(f"{demo.issuer}/no-such-page")
    for page in ("help", "privacy", "about"):
        citizen.open(f"{demo.issuer}/{page}")


def test_somebody_who_guesses_is_told_to_wait_and_the_right_password_waits_too(demo: RunningDemo, visit: Visit) -> None:
    """Guesses are reserved before the check (law 2); a page says how long."""
    person, stranger = demo.person(), visit("en")
    stranger.arrive(demo.provincial).press("#sign-in")
    for _ in range(5):
        stranger.fill(username=person.username, password="one guess after another").press("#continue")
        assert stranger.place == "provider/i/sign-in"
    stranger.fill(username=person.username, password=person.password).press("#continue")
    assert stranger.heading == "Too many tries"
    assert stranger.shows("#continue")

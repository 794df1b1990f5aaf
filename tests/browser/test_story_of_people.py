"""People whose sign-in takes another way: no second factor yet, none at hand, a level missing, a lock, a first visit ever."""

from __future__ import annotations

import json
import re
import time

import pyotp
import pytest
import segno

from idp.demo.people import synthetic_person
from tests.support.demo import DemoPerson, RunningDemo
from tests.support.visitor import Visit, Visitor

pytestmark = pytest.mark.xdist_group("demo")

LANGUAGES = ("vi", "en")


def shown_secret(visitor: Visitor) -> str:
    """Return the key that the page shows as text, having seen that the QR code says the same."""
    secret = visitor.page.locator("#secret").inner_text().replace(" ", "")
    assert re.fullmatch(r"[A-Z2-7]{32}", secret)
    return secret


def assert_the_picture_says(visitor: Visitor, secret: str, name: str) -> None:
    """Compare the drawn modules with those of the address that authenticator applications read."""
    address = pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="Một Cửa")
    expected = segno.make(address, error="m").svg_inline(omitsize=True, border=2)
    drawn = visitor.page.locator(".qr svg path[stroke]").first.get_attribute("d")
    assert drawn is not None
    assert drawn in expected


def test_who_has_no_second_factor_sets_one_up_when_a_portal_demands_it_and_keeps_ten_recovery_codes(
    demo: RunningDemo, visit: Visit
) -> None:
    """Law 3: the password was proved first, so what is set up now counts now; the next sign-in asks for it."""
    person, citizen = demo.account("no second factor"), visit()
    citizen.arrive(demo.national).press("#sign-in").give_password(person)
    assert citizen.place == "provider/i/enrol"
    secret = shown_secret(citizen)
    assert_the_picture_says(citizen, secret, person.name)
    person.totp_secret = secret

    citizen.fill(code=person.wrong_code()).press("#continue")
    assert citizen.place == "provider/i/enrol"
    assert citizen.shows("#code-error")
    assert shown_secret(citizen) == secret  # the application that was set up stays right
    citizen.fill(code=person.code()).press("#continue")
    codes = citizen.page.locator(".codes code").all_inner_texts()
    assert len(codes) == 10
    assert all(re.fullmatch(r"[0-9A-Z]{4}(-[0-9A-Z]{4}){5}", code) for code in codes)
    citizen.press("#continue")
    citizen.allow()
    assert citizen.place == "national/identity"
    assert citizen.facts()["aal"] == "2"

    later = visit()
    later.arrive(demo.national).press("#sign-in").give_password(person)
    assert later.place == "provider/i/totp"  # enrolled: a password alone is not enough any more
    later.press("#recovery").fill(code=codes[3].lower().replace("-", " ")).press("#continue")
    assert later.place == "national/identity"


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_has_no_phone_at_hand_signs_in_with_a_recovery_code_which_works_once(
    demo: RunningDemo, visit: Visit, language: str
) -> None:
    """One-time codes are consumed (law 1)."""
    person, citizen = demo.account("level 2"), visit(language)
    code = person.recovery_codes[LANGUAGES.index(language)]
    citizen.arrive(demo.national).press("#sign-in").give_password(person).press("#recovery")
    assert citizen.place == "provider/i/recovery-code"
    citizen.fill(code=code).press("#continue")
    if citizen.place == "provider/i/consent":
        citizen.allow()
    assert citizen.place == "national/identity"
    assert citizen.facts()["aal"] == "2"

    again = visit(language)
    again.arrive(demo.national).press("#sign-in").give_password(person).press("#recovery").fill(code=code).press("#continue")
    assert again.place == "provider/i/recovery-code"
    assert again.shows("#code-error")


@pytest.mark.parametrize(
    ("language", "title", "back"),
    [
        ("vi", "Cần mức định danh 1", "Cần mức cao hơn"),
        ("en", "Identification level 1 is needed", "A higher level is needed"),
    ],
    ids=LANGUAGES,
)
def test_a_missing_level_is_explained_and_the_way_back_tells_the_portal(
    demo: RunningDemo, visit: Visit, language: str, title: str, back: str
) -> None:
    """OpenID Connect Core Unmet Authentication Requirements 1.0; nothing the browser does lowers the minimum."""
    person, citizen = demo.account("level 0"), visit(language)
    citizen.arrive(demo.provincial).press("#sign-in").give_password(person)
    assert citizen.place == "provider/i/level"
    assert citizen.heading == title
    citizen.press("#back")
    assert citizen.place == "provincial/signed-in"
    assert citizen.heading == back
    assert citizen.shows("#message-unmet_authentication_requirements")
    citizen.page.goto(demo.provincial)
    assert not citizen.shows("#person")


def test_a_service_above_ones_level_leaves_the_portal_signed_in(demo: RunningDemo, visit: Visit) -> None:
    """A voluntary visit to a service that needs level 2: said, and nothing lost."""
    person, citizen = demo.person(), visit()
    citizen.arrive(demo.national).press("#sign-in").give_password(person).give_code(person).allow()
    citizen.open(demo.national).press("#service-3").press("#step-up")
    assert citizen.place == "provider/i/level"
    citizen.press("#back")
    assert citizen.shows("#message-unmet_authentication_requirements")
    citizen.open(demo.national)
    assert citizen.page.locator("#person").inner_text() == person.name


def test_a_person_of_level_two_uses_the_service_that_needs_it(demo: RunningDemo, visit: Visit) -> None:
    """The control of the test before."""
    person, citizen = demo.account("level 2"), visit()
    citizen.arrive(demo.provincial).press("#sign-in").give_password(person).allow()
    citizen.open(demo.provincial).press("#service-3").press("#step-up").give_code(person)
    assert citizen.place == "provincial/apply"
    assert citizen.shows("#ready")
    assert citizen.open(f"{demo.provincial}/identity").facts()["acr"] == "urn:motcua:acr:ial2.aal2"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_locked_person_does_not_get_in_and_a_stranger_learns_nothing_of_the_lock(
    demo: RunningDemo, visit: Visit, language: str
) -> None:
    """The same answer for a locked account, a wrong password and an unknown number."""
    person, stranger = demo.account("locked"), visit(language)
    answers = []
    for number, password in ((person.username, person.password), (person.username, "not it, not it"), ("001199999999", person.password)):
        stranger.arrive(demo.provincial).press("#sign-in")
        stranger.fill(username=number, password=password).press("#continue")
        assert stranger.place == "provider/i/sign-in"
        answers.append(stranger.page.locator("#password-error").inner_text())
    assert len(set(answers)) == 1


def test_a_lock_on_a_signed_in_person_closes_both_portals(demo: RunningDemo, visit: Visit) -> None:
    """Law 8, and design §4: a lock ends sessions, and a job tells the portals."""
    person, citizen = demo.person(), visit()
    citizen.arrive(demo.national).press("#sign-in").give_password(person).give_code(person).allow()
    citizen.arrive(demo.provincial).press("#sign-in").allow()
    demo.command("accounts", "lock", person.username, "--reason", "phone reported lost", "--legal-basis", "exercise")
    citizen.open(demo.issuer)
    assert citizen.shows("#sign-in")  # nobody is signed in here
    for portal in (demo.national, demo.provincial):
        until_it_says(citizen, portal, "#ended-provider")


def until_it_says(visitor: Visitor, address: str, selector: str) -> None:
    """Open a page again until it says what a job has yet to bring about."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        visitor.open(address)
        if visitor.shows(selector):
            return
        visitor.page.wait_for_timeout(100)
    message = f"{address} never showed {selector}"
    raise AssertionError(message)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_activation_code_from_the_counter_becomes_an_account_in_three_pages(
    demo: RunningDemo, visit: Visit, language: str
) -> None:
    """Nobody sets somebody else's password: the code leads the person through it, works once, and only with their number."""
    someone = synthetic_person(7_000 + LANGUAGES.index(language))
    number = someone.personal_number
    entered = {"personal_number": number, "full_name": someone.full_name, "birth_date": f"{someone.birth_date}", "sex": someone.sex.value}
    demo.command("accounts", "add", "--from", "-", typed=json.dumps(entered))
    handed = demo.command("accounts", "activate", number)
    assert handed["address"] == demo.issuer + "/activate"

    person = visit(language)
    person.page.goto(demo.issuer + ("?lang=en" if language == "en" else ""))
    person.open(handed["address"])
    person.fill(username="001199999999", code=handed["code"]).press("#continue")
    assert person.shows("#code-error")
    person.fill(username=number, code=handed["code"].lower()).press("#continue")
    assert person.place == "provider/activate/password"
    person.fill(password="short", repeat="other").press("#continue")
    assert person.shows("#password-error")
    person.fill(password="a door of my own", repeat="a door of my own").press("#continue")
    assert person.place == "provider/activate/second-factor"
    secret = shown_secret(person)
    assert_the_picture_says(person, secret, someone.full_name)
    account = DemoPerson(someone.full_name, number, "a door of my own", secret)
    person.fill(code=account.code()).press("#continue")
    assert person.page.locator(".codes code").count() == 10
    person.press("#continue")
    assert person.place == "provider/activated"
    person.press("#continue").give_password(account)
    assert person.place == "provider/"
    assert person.heading == someone.full_name

    person.open(handed["address"]).fill(username=number, code=handed["code"]).press("#continue")
    assert person.shows("#code-error")  # used up

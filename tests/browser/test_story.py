"""The main job in a real browser: sign in once, use two portals, sign out of both; one portal is on another site."""

from __future__ import annotations

import re

import pytest

from tests.support.demo import RunningDemo
from tests.support.visitor import Visit, Visitor

pytestmark = pytest.mark.xdist_group("demo")

LANGUAGES = ("vi", "en")
WORDS = {
    "vi": {
        "sign-in": "Đăng nhập",
        "asks": "Cổng Dịch vụ công quốc gia (mẫu)",
        "asks-province": "Cổng Dịch vụ công tỉnh (mẫu)",
        "code": "Nhập mã trong ứng dụng xác thực",
        "first step": "Bước 1 trên 2",
        "second step": "Bước 2 trên 2",
        "consent": "Chia sẻ thông tin với cổng này?",
        "why": "Để ghi đúng tên và ngày sinh của bạn vào hồ sơ.",
        "country": "Việt Nam",
        "identity": "Danh tính đã xác thực",
        "ready": "Bạn có thể làm thủ tục này.",
        "sign-out": "Đăng xuất khỏi mọi cổng trong trình duyệt này?",
        "signed-out": "Bạn đã đăng xuất",
        "answered": "Bạn đã đăng xuất khỏi 2 cổng.",
        "ended": "Bạn đã được Một Cửa đăng xuất khỏi cổng này",
        "refused": "Bạn đã quay lại mà không tiếp tục",
        "wrong pair": "Số định danh hoặc mật khẩu chưa đúng.",
    },
    "en": {
        "sign-in": "Sign in",
        "asks": "National portal (sample)",
        "asks-province": "Provincial portal (sample)",
        "code": "Enter the code from your authenticator app",
        "first step": "Step 1 of 2",
        "second step": "Step 2 of 2",
        "consent": "Share this with the portal?",
        "why": "To put your right name and date of birth on your dossier.",
        "country": "Vietnam",
        "identity": "Verified identity",
        "ready": "You may use this service.",
        "sign-out": "Sign out of every portal in this browser?",
        "signed-out": "You are signed out",
        "answered": "You are signed out of 2 portals.",
        "ended": "You were signed out of this portal by Một Cửa",
        "refused": "You came back without going on",
        "wrong pair": "The number or the password is not right.",
    },
}


def asked_by(visitor: Visitor) -> str:
    """Return the band that says who asks."""
    return visitor.page.locator("#asker").inner_text()


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_sign_in_opens_two_portals_on_two_sites_and_one_sign_out_closes_both(
    demo: RunningDemo, visit: Visit, language: str
) -> None:
    """The second thing that a newcomer does, step by step (design §1, §5)."""
    words, person, citizen = WORDS[language], demo.person(), visit(language)

    citizen.arrive(demo.national).press("#sign-in")
    assert citizen.place == "provider/i/sign-in"
    assert citizen.heading == words["sign-in"]
    assert words["asks"] in asked_by(citizen)
    assert words["first step"] in citizen.text

    citizen.give_password(person)
    assert citizen.heading == words["code"]
    assert words["second step"] in citizen.text

    citizen.give_code(person)
    assert citizen.heading == words["consent"]
    assert words["asks"] in asked_by(citizen)
    assert words["why"] in citizen.text
    assert person.name in citizen.text
    assert person.username not in citizen.text  # masked, all but its end
    assert person.username[-4:] in citizen.text
    assert words["country"] in citizen.text.splitlines()

    citizen.allow()
    assert citizen.place == "national/identity"
    assert citizen.heading == words["identity"]
    at_national = citizen.facts()
    assert at_national["name"] == person.name
    assert at_national["personal_number"].endswith(person.username[-3:])
    assert (at_national["ial"], at_national["aal"]) == ("1", "2")
    assert at_national["acr"] == "urn:motcua:acr:ial1.aal2"
    assert "pwd" in at_national["amr"]
    assert "otp" in at_national["amr"]

    citizen.arrive(demo.provincial).press("#sign-in")
    assert citizen.heading == words["consent"]  # the first thing asked: nothing was typed
    assert words["asks-province"] in asked_by(citizen)
    citizen.allow()
    assert citizen.place == "provincial/identity"
    at_provincial = citizen.facts()
    assert at_provincial["name"] == person.name
    assert at_provincial["sub"] != at_national["sub"]  # pairwise

    citizen.open(demo.national).press("#sign-out")
    assert citizen.place == "provider/logout"
    assert citizen.heading == words["sign-out"]
    assert words["asks"] in citizen.text
    assert words["asks-province"] in citizen.text
    citizen.press("#sign-out")
    assert citizen.place == "provider/signed-out"
    assert citizen.heading == words["signed-out"]
    citizen.page.get_by_text(words["answered"]).wait_for()  # the page renews itself until both have answered
    told = citizen.page.locator(".entry").all_inner_texts()
    assert len(told) == 2
    assert words["asks"] in told[0] + told[1]
    assert words["asks-province"] in told[0] + told[1]
    citizen.examine()
    citizen.press("#continue")
    assert citizen.place == "national/signed-out"
    assert citizen.heading == words["signed-out"]

    citizen.open(demo.provincial)
    assert words["ended"] in citizen.page.locator("#ended-provider").inner_text()
    citizen.press("#sign-in")
    assert citizen.place == "provider/i/sign-in"  # and the session at the provider is over too


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_provincial_portal_takes_a_password_and_its_service_then_asks_for_the_code_alone(
    demo: RunningDemo, visit: Visit, language: str
) -> None:
    """A step-up within one session (design §5); consent is asked once."""
    words, person, citizen = WORDS[language], demo.person(), visit(language)

    citizen.arrive(demo.provincial).press("#sign-in").give_password(person)
    assert citizen.heading == words["consent"]
    citizen.allow()
    before = citizen.facts()
    assert (before["ial"], before["aal"], before["acr"]) == ("1", "1", "urn:motcua:acr:ial1.aal1")

    citizen.open(demo.provincial).press("#service-2")
    assert citizen.shows("#step-up-notice")
    citizen.press("#step-up")
    assert citizen.place == "provider/i/totp"
    assert words["asks-province"] in asked_by(citizen)
    citizen.give_code(person)
    assert citizen.place == "provincial/apply"
    assert words["ready"] in citizen.text

    after = citizen.open(f"{demo.provincial}/identity").facts()
    assert (after["aal"], after["sub"]) == ("2", before["sub"])
    citizen.press("#sign-out").press("#sign-out")
    citizen.arrive(demo.provincial).press("#sign-in").give_password(person)
    assert citizen.place == "provincial/identity"  # agreed once, not asked again


def test_a_portal_that_asks_silently_is_answered_without_a_page_once_the_person_agreed(demo: RunningDemo, visit: Visit) -> None:
    """OpenID Connect Core 3.1.2.1, prompt=none: an error before, an identity afterwards, never a page of the provider."""
    person, citizen = demo.person(), visit()
    citizen.open(f"{demo.provincial}/sign-in?silent=1")
    assert citizen.shows("#message-login_required")
    citizen.arrive(demo.national).press("#sign-in").give_password(person).give_code(person).allow()
    citizen.open(f"{demo.provincial}/sign-in?silent=1")
    assert citizen.shows("#message-login_required")  # signed in, but nothing agreed with this portal
    citizen.open(demo.provincial).press("#sign-in").allow()
    citizen.open(f"{demo.provincial}/sign-in?silent=1")
    assert citizen.place == "provincial/identity"


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_refuses_to_share_is_not_signed_in_and_may_change_their_mind(demo: RunningDemo, visit: Visit, language: str) -> None:
    """RFC 6749 4.1.2.1, access_denied; the provider's session stays."""
    words, person, citizen = WORDS[language], demo.person(), visit(language)
    citizen.arrive(demo.provincial).press("#sign-in").press("#leave")
    assert citizen.place == "provincial/signed-in"
    assert citizen.heading == words["refused"]
    citizen.press("#sign-in").give_password(person).press("#refuse")
    assert citizen.place == "provincial/signed-in"
    assert citizen.heading == words["refused"]
    citizen.press("#sign-in")
    assert citizen.heading == words["consent"]
    citizen.allow()
    assert citizen.facts()["name"] == person.name


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_wrong_password_and_a_wrong_code_are_said_at_their_fields_and_what_may_stay_stays(
    demo: RunningDemo, visit: Visit, language: str
) -> None:
    """WCAG 2.2, 3.3.1 and 3.3.3; secrets are never sent back."""
    words, person, citizen = WORDS[language], demo.person(), visit(language)
    citizen.arrive(demo.national).press("#sign-in")
    citizen.fill(username=person.username, password="not the password").press("#continue")
    assert citizen.place == "provider/i/sign-in"
    assert words["wrong pair"] in citizen.page.locator("#password-error").inner_text()
    assert citizen.page.locator("#username").input_value() == person.username
    assert citizen.page.locator("#password").input_value() == ""
    citizen.fill(password=person.password).press("#continue")
    citizen.fill(code=person.wrong_code()).press("#continue")
    assert citizen.place == "provider/i/totp"
    assert citizen.shows("#code-error")
    assert citizen.page.locator("#code").input_value() == ""
    spaced = person.code()
    citizen.fill(code=f"{spaced[:3]} {spaced[3:]}").press("#continue")  # spaces are ignored
    citizen.allow()
    assert re.fullmatch(r"urn:motcua:acr:ial1\.aal2", citizen.facts()["acr"])

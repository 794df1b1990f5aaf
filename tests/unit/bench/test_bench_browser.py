from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.bench.browser import Browser, CookieJar, Form, UnexpectedPageError, fill, read_forms
from tests.bench.wire import Answer, Request

SIGN_IN = """<!doctype html><form action="/language" method="post"><button name="locale" value="en">English</button></form>
<form method="post" action="/sign-in?step=1"><input type="hidden" name="csrf" value="a&amp;b">
<label>Số <input name="username" autocomplete="username"></label><input type="password" name="password">
<input type="checkbox" name="remember" value="yes"><button>Tiếp tục</button></form>"""
CONSENT = """<form method="POST"><input type="hidden" name="csrf" value="c"><button name="decision" value="deny">Không</button>
<button name="decision" value="allow">Đồng ý</button></form>"""


def known(**values: str) -> dict[str, Callable[[], str]]:
    return {name: partial(str, value) for name, value in values.items()}


def page(text: str) -> Answer:
    return Answer(200, (("content-type", "text/html"),), text.encode())


def redirect(to: str, *cookies: str) -> Answer:
    return Answer(303, (("location", to), *(("set-cookie", cookie) for cookie in cookies)), b"")


def test_forms_are_read_with_hidden_fields_and_buttons_apart() -> None:
    language, sign_in = read_forms(SIGN_IN)
    assert language == Form("/language", "POST", {}, {("locale", "en")})
    assert sign_in == Form("/sign-in?step=1", "POST", {"csrf": "a&b", "username": "", "password": ""}, {("remember", "yes")})


def test_a_disabled_field_and_a_field_outside_of_any_form_are_left_out() -> None:
    assert read_forms('<input name="a"><form method="post"><input name="b" disabled></form><input name="c">') == [
        Form("", "POST", {}, set())
    ]


def test_the_form_that_asks_for_something_known_is_filled_and_the_others_are_left_alone() -> None:
    found = fill(read_forms(SIGN_IN), known(username="9", password="p w", code="1", decision="allow"))
    assert found is not None
    assert found[1] == {"csrf": "a&b", "username": "9", "password": "p w"}


def test_only_the_button_with_the_known_value_is_pressed() -> None:
    found = fill(read_forms(CONSENT), known(decision="allow"))
    assert found is not None
    assert found[1] == {"csrf": "c", "decision": "allow"}


def test_a_page_that_asks_for_nothing_known_is_not_filled() -> None:
    assert fill(read_forms(SIGN_IN), known(code="123456")) is None


def test_a_value_is_made_only_when_a_form_asks_for_it() -> None:
    def refuse() -> str:
        raise AssertionError("made too early")

    assert fill(read_forms(SIGN_IN), known(username="9", password="p") | {"code": refuse}) is not None


def test_a_cookie_goes_to_its_path_and_below_and_nowhere_else() -> None:
    """RFC 6265 section 5.1.4."""
    jar = CookieJar()
    jar.take(redirect("/", "wide=1; Path=/; HttpOnly", "narrow=2; path=/interaction/x; SameSite=Lax"), "/auth")
    assert jar.header("/interaction/x") == "narrow=2; wide=1"
    assert jar.header("/interaction/xy") == "wide=1"


def test_a_cookie_that_is_ended_is_forgotten() -> None:
    jar = CookieJar()
    jar.take(redirect("/", "a=1; Path=/", "b=1; Path=/"), "/")
    jar.take(redirect("/", "a=; Path=/; Max-Age=0", "b=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"), "/")
    assert jar.header("/") == ""


def test_a_browser_follows_redirects_fills_in_the_forms_and_stops_where_the_client_waits() -> None:
    walk = Browser("http://op.test").navigate(
        "/authorize?x=1", "http://rp.test/cb", known(username="9", password="p", decision="allow")
    )
    asked: list[Request] = [next(walk)]
    asked.append(walk.send(redirect("http://op.test/sign-in", "sid=1; Path=/")))
    asked.append(walk.send(page(SIGN_IN)))
    asked.append(walk.send(redirect("/consent")))
    asked.append(walk.send(page(CONSENT)))
    with pytest.raises(StopIteration) as ended:
        walk.send(redirect("http://rp.test/cb?code=1"))
    assert ended.value.value == "http://rp.test/cb?code=1"
    assert [(each.method, each.target) for each in asked] == [
        ("GET", "/authorize?x=1"),
        ("GET", "/sign-in"),
        ("POST", "/sign-in?step=1"),
        ("GET", "/consent"),
        ("POST", "/consent"),
    ]
    assert ("Cookie", "sid=1") in asked[2].headers
    assert ("Origin", "http://op.test") in asked[2].headers
    assert asked[4].body == b"csrf=c&decision=allow"


def test_a_password_that_is_asked_for_again_is_not_guessed_again() -> None:
    walk = Browser("http://op.test").navigate("/", "http://rp.test/cb", known(username="9", password="p"))
    next(walk)
    walk.send(page(SIGN_IN))
    with pytest.raises(UnexpectedPageError, match="refused"):
        walk.send(page(SIGN_IN))


def test_a_redirect_to_a_third_place_is_refused() -> None:
    walk = Browser("http://op.test").navigate("/", "http://rp.test/cb", known(username="9"))
    next(walk)
    with pytest.raises(UnexpectedPageError, match="sent away"):
        walk.send(redirect("http://elsewhere.test/"))

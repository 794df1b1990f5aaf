"""`id_token_hint`, `login_hint`, `ui_locales` (OIDC Core §3.1.2.1)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from idp.jose import Signer, new_private_key
from tests.support.asking import ISSUER, answer_of, bought, later, page_of, part, signed_in
from tests.support.journeys import SAME_ORIGIN, Journeys
from tests.support.provider import OPERATOR, Browser, Person, Portal, Provider, claims_of


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person()


@pytest.fixture(scope="module")
def other(op: Provider) -> Person:
    return op.person()


@pytest.fixture
def home(op: Provider, portal: Portal, citizen: Person) -> Browser:
    return signed_in(op, portal, citizen)


def hint_of(op: Provider, portal: Portal, person: Person) -> str:
    return str(bought(portal, Browser(op), person)["id_token"])


def test_a_hint_of_whoever_is_signed_in_is_answered(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    assert "code" in answer_of(portal, home, prompt="none", id_token_hint=hint_of(op, portal, citizen))


def test_an_expired_hint_is_as_good(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """OIDC Core §3.1.2.1: the provider should accept a hint whose `exp` has passed."""
    hint = hint_of(op, portal, citizen)
    later(op, minutes=30)
    assert "code" in answer_of(portal, home, prompt="none", id_token_hint=hint)


def test_a_hint_survives_a_rotation_of_keys(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    hint = hint_of(op, portal, citizen)
    op.keeper.rotate_signing("ES256", publish_for=timedelta(seconds=1), verify_for=timedelta(days=1), origin=OPERATOR)
    later(op, minutes=30)
    assert "code" in answer_of(portal, home, prompt="none", id_token_hint=hint)


def test_a_hint_of_somebody_else_is_login_required_and_never_this_person_s_code(
    op: Provider, portal: Portal, home: Browser, citizen: Person, other: Person
) -> None:
    hint = hint_of(op, portal, other)
    assert answer_of(portal, home, prompt="none", id_token_hint=hint)["error"] == "login_required"
    assert page_of(home, portal.ask(id_token_hint=hint)) == "sign-in"
    later(op, seconds=5)
    said = home.sign_in(citizen).parameters
    assert said["error"] == "login_required", "whoever has just proved to be somebody else is not asked for ever"


def test_a_hint_of_somebody_else_leads_to_that_person(op: Provider, portal: Portal, home: Browser, other: Person) -> None:
    hint = hint_of(op, portal, other)
    home.open(portal.ask(id_token_hint=hint))
    later(op, seconds=5)
    code = home.sign_in(other).parameters["code"]
    assert claims_of(portal.redeem(code).json["id_token"])["sub"] == claims_of(hint)["sub"]


def test_a_hint_and_a_sub_asked_for_have_to_be_the_same_person(
    op: Provider, portal: Portal, home: Browser, citizen: Person, other: Person
) -> None:
    """OIDC Core §3.1.2.1, §5.5.1: neither overrides the other."""
    mine, theirs = hint_of(op, portal, citizen), hint_of(op, portal, other)
    claims = '{"id_token":{"sub":{"value":"' + claims_of(mine)["sub"] + '"}}}'
    assert "code" in answer_of(portal, home, prompt="none", id_token_hint=mine, claims=claims)
    assert answer_of(portal, home, prompt="none", id_token_hint=theirs, claims=claims)["error"] == "login_required"


def test_what_is_no_id_token_for_this_client_is_refused(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """Signed by others or by nobody, another kind of token, another client's, altered: an error, never a code."""
    good = hint_of(op, portal, citizen)
    claims = claims_of(good)
    head, body, signature = good.split(".")
    stranger = Signer(new_private_key("ES256"))
    own = op.rooms.keys.signer("ES256")
    elsewhere = op.client("elsewhere", sector="portal.example")
    tokens = bought(portal, Browser(op), citizen, scope="openid offline_access")
    bad = {
        "signed by a stranger": stranger.sign(claims),
        "signed by nobody": f"{part({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "without a signature": f"{head}.{body}.",
        "with half a signature": f"{head}.{body}.{signature[:-2]}",
        "an access token": tokens["access_token"],
        "a refresh token": tokens["refresh_token"],
        "a logout token": own.sign(claims | {"events": {}}, typ="logout+jwt"),
        "an at+jwt": own.sign(claims, typ="at+jwt"),
        "for another client of the same sector": hint_of(op, elsewhere, citizen),
        "for two clients": own.sign(claims | {"aud": [claims["aud"], "elsewhere"]}),
        "of another issuer": own.sign(claims | {"iss": "https://evil.test"}),
        "without a sub": own.sign({name: value for name, value in claims.items() if name != "sub"}),
        "with a sub that is no text": own.sign(claims | {"sub": [claims["sub"]]}),
        "issued tomorrow": own.sign(claims | {"iat": claims["iat"] + 86400}),
    }
    for name, hint in bad.items():
        said = answer_of(portal, home, prompt="none", id_token_hint=hint)
        assert (said["error"], said["error_description"]) == (
            "invalid_request", "The id_token_hint is no ID token that this provider gave this client."
        ), name
    control = own.sign(claims | {"iss": ISSUER})
    assert "code" in answer_of(portal, home, prompt="none", id_token_hint=control)


def test_a_hint_shows_nothing_of_the_person_on_the_page(op: Provider, portal: Portal, citizen: Person, browser: Browser) -> None:
    """A stolen hint tells no name and no number."""
    browser.open(portal.ask(id_token_hint=hint_of(op, portal, citizen)))
    assert browser.page is not None
    assert citizen.name not in browser.page.text
    assert citizen.username not in browser.page.text


def test_a_login_hint_fills_in_a_number_and_nothing_else(portal: Portal, citizen: Person, browser: Browser) -> None:
    """OIDC Core §3.1.2.1: what is no number is not shown at all."""
    browser.open(portal.ask(login_hint=citizen.username))
    assert browser.form()[1]["username"] == citizen.username
    for hint in ("<script>alert(1)</script>", '" autofocus onfocus=alert(1) x="', "javascript:alert(1)", "someone@example.vn", "\u202e123"):
        browser.open(portal.ask(login_hint=hint))
        assert browser.form()[1]["username"] == ""


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("en", "en"),
        ("en-GB vi", "en"),
        ("fr vi", "vi"),
        ("fr", "vi"),
        ("../../etc/passwd", "vi"),
        (" ".join(f"x{n}-en" for n in range(200)), "vi"),
        ("fr de ja en", "en"),
        ("EN", "en"),
        ("\u0130", "vi"),
    ],
)
def test_the_first_known_language_is_spoken(portal: Portal, browser: Browser, asked: str, language: str) -> None:
    """OIDC Core §3.1.2.1: unknown tags are no error, and cost nothing."""
    browser.open(portal.ask(ui_locales=asked))
    assert browser.page is not None
    assert browser.page.status == 200
    assert browser.page.header("content-language") == language


LINK = re.compile(r'href="(/(?:help|privacy|about)[^"]*)"')


def test_a_link_keeps_the_language_that_the_sign_in_was_begun_with(portal: Portal, op: Provider) -> None:
    """Whoever does not read Vietnamese asks for help in the middle of a sign-in."""
    reading = Browser(op)
    links = LINK.findall(reading.open(portal.ask(ui_locales="en")).text)
    assert {"/help?lang=en", "/privacy?lang=en", "/about?lang=en", "/help?lang=en#cannot-sign-in"} <= set(links)
    for link in links:
        assert Browser(op).open(link.partition("#")[0]).header("content-language") == "en"


def test_a_link_says_no_language_that_the_browser_gets_anyway(portal: Portal, op: Provider) -> None:
    chosen = Browser(op)
    chosen.open("/?lang=en")
    for page in (Browser(op).open(portal.ask()), chosen.open("/?lang=en"), chosen.open(portal.ask(ui_locales="en"))):
        assert "/help" in LINK.findall(page.text)
        assert "/help?lang" not in page.text


def test_what_answers_a_form_links_to_the_other_language_only_where_that_shows_it(journeys: Journeys) -> None:
    """The link asks by GET: an address that takes forms alone, or an answer that is not shown again, has none."""
    home = journeys.at_home()
    withdrawn = journeys.filled("withdraw_consent").send(Sec_Fetch_Site="same-origin")
    assert withdrawn.status == 200
    forged = [home.send("POST", target, {}, **SAME_ORIGIN) for target in ("/sessions/end", "/logout/confirm", "/consents/withdraw")]
    assert [each.status for each in forged] == [403] * 3
    unreadable = [home.send("POST", target, {}) for target in ("/authorize", "/nowhere")]
    assert [each.status for each in unreadable] == [400, 404]
    for page in (withdrawn, *forged, *unreadable):
        assert 'class="language"' not in page.text
    at = journeys.at_sign_in()
    wrong = at.submit(username="1", password="x")
    assert f'class="language" href="{at.at}?lang=en"' in wrong.text


def test_an_error_in_the_middle_of_a_sign_in_keeps_its_language(portal: Portal, op: Provider) -> None:
    """A forged form, no such page, and a portal that is not known: each is said in English, and so are the pages it leads to."""
    browser = Browser(op)
    browser.open(portal.ask(ui_locales="en"))
    pages = {
        "forged": browser.send("POST", browser.at, {"username": "x"}, **{"sec-fetch-site": "cross-site"}),
        "not found": browser.send("GET", browser.at + "/nowhere"),
        "not known": Browser(op).open("/authorize?client_id=nobody&ui_locales=en"),
        "sign-out": Browser(op).open("/logout?id_token_hint=x&ui_locales=en"),
    }
    for name, page in pages.items():
        assert page.status >= 400, name
        assert page.header("content-language") == "en", name
        assert "/help?lang=en" in LINK.findall(page.text), name


def test_the_language_does_not_depend_on_what_a_portal_asked_before(portal: Portal, op: Provider) -> None:
    first, second = Browser(op), Browser(op)
    first.open(portal.ask(ui_locales="en"))
    second.open(portal.ask())
    assert second.page is not None
    assert second.page.header("content-language") == "vi"


def test_an_id_token_goes_no_further_than_where_it_was_sent(journeys: Journeys, op: Provider) -> None:
    """ASVS 10.1.1: the link to the other language asks for the same without it."""
    home = journeys.signed_in()
    portal = journeys.plain
    hint = portal.redeem(home.open(portal.ask()).parameters["code"]).json["id_token"]
    for browser in (home, Browser(op)):
        for target in (f"/logout?id_token_hint={hint}", f"/authorize?client_id=unknown&id_token_hint={hint}"):
            page = browser.open(target).text
            assert "lang=en" in page
            assert hint not in page
    asked = home.open(f"/logout?id_token_hint={hint}").text
    link = asked.partition('class="language" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert home.open(link).status == 200
    assert f"client_id={portal.client_id}" in link

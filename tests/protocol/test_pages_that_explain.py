"""The pages on which a person decides or is told what is missing say all of it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from idp.grants.purge import Purge
from idp.storage.breaker import EngineAway
from tests.support.journeys import Journeys
from tests.support.provider import OPERATOR, Browser, Person, Provider


def test_whoever_misses_a_level_is_told_where_to_go(journeys: Journeys) -> None:
    """Policy vn-2026-1, level 2: counter check, chip of citizens, biometrics."""
    page = journeys.at_level().page
    assert page is not None
    for words in ("thẻ căn cước đến quầy một cửa", "đọc chip", "vân tay"):
        assert words in page.text


@pytest.mark.parametrize(
    ("person_type", "where", "not_where"),
    [
        ("foreigner", "to an immigration office", "chip"),
        ("identity_certificate", "Take your identity certificate to a one-stop counter", "chip"),
        ("citizen", "Take your identity card to a one-stop counter", "passport"),
    ],
)
def test_whoever_misses_a_level_reads_of_their_own_way_alone(
    op: Provider, journeys: Journeys, person_type: str, where: str, not_where: str
) -> None:
    """Decree 69/2024 Art. 10 and 11: foreigners go elsewhere, with other papers."""
    person, browser = op.person(second_factor=False), Browser(op)
    with op.owner.transaction() as transaction:
        transaction.run(
            "UPDATE person SET person_type = %(type)s WHERE holder_id = %(id)s", {"type": person_type, "id": person.holder_id}
        )
    browser.open(journeys.checked.ask(ui_locales="en"))
    page = browser.submit(username=person.username, password=person.password)
    assert browser.at.endswith("/level")
    assert where in page.text
    assert not_where not in page.text


def test_whoever_consents_reads_of_everything_that_is_shared(journeys: Journeys) -> None:
    """OIDC Core §5.4: `profile` discloses language, time zone and the last change as well."""
    page = journeys.at_consent().page
    assert page is not None
    assert "và: ngôn ngữ, múi giờ, thời điểm thay đổi gần nhất" in page.text


def test_whoever_consents_reads_also_of_what_is_not_known_yet(journeys: Journeys, op: Provider) -> None:
    """Decision 0006: it is shared as soon as it is known, so the page names it. What is said of an address is named without it, too."""
    person = op.person(second_factor=False)
    with op.owner.transaction() as transaction:
        transaction.run("UPDATE person SET email_sealed = NULL, email_verified_at = NULL WHERE holder_id = %(id)s", {"id": person.holder_id})
    for asked in ({"scope": "openid email"}, {"scope": "openid", "claims": '{"userinfo":{"email":null,"phone_number_verified":null}}'}):
        browser = journeys.at_sign_in(ui_locales="en", **asked)
        page = browser.submit(username=person.username, password=person.password)
        assert browser.at.endswith("/consent")
        rows = dict(re.findall(r"<dt[^>]*>([^<]+)</dt>\s*<dd[^>]*>([^<]+)</dd>", page.text))
        assert rows["E-mail"].strip() == "Not known yet"
        assert ("claims" in asked) == (rows.get("Phone number", "").strip() == "Whether it is confirmed")


def test_whoever_has_only_a_password_reads_when_an_application_is_set_up(journeys: Journeys) -> None:
    page = journeys.at_home().page
    assert page is not None
    assert "sẽ mời bạn cài ứng dụng xác thực" in page.text


def test_the_own_page_says_since_when_and_how_many_codes_are_left(op: Provider) -> None:
    """What a person proves with, as it is: a code that was used is not left, and who has set nothing up is told nothing of it."""
    person = op.person()
    browser = Browser(op)
    browser.sign_in(person, browser.open("/sign-in"))
    with op.rooms.database.transaction() as transaction:
        op.rooms.recovery_codes.take_code_in(transaction, person.account_id, person.recovery_codes[0], OPERATOR)
    words = browser.open("/?lang=en").text
    assert "9 left" in words
    assert words.count("set 1 Jun 2026") == 3
    alone = op.person(second_factor=False)
    other = Browser(op)
    other.sign_in(alone, other.open("/sign-in"))
    words = other.open("/?lang=en").text
    assert " left" not in words
    assert words.count("set 1 Jun 2026") == 1


def test_whose_refresh_token_was_used_twice_is_told_on_their_own_page(op: Provider) -> None:
    """Case T01; RFC 9700 §4.14.2: somebody may have a copy. Nobody else is told, and after a month nobody is.

    Nor is whoever ended the grant before: then the portal's second try is a copy of nothing.
    """
    portal = op.client("twice", client_name="Cổng bị sao chép", grant_types=["authorization_code", "refresh_token"], scope="openid offline_access")
    person, other = op.person(second_factor=False), op.person(second_factor=False)
    kept = {}
    for each in (person, other):
        tokens = portal.redeem(portal.code_for(Browser(op), each, scope="openid offline_access", prompt="consent")).json
        refreshed = portal.refresh(tokens["refresh_token"])
        kept[each.account_id] = refreshed.json["refresh_token"]
        if each is person:
            assert portal.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"

    def own_page(whose: Person) -> str:
        browser = Browser(op)
        browser.sign_in(whose, browser.open("/sign-in"))
        return browser.open("/?lang=en").text

    told = "Cổng bị sao chép: what it holds to read your information was used twice"
    assert own_page(person).count(told) == 1
    assert told not in own_page(other)
    for consent in op.rooms.grants.consents(other.account_id):
        op.rooms.grants.withdraw_consent(consent.id, other.account_id, OPERATOR)
    assert [portal.refresh(kept[other.account_id]).json["error"] for _ in range(2)] == ["invalid_grant"] * 2
    assert told not in own_page(other)
    op.clock.advance(timedelta(days=29))
    purge = Purge(op.owner, op.clock, longest_family=timedelta(days=1))
    purge.purge()
    assert told in own_page(person)
    op.clock.advance(timedelta(days=2))
    purge.purge()
    assert told not in own_page(person)


@pytest.mark.parametrize("way", ["recovery_codes", "activate_recovery_codes"])
def test_recovery_codes_stand_until_they_are_said_to_be_kept(journeys: Journeys, op: Provider, way: str) -> None:
    """A reload, help and the way back lose nothing; another browser is shown nothing."""
    browser = journeys.pages[way]()
    place = browser.at
    assert browser.page is not None
    codes = re.findall(r"<li><code>(.*?)</code>", browser.page.text)
    assert len(codes) == 10
    browser.open("/help")
    assert re.findall(r"<li><code>(.*?)</code>", browser.open(place).text) == codes
    assert re.findall(r"<li><code>(.*?)</code>", browser.open(place + "?lang=en").text) == codes
    other = Browser(op, {**browser.cookies, "motcua-browser": "x" * 43})
    assert "<li><code>" not in other.open(place).text
    forged = browser.submit(csrf_token="x" * 43)
    assert forged.status == 403
    assert re.findall(r"<li><code>(.*?)</code>", browser.open(place).text) == codes
    browser.submit()
    assert not browser.at.endswith("/recovery-codes")
    assert "<li><code>" not in browser.open(place).text


def test_recovery_codes_that_cannot_be_kept_are_shown_at_once(journeys: Journeys, op: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """They were made; that Redis is away is no reason to lose them."""
    browser = journeys.at_activate_second_factor()
    code = journeys.offered_code(browser)
    put = op.rooms.ephemeral.put

    def away(key: str, value: bytes, *, keep_for: timedelta) -> None:
        if key.startswith("recovery-codes:"):
            raise EngineAway("redis", retry_after=1)
        put(key, value, keep_for=keep_for)

    monkeypatch.setattr(op.rooms.ephemeral, "put", away)
    assert browser.submit(code=code).text.count("<li><code>") == 10
    browser.submit()
    assert browser.at == "/activated"


def test_who_goes_on_as_somebody_else_is_not_shown_the_codes_of_who_was_there_before(journeys: Journeys, op: Provider) -> None:
    """One browser, one interaction, two people: a shared computer."""
    browser = journeys.at_recovery_codes()
    base, codes = browser.at, re.findall(r"<li><code>(.*?)</code>", browser.page.text if browser.page else "")
    other = op.person()
    op.clock.advance(timedelta(seconds=1))
    browser.sign_in(other, browser.open(journeys.plain.ask(prompt="login")))
    page = browser.open(base)
    assert len(codes) == 10
    assert [code for code in codes if code in page.text] == []


def test_a_second_factor_that_is_asked_for_later_is_no_second_step(journeys: Journeys, op: Provider) -> None:
    """Steps are counted where there are several; and the page says whose proof it wants, as far as whoever is there has typed it."""
    person = op.person()
    first = journeys.at_totp(person).page
    browser = journeys.signed_in(person)
    op.clock.advance(timedelta(seconds=10))
    later = browser.open(journeys.strong.ask())
    assert browser.at.endswith("/totp")
    assert first is not None
    assert "Bước 2 trên 2" in first.text
    assert "Bước" not in later.text
    for page in (first, later):
        assert person.username[-4:] in page.text
        assert person.username not in page.text
        assert person.name not in page.text

"""What changes between two pages of a sign-in counts at once: locks, clients, consents, an activation (law 8)."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from tests.support.journeys import LEVEL_OF_TWO_FACTORS, PAGES, SAME_ORIGIN, Journeys, base_of, has_code
from tests.support.provider import OPERATOR, Browser, Person, Provider


@pytest.mark.parametrize("stage", ["at_totp", "at_recovery_code", "at_consent", "at_enrol"])
def test_a_lock_in_mid_flow_leads_back_to_the_beginning_and_lets_nobody_in(journeys: Journeys, op: Provider, stage: str) -> None:
    """Law 8: the session is dead with the account; signing in again says no more than a wrong password would."""
    person = op.person(second_factor=stage in {"at_totp", "at_recovery_code"})
    browser: Browser = getattr(journeys, stage)(person)
    base, (action, fields) = base_of(browser), browser.form()
    code = journeys.offered_code(browser) if stage == "at_enrol" else ""
    if stage == "at_totp":
        code = person.code(op.clock)
    elif stage == "at_recovery_code":
        code = person.recovery_codes[0]
    filled = fields | {"code": code, "decision": "allow"}
    op.rooms.accounts.lock(person.account_id, reason="reported stolen", legal_basis="Decree 69/2024 Art. 14", origin=OPERATOR)
    answered = browser.send("POST", action, filled, **SAME_ORIGIN)
    assert answered.status == 303
    assert answered.location == base + "/sign-in"
    browser.open(base)
    page = browser.submit(username=person.username, password=person.password)
    assert page.status == 200
    assert browser.at == base + "/sign-in"


@pytest.mark.parametrize("stage", ["at_sign_in", "at_consent"])
def test_a_client_disabled_in_mid_flow_gets_nothing_and_nobody_is_sent_there(journeys: Journeys, op: Provider, stage: str) -> None:
    """Law 8."""
    own = Journeys(op)
    browser: Browser = getattr(own, stage)()
    action, fields = browser.form()
    op.rooms.clients.disable(own.plain.client_id, "test", origin=OPERATOR)
    answered = browser.send("POST", action, fields | {"decision": "allow", "username": "079203001234", "password": "x" * 12}, **SAME_ORIGIN)
    assert answered.status == 400
    assert answered.header("location") is None
    assert browser.send("GET", base_of(browser) if browser.at.startswith("/i/") else action).header("location") is None


def test_a_redirect_address_taken_away_in_mid_flow_is_not_used(op: Provider) -> None:
    """Law 8: what changed at the client since the request began counts."""
    own = Journeys(op)
    filled = own.filled("consent")
    op.client(own.plain.client_id, redirect_uris=[f"https://{own.plain.client_id}.example/other"])
    answered = filled.send(Sec_Fetch_Site="same-origin")
    assert answered.status == 400
    assert answered.header("location") is None


def test_a_consent_withdrawn_in_mid_flow_is_asked_for_again(journeys: Journeys, op: Provider) -> None:
    """Law 8: consent is joined when the code is issued."""
    person = op.person()
    browser = journeys.signed_in(person)
    browser.open(journeys.plain.ask(acr_values=LEVEL_OF_TWO_FACTORS))
    assert browser.at.endswith("/totp")
    consent = op.rooms.grants.consents(person.account_id)[0]
    op.rooms.grants.withdraw_consent(consent.id, person.account_id, OPERATOR)
    answered = browser.submit(code=person.code(op.clock))
    assert browser.at.endswith("/consent")
    assert not has_code(answered)


def test_prompt_consent_asks_even_whoever_allowed_everything(journeys: Journeys, op: Provider) -> None:
    """OIDC Core §3.1.2.1; and one answer is one answer, not a loop."""
    browser = journeys.signed_in()
    browser.open(journeys.plain.ask(prompt="consent"))
    assert browser.at.endswith("/consent")
    assert "code" in browser.submit(decision="allow").parameters
    assert "code" in browser.open(journeys.plain.ask()).parameters


def test_a_consent_for_one_portal_is_none_for_another_and_grows_only_by_asking(journeys: Journeys, op: Provider) -> None:
    """ASVS 10.7.1."""
    person = op.person()
    browser = journeys.signed_in(person, scope="openid profile")
    assert browser.open(journeys.plain.ask(prompt="none", scope="openid profile email")).parameters["error"] == "consent_required"
    assert browser.open(journeys.plain.ask(prompt="none", scope="openid offline_access")).parameters["error"] == "consent_required"
    other = op.client("another-portal")
    assert browser.open(other.ask(prompt="none")).parameters["error"] == "consent_required"


def test_the_pages_of_signing_in_show_nothing_of_a_person_before_the_password(journeys: Journeys, op: Provider) -> None:
    """A hint is a convenience: nothing but what was sent is shown, and only where it looks like a number."""
    person = op.person()
    shown = journeys.at_sign_in(login_hint=person.username)
    assert shown.page is not None
    assert person.name not in shown.page.text
    assert f'value="{person.username}"' in shown.page.text
    other = journeys.at_sign_in(login_hint="<b>hello</b>")
    assert other.page is not None
    assert "hello" not in other.page.text


def test_a_person_cannot_begin_at_the_second_step_of_an_activation(journeys: Journeys, op: Provider) -> None:
    """ASVS 2.3.1: the pages of an activation in any order, by another browser, after its end."""
    browser = journeys.at_activate_password()
    base = browser.at.removesuffix("/password")
    browser.open(base + "/second-factor")
    assert browser.at == base + "/password"
    for page in ("/password", "/second-factor", "/recovery-codes"):
        assert Browser(op).open(base + page).status == 400
        assert journeys.at_sign_in().open(base + page).status == 400
    filled = journeys.filled("activate_second_factor")
    assert filled.send(Sec_Fetch_Site="same-origin").location.endswith("/recovery-codes")
    assert filled.send(Sec_Fetch_Site="same-origin").status == 400
    assert filled.browser.open(filled.action.replace("second-factor", "password")).status == 400


def test_an_activation_code_is_good_for_its_own_number_only(journeys: Journeys, op: Provider) -> None:
    """Which of both was wrong, nobody is told."""
    browser, number, code = journeys.at_activate()
    other = op.person().username
    for wrong in ((other, code), (number, "A" * 24), ("079999999999", code), (number, code[:-1] + ("A" if code[-1] != "A" else "B"))):
        page = browser.submit(username=wrong[0], code=wrong[1])
        assert page.status == 200
        assert "/activate/" not in browser.at
    browser.submit(username=number, code=code)
    assert browser.at.endswith("/password")


def test_an_activation_anew_makes_the_old_ways_in_worthless(journeys: Journeys, op: Provider) -> None:
    """ASVS 6.4.3, 7.4.3: sessions, password, codes and second factor from before are dead."""
    person: Person = op.person()
    before = journeys.signed_in(person)
    op.clock.advance(timedelta(seconds=1))
    code = op.rooms.activation.issue(person.account_id, by="test", origin=OPERATOR)
    browser = journeys.at("/activate")
    browser.submit(username=person.username, code=code)
    browser.submit(password="chim hót trên cành bưởi", repeat="chim hót trên cành bưởi")
    browser.submit(code=journeys.offered_code(browser))
    assert before.open(journeys.plain.ask(prompt="none")).parameters["error"] == "login_required"
    stranger = journeys.at_sign_in()
    stranger.submit(username=person.username, password=person.password)
    assert stranger.at.endswith("/sign-in")
    stranger.submit(username=person.username, password="chim hót trên cành bưởi")
    assert not stranger.at.endswith("/sign-in")


def test_parameters_of_the_authorization_request_cannot_be_changed_on_the_way(journeys: Journeys, op: Provider) -> None:
    """What the pages are called with beside their own fields is nothing to them."""
    person = op.person(second_factor=False)
    browser = journeys.at_sign_in(scope="openid")
    extra = {"scope": "openid identity", "redirect_uri": "https://evil.example/", "acr_values": "x", "client_id": journeys.strong.client_id, "state": "evil", "next": "https://evil.example"}
    action, fields = browser.form()
    sent = browser.send("POST", action + "?" + urlencode(extra), fields | extra | {"username": person.username, "password": person.password}, **SAME_ORIGIN)
    assert sent.status == 303
    assert sent.location == action.removesuffix("/sign-in")
    answered = browser.sign_in(person, browser.open(sent.location))
    assert answered.location.startswith(journeys.plain.redirect_uri)
    assert answered.parameters["state"] == "the-state"
    assert journeys.plain.redeem(answered.parameters["code"]).json["scope"] == "openid"


def test_signing_in_for_ones_own_page_gives_no_portal_anything(journeys: Journeys, op: Provider) -> None:
    """The same dispatcher with nobody to answer: it ends at the own page, with a session that shared nothing."""
    person, browser = op.person(), Browser(op)
    browser.open("/sign-in")
    base = base_of(browser)
    for page in PAGES:
        browser.open(f"{base}/{page}".rstrip("/"))
        assert browser.at == base + "/sign-in"
    assert Browser(op).send("GET", base + "/sign-in").status == 400
    home = browser.submit(username=person.username, password=person.password)
    assert browser.at == "/"
    assert person.name in home.text
    assert op.rooms.grants.consents(person.account_id) == []
    assert browser.send("GET", base).status == 400
    assert browser.open(journeys.plain.ask(prompt="none")).parameters["error"] == "consent_required"
    assert browser.open(journeys.strong.ask(prompt="none")).parameters["error"] == "login_required"


def test_the_page_of_enrolment_opened_again_shows_the_secret_that_was_scanned(journeys: Journeys, op: Provider) -> None:
    """A change of language or a reload between picture and code loses nothing, and makes nothing new."""
    person = op.person(second_factor=False)
    browser = journeys.at_enrol(person)
    secret, page = journeys.offered_secret(browser), browser.at
    for again in (page, page + "?lang=en", base_of(browser)):
        browser.open(again)
        assert journeys.offered_secret(browser) == secret
    counted = op.rooms.database.step("SELECT count(*) AS held FROM totp WHERE account_id = %(a)s", {"a": person.account_id})
    assert counted is not None
    assert counted.held == 1
    other = journeys.at_enrol(person)
    assert journeys.offered_secret(other) != secret

"""A level is never overstated, never lowered from the browser, and set up only by who proved the strongest one before (law 3, 4)."""

from __future__ import annotations

import json
from datetime import timedelta

import pyotp
import pytest

from tests.support.journeys import PAGES, SAME_ORIGIN, STEP, Journeys, base_of, has_code, proofs_of, session_of
from tests.support.provider import OPERATOR, Answered, Browser, Provider, claims_of

# setting a second factor up ------------------------------------------------------------------------------------------------------------------------


def test_whoever_has_a_second_factor_cannot_set_up_another_one_to_get_in(journeys: Journeys, op: Provider) -> None:
    """Law 3: with a stolen password the page of enrolment is not to be had, by GET or POST, from any step."""
    person = op.person()
    for browser in (journeys.at_totp(person), journeys.at_recovery_code(person)):
        base, before = base_of(browser), session_of(browser)
        answered = browser.open(base + "/enrol")
        assert browser.at == base + "/totp"
        assert 'id="secret"' not in answered.text
        secret = pyotp.random_base32()
        sent = browser.send("POST", base + "/enrol", {"csrf_token": proofs_of(journeys, browser)["enrol"], "code": pyotp.TOTP(secret).at(op.clock.now())}, **SAME_ORIGIN)
        assert sent.status == 303
        assert session_of(browser) == before
    assert len(op.rooms.database.step("SELECT array_agg(id) AS ids FROM totp WHERE account_id = %(a)s", {"a": person.account_id}).ids) == 1  # type: ignore[union-attr]  # an aggregate has a row


def test_a_page_of_enrolment_left_open_is_worth_nothing_once_a_second_factor_is_there(journeys: Journeys, op: Provider) -> None:
    """Law 3: who opened the page first with a stolen password comes too late once the person has set theirs up."""
    person = op.person(second_factor=False)
    thief = journeys.at_enrol(person)
    thiefs_code = journeys.offered_code(thief)
    action, fields = thief.form()
    owner = journeys.at_enrol(person)
    owner.submit(code=journeys.offered_code(owner))
    assert owner.page is not None
    assert owner.page.text.count("<li><code>") == 10

    before = session_of(thief)
    late = thief.send("POST", action, fields | {"code": thiefs_code}, **SAME_ORIGIN)
    assert late.status == 303
    assert late.location.endswith("/totp")
    assert session_of(thief) == before


def test_whoever_has_none_can_set_one_up_and_it_counts(journeys: Journeys, op: Provider) -> None:
    """Law 3: the password was this account's strongest level, and it was proved."""
    person = op.person(second_factor=False)
    browser = journeys.at_enrol(person)
    secret = (browser.page or Answered(0, [], b"")).text.partition('id="secret">')[2].partition("</code>")[0].replace(" ", "").strip()
    wrong = browser.submit(code="000000" if pyotp.TOTP(secret).at(op.clock.now()) != "000000" else "000001")
    assert 'id="secret"' in wrong.text
    assert secret in wrong.text.replace(" ", "")
    page = browser.submit(code=pyotp.TOTP(secret).at(op.clock.now()))
    assert page.text.count("<li><code>") == 10
    answered = browser.sign_in(person, browser.submit())
    claims = claims_of(journeys.strong.redeem(answered.parameters["code"]).json["id_token"])
    assert (claims["aal"], claims["amr"]) == (2, ["mfa", "otp", "pwd"])

    op.clock.advance(STEP)
    again = journeys.at_totp(person)
    again.submit(code=pyotp.TOTP(secret).at(op.clock.now()))
    assert "code" in (again.page or Answered(0, [], b"")).parameters


def test_the_recovery_codes_are_shown_until_they_are_kept(journeys: Journeys) -> None:
    """The other pages lead back to them, and once their owner went on, none does."""
    browser = journeys.at_recovery_codes()
    base = base_of(browser)
    for page in ("enrol", ""):
        browser.open(f"{base}/{page}".rstrip("/"))
        assert browser.at == base + "/recovery-codes"
    browser.submit()
    for page in ("recovery-codes", "enrol", ""):
        assert "<li><code>" not in browser.open(f"{base}/{page}".rstrip("/")).text


def test_the_recovery_codes_outlive_the_request_in_which_they_were_made(journeys: Journeys, op: Provider) -> None:
    """Back, and everything allowed, or the portal told no from another window: the codes are there, and whoever keeps them is led home."""
    person = op.person(second_factor=False)
    browser = journeys.at_enrol(person)
    base = base_of(browser)
    browser.submit(code=journeys.offered_code(browser))
    browser.open(base + "/consent")
    assert has_code(browser.submit(decision="allow"))
    assert browser.send("GET", base).status == 400
    page = browser.open(base + "/recovery-codes")
    assert page.text.count("<li><code>") == 10
    assert "<li><code>" not in Browser(op, browser.cookies | {"motcua-session": "mos_" + "x" * 43}).open(base + "/recovery-codes").text
    browser.submit()
    assert browser.at == "/"
    assert browser.send("GET", base + "/recovery-codes").status == 400


def test_a_code_typed_for_somebody_who_is_not_signed_in_any_more_is_judged_for_nobody(journeys: Journeys, op: Provider) -> None:
    """Another person signed in in a second tab: what the first page asked was of the first person. No guess is used up."""
    alice, binh = op.person(), op.person()
    for at in (journeys.at_totp, journeys.at_recovery_code):
        browser = at(alice)
        action, fields = browser.form()
        op.clock.advance(timedelta(seconds=1))
        browser.open(journeys.strong.ask(prompt="login"))
        browser.submit(username=binh.username, password=binh.password)
        assert browser.at.endswith("/totp")
        for _ in range(6):
            sent = browser.send("POST", action, fields | {"code": alice.code(op.clock)}, **SAME_ORIGIN)
            assert sent.status == 403
        browser.open(base_of(browser) + "/totp")
        answered = browser.sign_in(binh)
        assert has_code(answered)
        op.clock.advance(STEP)


# levels ----------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        {"acr_values": "urn:motcua:acr:ial0.aal1"},
        {"acr_values": "urn:motcua:acr:ial0.aal1 urn:motcua:acr:ial0.aal2"},
        {"claims": json.dumps({"id_token": {"acr": {"essential": True, "value": "urn:motcua:acr:ial0.aal1"}}})},
        {"claims": json.dumps({"id_token": {"acr": {"essential": True, "values": ["urn:motcua:acr:ial0.aal1"]}}})},
        {"claims": json.dumps({"id_token": {"acr": None}})},
        {"acr_values": "0"},
        {"max_age": "999999999"},
        {"prompt": "consent"},
        {"prompt": "select_account consent"},
        {"minimum_acr": "urn:motcua:acr:ial0.aal1", "default_acr_values": "urn:motcua:acr:ial0.aal1"},
    ],
)
def test_a_registered_minimum_cannot_be_lowered_from_the_browser(journeys: Journeys, op: Provider, asked: dict[str, str]) -> None:
    """Design §5: acr_values, claims, prompt and max_age ask for more, never for less."""
    person = op.person()
    browser = journeys.signed_in(person)
    silent = browser.open(journeys.strong.ask(**({name: value for name, value in asked.items() if name != "prompt"} | {"prompt": "none"})))
    assert silent.parameters["error"] == "login_required"
    answered = browser.open(journeys.strong.ask(**asked))
    for _ in range(3):
        assert not has_code(answered)
        if browser.at.endswith("/totp"):
            break
        answered = browser.submit(decision="continue" if browser.at.endswith("/account") else "allow")
    assert browser.at.endswith("/totp")
    for _ in range(3):
        answered = browser.submit(code=person.code(op.clock)) if browser.at.endswith("/totp") else browser.submit(decision="allow")
        if has_code(answered):
            break
    claims = claims_of(journeys.strong.redeem(answered.parameters["code"]).json["id_token"])
    assert claims["aal"] == 2


def test_a_level_that_cannot_be_met_is_said_and_the_way_back_tells_the_portal(journeys: Journeys, op: Provider) -> None:
    """Design §5: `unmet_authentication_requirements`; no other page leads past it."""
    browser = journeys.at_level()
    base = base_of(browser)
    for page in PAGES:
        browser.open(f"{base}/{page}".rstrip("/"))
        assert browser.at == base + "/level"
    answered = browser.submit()
    assert answered.parameters == {"error": "unmet_authentication_requirements", "error_description": "The required level of assurance was not met.", "state": "the-state", "iss": "http://localhost:8000"}
    assert browser.send("GET", base).status == 400
    assert browser.open(journeys.checked.ask(prompt="none")).parameters["error"] == "unmet_authentication_requirements"


def test_a_level_that_is_not_asked_essentially_is_no_obstacle_and_the_truth_is_told(journeys: Journeys, op: Provider) -> None:
    """Design §5: voluntary classes that this person cannot meet."""
    person = op.person(ial=1, second_factor=False)
    browser = Browser(op)
    answered = browser.sign_in(person, browser.open(journeys.plain.ask(acr_values="urn:motcua:acr:ial2.aal2")))
    claims = claims_of(journeys.plain.redeem(answered.parameters["code"]).json["id_token"])
    assert (claims["ial"], claims["aal"], claims["acr"]) == (1, 1, "urn:motcua:acr:ial1.aal1")
    essential = json.dumps({"id_token": {"acr": {"essential": True, "values": ["urn:motcua:acr:ial2.aal1"]}}})
    assert browser.open(journeys.plain.ask(prompt="none", claims=essential)).parameters["error"] == "unmet_authentication_requirements"


def test_a_level_that_was_struck_meanwhile_is_not_told_any_more(journeys: Journeys, op: Provider) -> None:
    """Law 4 and law 8: evidence struck between two requests of one session counts in the second."""
    person = op.person(ial=2, second_factor=False)
    browser = Browser(op)
    browser.sign_in(person, browser.open(journeys.checked.ask()))
    assert "code" in browser.open(journeys.checked.ask(prompt="none")).parameters
    for fact in op.rooms.levels.evidence(person.holder_id):
        op.rooms.levels.strike(fact.id, by="test", reason="entered by mistake", origin=OPERATOR)
    assert browser.open(journeys.checked.ask(prompt="none")).parameters["error"] == "unmet_authentication_requirements"
    answered = browser.sign_in(person, browser.open(journeys.plain.ask()))
    assert claims_of(journeys.plain.redeem(answered.parameters["code"]).json["id_token"])["ial"] == 0


@pytest.mark.parametrize(("max_age", "page"), [("0", "/sign-in"), ("1", "/sign-in"), ("3600", None)])
def test_an_old_sign_in_is_asked_for_anew_when_the_portal_says_how_old_it_may_be(
    journeys: Journeys, op: Provider, max_age: str, page: str | None
) -> None:
    """`auth_time` is when the person really signed in, not when the session was last used."""
    person = op.person(second_factor=False)
    browser = journeys.signed_in(person)
    signed_in_at = int(op.clock.now().timestamp())
    op.clock.advance(timedelta(seconds=10))
    answered = browser.open(journeys.plain.ask(max_age=max_age))
    if page is None:
        assert claims_of(journeys.plain.redeem(answered.parameters["code"]).json["id_token"])["auth_time"] == signed_in_at
        return
    assert browser.at.endswith(page)
    assert browser.open(journeys.plain.ask(max_age=max_age, prompt="none")).parameters["error"] == "login_required"
    answered = browser.sign_in(person, browser.open(journeys.plain.ask(max_age=max_age)))
    assert claims_of(journeys.plain.redeem(answered.parameters["code"]).json["id_token"])["auth_time"] == signed_in_at + 10


@pytest.mark.parametrize("max_age", ["-1", "1.5", "1e3", "x", "", "٣", "99999999999", " 1", "0x1"])
def test_a_max_age_that_cannot_be_read_never_means_any_age(journeys: Journeys, op: Provider, max_age: str) -> None:
    """An error, or (empty) as if it were not sent; never a silently dropped demand."""
    answered = Browser(op).open(journeys.plain.ask(max_age=max_age))
    if max_age == "":
        assert answered.status == 200
    else:
        assert answered.parameters["error"] == "invalid_request"

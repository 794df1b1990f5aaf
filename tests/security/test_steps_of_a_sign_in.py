"""No order of page visits, no side path and no restart reaches a code without every proof required (law 3)."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import urlencode

import pyotp
import pytest

from tests.support.journeys import LEVEL_OF_TWO_FACTORS, STEP, Journeys, session_of
from tests.support.provider import OPERATOR, Answered, Browser, Person, Provider, claims_of

PAGES = ("", "sign-in", "totp", "recovery-code", "enrol", "recovery-codes", "consent", "account", "level")
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def journeys(op: Provider) -> Journeys:
    return Journeys(op)


def base_of(browser: Browser) -> str:
    return "/".join(browser.at.split("/")[:3])


def has_code(answered: Answered) -> bool:
    return "code=" in (answered.header("location") or "") or 'name="code" value=' in answered.text


# out of order ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "due"),
    [
        ("sign_in", "sign-in"),
        ("totp", "totp"),
        ("enrol", "enrol"),
        ("consent", "consent"),
        ("account", "account"),
        ("level", "level"),
    ],
)
def test_every_page_visited_out_of_order_leads_to_the_one_that_is_due(journeys: Journeys, stage: str, due: str) -> None:
    """ASVS 2.3.1: steps in order, none skipped; the page that is due is found again from everywhere."""
    browser = journeys.pages[stage]()
    base = base_of(browser)
    for page in PAGES:
        browser.open(f"{base}/{page}".rstrip("/"))
        allowed = {due} | ({"recovery-code"} if (due, page) == ("totp", "recovery-code") else set())
        assert browser.at.removeprefix(base + "/") in allowed, page
        assert browser.page is not None
        assert browser.page.status == 200


@pytest.mark.parametrize("stage", ["sign_in", "totp", "enrol", "account", "level", "recovery_code", "consent"])
def test_every_form_sent_out_of_order_passes_nothing(journeys: Journeys, op: Provider, stage: str) -> None:
    """ASVS 2.3.1: what another page asks, sent with a good proof of this browser, leads back to the page that is due."""
    browser = journeys.pages[stage]()
    base, sends = base_of(browser), {"decision": "allow", "code": "000000", "kept": "y"}
    tokens = _proofs(journeys, browser)
    for page in ("consent", "account", "level", "recovery-codes", "enrol", "recovery-code", "totp"):
        if stage in {"account", "level", "consent"} and page == stage:
            continue
        before = session_of(browser)
        answered = browser.send("POST", f"{base}/{page}", sends | {"csrf_token": tokens[page]}, **SAME_ORIGIN)
        assert not has_code(answered), page
        assert session_of(browser) == before, page
        assert answered.status in {200, 303}, page
        if answered.status == 303:
            assert answered.location.startswith(base), page


def _proofs(journeys: Journeys, browser: Browser) -> dict[str, str]:
    """The proofs that this browser would be given on each page: it knows its own cookie, and nothing else is in them."""
    from idp.web.pages import forms
    from idp.web.pages.forms import CsrfContext

    key = journeys.op.rooms.keys.sealer.index("csrf", "forms")
    context = {"csrf_context": CsrfContext(key, browser.cookies["motcua-browser"])}
    classes = {
        "consent": forms.ConsentForm,
        "account": forms.SelectAccountForm,
        "level": forms.ConfirmForm,
        "recovery-codes": forms.KeepCodesForm,
        "enrol": forms.EnrolTotpForm,
        "recovery-code": forms.RecoveryCodeForm,
        "totp": forms.TotpForm,
    }
    return {page: each(None, meta=context).proof for page, each in classes.items()}


def test_an_interaction_opens_nothing_in_another_browser(journeys: Journeys, op: Provider) -> None:
    """Its address alone is worth nothing, whatever page, before and after the person proved who they are."""
    person = op.person()
    for browser in (journeys.at_sign_in(), journeys.at_totp(person), journeys.at_consent(op.person(second_factor=False))):
        base = base_of(browser)
        for thief in (Browser(op), journeys.at_sign_in()):
            for page in (*PAGES, "another"):
                answered = thief.open(f"{base}/{page}".rstrip("/"))
                assert answered.status == 400, page
                assert answered.header("location") is None
                assert person.name not in answered.text
        assert browser.open(base).status == 200


def test_a_request_that_came_by_post_belongs_to_the_first_browser_that_opens_it(journeys: Journeys, op: Provider) -> None:
    """Design §4: POST /authorize reads no cookie; the GET after it binds the browser, and then nobody else."""
    asked = dict(pair.split("=") for pair in journeys.plain.ask().partition("?")[2].split("&"))
    asked["redirect_uri"] = journeys.plain.redirect_uri
    asked["scope"] = "openid profile"
    kept = Browser(op).send("POST", "/authorize", asked, **{"Sec-Fetch-Site": "cross-site"})
    assert kept.status == 303
    assert kept.header("set-cookie") is None
    first, second = Browser(op), Browser(op)
    assert second.open(kept.location + "/sign-in").status == 400
    assert first.open(kept.location).status == 200
    assert second.open(kept.location).status == 400
    person = op.person(second_factor=False)
    assert "code" in first.sign_in(person).parameters


def test_a_posted_request_that_nobody_opened_is_nobodys(journeys: Journeys, op: Provider) -> None:
    """A browser without a cookie is not the browser of a request without one."""
    asked = {"response_type": "code", "client_id": journeys.plain.client_id, "redirect_uri": journeys.plain.redirect_uri}
    asked |= {"scope": "openid", "code_challenge": "a" * 43, "code_challenge_method": "S256"}
    kept = Browser(op).send("POST", "/authorize", asked)
    for cookies in ({}, {"motcua-browser": ""}, {"motcua-browser": '""'}):
        for page in PAGES[1:]:
            assert Browser(op, dict(cookies)).send("GET", f"{kept.location}/{page}").status == 400


# over and replayed ---------------------------------------------------------------------------------------------------------------------------


def test_what_was_answered_is_over_for_every_page_and_form(journeys: Journeys, op: Provider) -> None:
    """The back button after a code was issued, a bookmark, the second tab: a page that says so, never a second code."""
    filled = journeys.filled("consent")
    first = filled.send(Sec_Fetch_Site="same-origin")
    assert has_code(first)
    again = filled.send(Sec_Fetch_Site="same-origin")
    assert again.status == 400
    assert not has_code(again)
    base = filled.action.removesuffix("/consent")
    for page in (*PAGES, "another"):
        answered = filled.browser.send("GET", f"{base}/{page}".rstrip("/"))
        assert answered.status == 400, page
        assert not has_code(answered)


def test_a_refused_consent_ends_the_request_and_allows_nothing(journeys: Journeys, op: Provider) -> None:
    """RFC 6749 §4.1.2.1: access_denied; "allow" sent afterwards comes too late."""
    filled = journeys.filled("consent")
    refused = filled.send(filled.fields | {"decision": "refuse"}, Sec_Fetch_Site="same-origin")
    assert refused.parameters["error"] == "access_denied"
    assert filled.send(Sec_Fetch_Site="same-origin").status == 400
    assert filled.browser.open(journeys.plain.ask(prompt="none")).parameters["error"] == "consent_required"


@pytest.mark.parametrize("decision", ["", "ALLOW", "allow ", "yes", "continue", "true"])
def test_only_the_button_itself_allows(journeys: Journeys, decision: str) -> None:
    """Missing or failing input never passes a step (law 3)."""
    filled = journeys.filled("consent")
    answered = filled.send(filled.fields | {"decision": decision}, Sec_Fetch_Site="same-origin")
    assert answered.status == 200
    assert not has_code(answered)


def test_a_decision_sent_twice_decides_nothing(journeys: Journeys) -> None:
    """A repeated field is no answer."""
    filled = journeys.filled("consent")
    pairs = [*filled.fields.items(), ("decision", "refuse")]
    cookies = "; ".join(f"{name}={value}" for name, value in filled.browser.cookies.items())
    answered = journeys.op.call("POST", filled.action, pairs, headers={"Cookie": cookies, **SAME_ORIGIN})
    assert answered.status == 200
    assert not has_code(answered)


def test_two_tabs_each_need_their_own_answers(journeys: Journeys, op: Provider) -> None:
    """A sign-in in one tab is good for the other, its higher level is not assumed there, and neither mixes up whom it answers."""
    person, browser = op.person(), Browser(op)
    browser.open(journeys.strong.ask(state="strong"))
    strong = base_of(browser)
    browser.open(journeys.plain.ask(state="plain"))
    plain = base_of(browser)
    browser.submit(username=person.username, password=person.password)
    assert browser.at == plain + "/consent"
    browser.open(strong + "/sign-in")
    assert browser.at == strong + "/totp"
    browser.open(plain)
    answered = browser.submit(decision="allow")
    assert answered.parameters["state"] == "plain"
    assert claims_of(journeys.plain.redeem(answered.parameters["code"]).json["id_token"])["aal"] == 1
    browser.open(strong)
    answered = browser.sign_in(person)
    assert answered.parameters["state"] == "strong"
    assert claims_of(journeys.strong.redeem(answered.parameters["code"]).json["id_token"])["aal"] == 2


def test_a_stale_password_form_cannot_turn_a_session_back(journeys: Journeys, op: Provider) -> None:
    """An old POST of the password page, replayed after more was proved, proves nothing anew and takes nothing away."""
    person = op.person()
    browser = Browser(op)
    browser.open(journeys.strong.ask())
    action, fields = browser.form()
    old = fields | {"username": person.username, "password": person.password}
    browser.send("POST", action, old, **SAME_ORIGIN)
    browser.open(base_of(browser) if browser.at.startswith("/i/") else action)
    browser.submit(code=person.code(op.clock))
    before = session_of(browser)
    replayed = browser.send("POST", action, old, **SAME_ORIGIN)
    assert replayed.status == 303
    assert session_of(browser) == before


def test_a_request_is_over_after_half_an_hour(journeys: Journeys, op: Provider) -> None:
    """A flow lives 15 to 30 minutes; Redis forgets it. An unknown one is the same page."""
    browser = journeys.at_sign_in()
    op.rooms.ephemeral.forget_matching("interaction:")
    assert browser.send("GET", browser.at).status == 400
    assert browser.send("GET", "/i/unknown/sign-in").status == 400
    assert "code" in browser.sign_in(op.person(second_factor=False), browser.open(journeys.plain.ask())).parameters


# another way -------------------------------------------------------------------------------------------------------------------------------------


def test_beginning_as_somebody_else_forgets_no_requirement(journeys: Journeys, op: Provider) -> None:
    """`Sign in as somebody else` asks for everything again, from the beginning."""
    alice, binh = op.person(), op.person()
    browser = journeys.at_totp(alice)
    base = base_of(browser)
    op.clock.advance(timedelta(seconds=1))
    browser.open(base + "/another")
    assert browser.at == base + "/sign-in"
    for page in PAGES:
        browser.open(f"{base}/{page}".rstrip("/"))
        assert browser.at == base + "/sign-in"
    op.clock.advance(timedelta(seconds=1))
    browser.submit(username=binh.username, password=binh.password)
    assert browser.at == base + "/totp"
    answered = browser.submit(code=alice.code(op.clock))
    assert answered.status == 200
    assert browser.at == base + "/totp"
    answered = browser.sign_in(binh)
    sub = claims_of(journeys.strong.redeem(answered.parameters["code"]).json["id_token"])["sub"]
    assert sub == op.rooms.accounts.subject(binh.holder_id, _sector(journeys))


def _sector(journeys: Journeys) -> str:
    return journeys.op.rooms.clients.show(journeys.strong.client_id).sector


@pytest.mark.parametrize("page", ["totp", "recovery-code"])
def test_the_second_factor_of_somebody_else_is_refused(journeys: Journeys, op: Provider, page: str) -> None:
    """A proof counts for the account whose session it is given in."""
    alice, binh = op.person(), op.person()
    browser = journeys.at_totp(alice) if page == "totp" else journeys.at_recovery_code(alice)
    before = session_of(browser)
    browser.submit(code=binh.code(op.clock) if page == "totp" else binh.recovery_codes[0])
    assert session_of(browser) == before
    assert browser.at.endswith(page)
    browser.submit(code=alice.code(op.clock) if page == "totp" else alice.recovery_codes[0])
    assert browser.at.endswith("/consent")


def test_a_recovery_code_works_once_and_counts_as_what_a_person_has(journeys: Journeys, op: Provider) -> None:
    """NIST SP 800-63B-4 §3.1.2; law 1."""
    person = op.person()
    browser = journeys.at_recovery_code(person)
    browser.submit(code=person.recovery_codes[3].lower().replace("-", " "))
    claims = claims_of(journeys.strong.redeem(browser.sign_in(person).parameters["code"]).json["id_token"])
    assert claims["aal"] == 2
    assert "mfa" in claims["amr"]
    again = journeys.at_recovery_code(person)
    again.submit(code=person.recovery_codes[3])
    assert again.at.endswith("/recovery-code")
    again.submit(code=person.recovery_codes[4])
    assert "code" in (again.page or Answered(0, [], b"")).parameters


def test_a_recovery_code_is_no_password_and_a_password_no_code(journeys: Journeys, op: Provider) -> None:
    """Each proof only where it belongs."""
    person = op.person()
    browser = journeys.at_sign_in()
    for wrong in (person.recovery_codes[0], person.code(op.clock), person.totp_secret):
        browser.submit(username=person.username, password=wrong)
        assert browser.at.endswith("/sign-in")
    assert session_of(browser) is None


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
        sent = browser.send("POST", base + "/enrol", {"csrf_token": _proofs(journeys, browser)["enrol"], "code": pyotp.TOTP(secret).at(op.clock.now())}, **SAME_ORIGIN)
        assert sent.status == 303
        assert session_of(browser) == before
    assert len(op.rooms.database.step("SELECT array_agg(id) AS ids FROM totp WHERE account_id = %(a)s", {"a": person.account_id}).ids) == 1  # type: ignore[union-attr]


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
    answered = browser.sign_in(person, browser.submit(kept="y"))
    claims = claims_of(journeys.strong.redeem(answered.parameters["code"]).json["id_token"])
    assert (claims["aal"], claims["amr"]) == (2, ["mfa", "otp", "pwd"])

    op.clock.advance(STEP)
    again = journeys.at_totp(person)
    again.submit(code=pyotp.TOTP(secret).at(op.clock.now()))
    assert "code" in (again.page or Answered(0, [], b"")).parameters


def test_the_recovery_codes_are_shown_once(journeys: Journeys) -> None:
    """ASVS 6.4.1: going back or reloading does not show them again."""
    browser = journeys.at_recovery_codes()
    base = base_of(browser)
    for page in ("recovery-codes", "enrol", ""):
        assert "<li><code>" not in browser.open(f"{base}/{page}".rstrip("/")).text


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


# what happens in mid-flow ------------------------------------------------------------------------------------------------------------------------


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
    for page in ("/password", "/second-factor"):
        assert Browser(op).open(base + page).status == 400
        assert journeys.at_sign_in().open(base + page).status == 400
    filled = journeys.filled("activate_second_factor")
    assert filled.send(Sec_Fetch_Site="same-origin").status == 200
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

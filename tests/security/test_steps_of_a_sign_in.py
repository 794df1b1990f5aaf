"""No order of page visits, no side path and no restart reaches a code without every proof required (law 3)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from idp.kernel.digests import base64url, digest
from tests.support.journeys import PAGES, SAME_ORIGIN, Journeys, base_of, has_code, proofs_of, session_of
from tests.support.provider import Answered, Browser, Provider, claims_of

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
    tokens = proofs_of(journeys, browser)
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


def test_an_interaction_opens_nothing_in_another_browser(journeys: Journeys, op: Provider) -> None:
    """Its address alone is worth nothing, whatever page, before and after the person proved who they are."""
    person = op.person()
    for browser in (journeys.at_sign_in(), journeys.at_totp(person), journeys.at_consent(op.person(second_factor=False))):
        base = base_of(browser)
        for thief in (Browser(op), journeys.at_sign_in()):
            for page in PAGES:
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
    for page in PAGES:
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


def test_what_a_newer_version_kept_is_read_without_what_it_added(journeys: Journeys, op: Provider) -> None:
    """Nodes are upgraded one by one. What cannot be read is over, not a fault."""
    browser = journeys.at_sign_in()
    key = "interaction:" + base64url(digest(base_of(browser).removeprefix("/i/")))
    kept = json.loads(op.rooms.ephemeral.find(key) or b"")
    op.rooms.ephemeral.put(key, json.dumps(kept | {"added_later": 1}).encode(), keep_for=timedelta(minutes=1))
    assert browser.send("GET", browser.at).status == 200
    assert browser.send("GET", base_of(browser)).status == 303
    for unreadable in (b"{}", b"[]", b"\xff", b"not JSON"):
        op.rooms.ephemeral.put(key, unreadable, keep_for=timedelta(minutes=1))
        assert [browser.send("GET", target).status for target in (browser.at, base_of(browser))] == [400, 400]


def test_what_a_newer_version_kept_of_an_activation_is_read_without_what_it_added(journeys: Journeys, op: Provider) -> None:
    """Nodes are upgraded one by one. What cannot be read is over, not a fault."""
    browser = journeys.at_activate_password()
    name = browser.at.split("/")[2]
    key = "activation:" + base64url(digest(name))
    place = "activation.pending:" + base64url(digest(name + "/" + browser.cookies["motcua-browser"]))
    kept = json.loads(op.rooms.keys.sealer.open(op.rooms.ephemeral.find(key) or b"", place))
    for value, status in ((kept | {"added_later": 1}, 200), ({}, 400), ([], 400)):
        op.rooms.ephemeral.put(key, op.rooms.keys.sealer.seal(json.dumps(value).encode(), place), keep_for=timedelta(minutes=1))
        assert browser.send("GET", browser.at).status == status


# another way -------------------------------------------------------------------------------------------------------------------------------------


def test_beginning_as_somebody_else_forgets_no_requirement(journeys: Journeys, op: Provider) -> None:
    """`Sign in as somebody else` asks for everything again, from the beginning."""
    alice, binh = op.person(), op.person()
    browser = journeys.at_totp(alice)
    base = base_of(browser)
    op.clock.advance(timedelta(seconds=1))
    browser.submit(decision="another", csrf_token="x" * 43)
    assert browser.at == base + "/totp"
    browser.submit(decision="other", code=alice.code(op.clock))
    assert browser.at == base + "/totp"
    assert '<button class="link" type="submit" id="another" name="decision" value="another">' in browser.open(base + "/totp").text
    assert "6 chữ số" in browser.open(base + "/totp?decision=another").text
    browser.open(base + "/totp")
    browser.submit(decision="another")
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


def test_who_misses_a_level_may_go_on_as_somebody_else(journeys: Journeys, op: Provider) -> None:
    """Else the next person at this browser comes to the same page again and again. What is required stays required."""
    browser = journeys.at_level()
    base = base_of(browser)
    op.clock.advance(timedelta(seconds=1))
    assert browser.submit(decision="neither").status == 200
    assert browser.at == base + "/level"
    browser.submit(decision="another")
    assert browser.at == base + "/sign-in"
    op.clock.advance(timedelta(seconds=1))
    low, high = op.person(ial=1, second_factor=False), op.person(ial=2, second_factor=False)
    browser.submit(username=low.username, password=low.password)
    assert browser.at == base + "/level"
    op.clock.advance(timedelta(seconds=1))
    browser.submit(decision="another")
    op.clock.advance(timedelta(seconds=1))
    browser.submit(username=high.username, password=high.password)
    assert browser.at == base + "/consent"


@pytest.mark.parametrize("stage", ["sign_in", "totp", "recovery_code", "enrol", "account"])
def test_who_is_asked_may_go_back_to_the_portal_from_every_proof(journeys: Journeys, op: Provider, stage: str) -> None:
    """RFC 6749 §4.1.2.1: access_denied. The request is over, and the session, if there is one, is as it was."""
    browser = journeys.pages[stage]()
    assert browser.page is not None
    assert '<button class="link" type="submit" id="leave" name="decision" value="leave">' in browser.page.text
    base, session = base_of(browser), browser.cookies.get("motcua-session")
    forged = browser.submit(decision="leave", csrf_token="x" * 43)
    assert (forged.status, browser.at.startswith(base)) == (403, True)
    left = browser.submit(decision="leave")
    assert left.parameters["error"] == "access_denied"
    assert {"state", "iss"} <= left.parameters.keys()
    assert browser.cookies.get("motcua-session") == session
    assert browser.send("GET", base + "/sign-in").status == 400
    assert has_code(browser.open(journeys.plain.ask(prompt="none"))) is (stage == "account")


@pytest.mark.parametrize("stage", ["recovery_code", "enrol"])
def test_somebody_else_may_begin_from_every_second_proof(journeys: Journeys, op: Provider, stage: str) -> None:
    """What the first person had begun to set up is not the second person's."""
    browser, binh = journeys.pages[stage](), op.person(second_factor=False)
    base, offered = base_of(browser), journeys.offered_secret(browser)
    op.clock.advance(timedelta(seconds=1))
    browser.submit(decision="another", code="123456")
    assert browser.at == base + "/sign-in"
    op.clock.advance(timedelta(seconds=1))
    browser.submit(username=binh.username, password=binh.password)
    assert browser.at == base + "/enrol"
    assert journeys.offered_secret(browser) not in {"", offered}


def test_where_no_portal_asks_no_page_leads_back_to_one(op: Provider) -> None:
    """A sign-in for one's own page; the control is each page above."""
    browser = Browser(op)
    page = browser.open("/sign-in")
    assert browser.at.endswith("/sign-in")
    assert 'name="decision"' not in page.text


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

"""A session belongs to one person in one browser, changes its name with each proof, and ends when it is ended."""

from __future__ import annotations

from datetime import timedelta

import pytest

from idp.sessions.model import NoSuchSession
from tests.support.journeys import LEVEL_OF_TWO_FACTORS, SAME_ORIGIN, STEP, Journeys, is_signed_in, session_of
from tests.support.provider import OPERATOR, Browser, Provider, claims_of

# fixation ----------------------------------------------------------------------------------------------------------------------------------


def test_the_session_cookie_changes_with_each_proof_and_its_old_value_is_dead(journeys: Journeys, op: Provider) -> None:
    """ASVS 7.2.4: whoever knew the session before a proof does not know it after."""
    person = op.person()
    browser = journeys.at_totp(person)
    after_password = session_of(browser)
    browser.submit(code=person.code(op.clock))
    after_code = session_of(browser)
    assert after_password != after_code
    assert not is_signed_in(op, after_password)
    assert is_signed_in(op, after_code)

    op.clock.advance(STEP)
    browser.open(journeys.plain.ask(prompt="login"))
    browser.submit(username=person.username, password=person.password)
    after_login_anew = session_of(browser)
    assert after_login_anew not in {after_password, after_code}
    assert not is_signed_in(op, after_code)
    assert is_signed_in(op, after_login_anew)


def test_a_session_cookie_planted_before_the_sign_in_is_never_taken_over(journeys: Journeys, op: Provider) -> None:
    """A value that somebody else chose does not become a session, nor does somebody else's session become mine."""
    mallory, alice = op.person(second_factor=False), op.person(second_factor=False)
    mallorys = session_of(journeys.signed_in(mallory))
    for planted in ("mos_" + "a" * 43, mallorys or ""):
        op.clock.advance(timedelta(seconds=1))
        browser = Browser(op, {"motcua-session": planted})
        browser.open(journeys.plain.ask(prompt="login"))
        browser.submit(username=alice.username, password=alice.password)
        assert session_of(browser) != planted
        assert not is_signed_in(op, planted)


def test_the_flow_of_a_stranger_does_not_lead_into_the_session_of_who_signs_in_with_it(journeys: Journeys, op: Provider) -> None:
    """Mallory knows the browser's cookie and the address of the flow that alice signed in with, and stays anonymous."""
    alice = op.person(second_factor=False)
    mallory = journeys.at_sign_in()
    victim = Browser(op, dict(mallory.cookies))
    victim.open(mallory.at)
    victim.submit(username=alice.username, password=alice.password)
    assert victim.at.endswith("/consent")

    interaction = mallory.at.removesuffix("/sign-in")
    for page in ("", "/consent", "/totp", "/account", "/level"):
        answered = mallory.open(interaction + page)
        assert mallory.at.endswith("/sign-in")
        assert alice.name not in answered.text


def test_any_change_to_the_cookie_makes_the_browser_anonymous(journeys: Journeys, op: Provider) -> None:
    """Nothing of the value can be guessed at or left out."""
    cookie = session_of(journeys.signed_in()) or ""
    changed = [cookie[:-1], cookie + "A", cookie + "=", cookie.upper(), cookie.swapcase(), "mos_", '"' + cookie + '"', "%6D" + cookie[1:]]
    changed += [cookie[:place] + ("A" if cookie[place] != "A" else "B") + cookie[place + 1 :] for place in range(0, len(cookie), 5)]
    assert [value for value in changed if is_signed_in(op, value)] == []
    assert is_signed_in(op, cookie)


def test_session_cookies_hold_256_bits_and_share_no_beginning(journeys: Journeys) -> None:
    """ASVS 7.2.3."""
    person = journeys.op.person(second_factor=False)
    values = [session_of(journeys.signed_in(person)) or "" for _ in range(6)]
    assert {len(value) for value in values} == {len("mos_") + 43}
    assert len({value[4:8] for value in values}) == 6


# one browser, one account ------------------------------------------------------------------------------------------------------------------


def test_signing_in_as_somebody_else_begins_another_session_and_ends_the_first(journeys: Journeys, op: Provider) -> None:
    """After prompt=login, mallory's codes carry mallory's sub and a sid of their own; alice's session is over."""
    alice, mallory = op.person(second_factor=False), op.person(second_factor=False)
    browser = journeys.signed_in(alice)
    first = claims_of(journeys.plain.redeem(journeys.plain.code_for(browser, alice)).json["id_token"])
    alices = session_of(browser)
    op.clock.advance(timedelta(seconds=1))
    second = claims_of(journeys.plain.redeem(journeys.plain.code_for(browser, mallory, prompt="login")).json["id_token"])

    assert second["sub"] != first["sub"]
    assert second["sid"] != first["sid"]
    assert session_of(browser) != alices
    assert not is_signed_in(op, alices)


def test_turning_back_at_prompt_login_leaves_the_session_as_it_was(journeys: Journeys, op: Provider) -> None:
    """Asking for a fresh sign-in ends nothing by itself, and is not met by the old one."""
    alice = op.person(second_factor=False)
    browser = journeys.signed_in(alice)
    before = session_of(browser)
    op.clock.advance(timedelta(seconds=1))
    browser.open(journeys.plain.ask(prompt="login"))
    pending = browser.at
    assert pending.endswith("/sign-in")
    assert session_of(browser) == before
    assert "code" in browser.open(journeys.plain.ask()).parameters
    browser.open(pending.removesuffix("/sign-in"))
    assert browser.at == pending


def test_a_wrong_password_as_somebody_else_changes_nothing(journeys: Journeys, op: Provider) -> None:
    alice, mallory = op.person(second_factor=False), op.person(second_factor=False)
    browser = journeys.signed_in(alice)
    before = session_of(browser)
    op.clock.advance(timedelta(seconds=1))
    browser.open(journeys.plain.ask(prompt="login"))
    browser.submit(username=mallory.username, password="not the password")
    assert session_of(browser) == before
    assert "code" in browser.open(journeys.plain.ask()).parameters


def test_another_account_chosen_counts_only_once_it_has_proved_itself(journeys: Journeys, op: Provider) -> None:
    """OIDC Core §3.1.2.1 select_account: "another" asks for a sign-in, and whoever signs in is who the code is about."""
    alice, binh = op.person(second_factor=False), op.person(second_factor=False)
    browser = journeys.signed_in(alice)
    alices = claims_of(journeys.plain.redeem(browser.open(journeys.plain.ask()).parameters["code"]).json["id_token"])["sub"]
    op.clock.advance(timedelta(seconds=1))
    browser.open(journeys.plain.ask(prompt="select_account"))
    op.clock.advance(timedelta(seconds=1))
    browser.submit(decision="another")
    assert browser.at.endswith("/sign-in")
    code = browser.sign_in(binh).parameters["code"]
    assert claims_of(journeys.plain.redeem(code).json["id_token"])["sub"] != alices


def test_a_step_up_keeps_the_session(journeys: Journeys, op: Provider) -> None:
    """Design §5: only what is missing is asked for; the portals see the same sid."""
    person = op.person()
    browser = journeys.signed_in(person)
    before = claims_of(journeys.plain.redeem(browser.open(journeys.plain.ask()).parameters["code"]).json["id_token"])
    browser.open(journeys.plain.ask(acr_values=LEVEL_OF_TWO_FACTORS))
    assert browser.at.endswith("/totp")
    after = claims_of(journeys.plain.redeem(browser.sign_in(person).parameters["code"]).json["id_token"])
    assert after["sid"] == before["sid"]
    assert (before["aal"], after["aal"]) == (1, 2)
    assert after["auth_time"] == before["auth_time"]


# hints ---------------------------------------------------------------------------------------------------------------------------------------


def test_a_hint_of_somebody_else_never_gives_out_whoever_is_signed_in(journeys: Journeys, op: Provider) -> None:
    """Alice is signed in, the hint names binh: prompt=none is login_required, a page asks for binh."""
    alice, binh = op.person(second_factor=False), op.person(second_factor=False)
    binhs = journeys.plain.redeem(journeys.plain.code_for(Browser(op), binh)).json["id_token"]
    browser = journeys.signed_in(alice)
    assert browser.open(journeys.plain.ask(prompt="none", id_token_hint=binhs)).parameters["error"] == "login_required"
    assert "code" in browser.open(journeys.plain.ask(prompt="none")).parameters

    op.clock.advance(timedelta(seconds=1))
    page = browser.open(journeys.plain.ask(id_token_hint=binhs))
    assert browser.at.endswith("/sign-in")
    assert binh.name not in page.text
    assert binh.username not in page.text
    assert browser.sign_in(alice).parameters["error"] == "login_required"


# the person's own page -----------------------------------------------------------------------------------------------------------------------


def test_ending_one_of_my_sessions_leaves_the_others(journeys: Journeys, op: Provider) -> None:
    """ASVS 7.5.2."""
    person = op.person(second_factor=False)
    first, second, third = (journeys.signed_in(person) for _ in range(3))
    third.open("/")
    ended = third.send("POST", "/sessions/end", third.form()[1], **{"Sec-Fetch-Site": "same-origin"})
    assert ended.status == 200
    alive = [is_signed_in(op, session_of(each)) for each in (first, second, third)]
    assert alive.count(True) == 2
    assert alive[2]


@pytest.mark.parametrize("target", ["/sessions/end", "/consents/withdraw"])
def test_what_is_somebody_elses_does_not_exist_for_me(journeys: Journeys, op: Provider, target: str) -> None:
    """A foreign id, an unknown one and nonsense are all the same 404, and end nothing."""
    binh = op.person(second_factor=False)
    binhs = journeys.signed_in(binh)
    session_id = op.rooms.sessions.list_for(binh.account_id)[0].id
    consent_id = op.rooms.grants.consents(binh.account_id)[0].id
    mine = journeys.at_home()
    proof = mine.form()[1]["csrf_token"]
    answers = [
        mine.send("POST", target, {"csrf_token": proof, "subject": subject}, **{"Sec-Fetch-Site": "same-origin"})
        for subject in (str(session_id), str(consent_id), "018f0000-0000-7000-8000-000000000000", "", "x", "{" + str(session_id) + "}", "٣" * 32)
    ]
    assert {answered.status for answered in answers} == {404}
    assert is_signed_in(op, session_of(binhs))
    assert len(op.rooms.grants.consents(binh.account_id)) == 1


def test_an_end_in_ones_own_name_reaches_only_ones_own_session(journeys: Journeys, op: Provider) -> None:
    """ASVS 7.5.2: the statement itself asks whose it is; an operator's end asks nobody."""
    mine, others = op.person(second_factor=False), op.person(second_factor=False)
    browsers = [journeys.signed_in(each) for each in (mine, others)]
    (my_session,), (other_session,) = (op.rooms.sessions.list_for(each.account_id) for each in (mine, others))
    with pytest.raises(NoSuchSession):
        op.rooms.sessions.end(other_session.id, "signed_out", OPERATOR, account_id=mine.account_id)
    assert [is_signed_in(op, session_of(each)) for each in browsers] == [True, True]
    op.rooms.sessions.end(my_session.id, "signed_out", OPERATOR, account_id=mine.account_id)
    assert [is_signed_in(op, session_of(each)) for each in browsers] == [False, True]
    op.rooms.sessions.end(other_session.id, "by_operator", OPERATOR, account_id=None)
    assert [is_signed_in(op, session_of(each)) for each in browsers] == [False, False]


@pytest.mark.parametrize("target", ["/sessions/end", "/consents/withdraw"])
def test_nobody_changes_anything_without_a_session(journeys: Journeys, op: Provider, target: str) -> None:
    """ASVS 8.2.1: a browser whose session ended is told so, and nothing happens."""
    filled = journeys.filled("withdraw_consent")
    browser = Browser(op, {"motcua-browser": filled.browser.cookies["motcua-browser"]})
    assert browser.send("POST", target, filled.fields, **{"Sec-Fetch-Site": "same-origin"}).status == 403
    assert filled.send(Sec_Fetch_Site="same-origin").status == 200


def test_withdrawing_a_consent_kills_what_was_issued_under_it_at_once(journeys: Journeys, op: Provider) -> None:
    """ASVS 10.7.3: access, refresh and codes under way are dead with the next request; what is allowed anew is asked anew."""
    person = op.person(second_factor=False)
    browser = Browser(op)
    bought = journeys.plain.redeem(journeys.plain.code_for(browser, person, scope="openid profile offline_access")).json
    under_way = browser.open(journeys.plain.ask(scope="openid profile offline_access")).parameters["code"]
    assert journeys.plain.userinfo(bought["access_token"]).status == 200
    browser.open("/")
    consent_id = op.rooms.grants.consents(person.account_id)[0].id
    given = {"csrf_token": browser.form()[1]["csrf_token"], "subject": str(consent_id)}
    assert browser.send("POST", "/consents/withdraw", given, **{"Sec-Fetch-Site": "same-origin"}).status == 200

    assert journeys.plain.userinfo(bought["access_token"]).status == 401
    assert journeys.plain.introspect(bought["access_token"]) == {"active": False}
    assert journeys.plain.refresh(bought["refresh_token"]).json["error"] == "invalid_grant"
    assert journeys.plain.redeem(under_way).json["error"] == "invalid_grant"
    assert browser.open(journeys.plain.ask(prompt="none")).parameters["error"] == "consent_required"
    assert browser.send("POST", "/consents/withdraw", given, **{"Sec-Fetch-Site": "same-origin"}).status == 404


# ends by themselves ------------------------------------------------------------------------------------------------------------------------------


def test_a_session_ends_when_it_was_not_seen_for_an_hour(op: Provider) -> None:
    """ASVS 7.3.1; NIST SP 800-63B-4 §2.2: idle."""
    journeys = Journeys(op)
    browser = journeys.signed_in()
    op.clock.advance(timedelta(minutes=59))
    assert "code" in browser.open(journeys.plain.ask(prompt="none")).parameters
    op.clock.advance(timedelta(minutes=59))
    assert "code" in browser.open(journeys.plain.ask(prompt="none")).parameters
    op.clock.advance(timedelta(minutes=61))
    assert browser.open(journeys.plain.ask(prompt="none")).parameters["error"] == "login_required"


def test_a_session_ends_after_twelve_hours_however_often_it_is_seen(op: Provider) -> None:
    """ASVS 7.3.2: overall."""
    journeys = Journeys(op)
    browser = journeys.signed_in()
    for _ in range(15):
        op.clock.advance(timedelta(minutes=47))
        assert "code" in browser.open(journeys.plain.ask(prompt="none")).parameters
    op.clock.advance(timedelta(minutes=20))
    assert browser.open(journeys.plain.ask(prompt="none")).parameters["error"] == "login_required"


def test_a_lock_on_the_account_ends_every_session_at_once_and_unlocking_brings_none_back(journeys: Journeys, op: Provider) -> None:
    """ASVS 7.4.2; law 8."""
    person = op.person(second_factor=False)
    browsers = [journeys.signed_in(person), journeys.signed_in(person)]
    op.rooms.accounts.lock(person.account_id, reason="lost card", legal_basis="Decree 69/2024 Art. 14", origin=OPERATOR)
    assert [is_signed_in(op, session_of(browser)) for browser in browsers] == [False, False]
    op.clock.advance(timedelta(seconds=1))
    op.rooms.accounts.unlock(person.account_id, origin=OPERATOR)
    assert [is_signed_in(op, session_of(browser)) for browser in browsers] == [False, False]
    op.clock.advance(timedelta(seconds=1))
    assert "code" in browsers[0].sign_in(person, browsers[0].open(journeys.plain.ask())).parameters


# changes on the own page (ASVS 7.5.2) ------------------------------------------------------------------------------------------------------


def ended_by(browser: Browser) -> str:
    """Press the button that ends the other session, as far as it gets; return where the browser is then."""
    browser.open("/")
    browser.submit()
    return browser.at


def test_who_proved_nothing_for_long_proves_it_again_before_ending_a_session(journeys: Journeys, op: Provider) -> None:
    person = op.person(second_factor=False)
    other, browser = journeys.signed_in(person), journeys.signed_in(person)
    op.clock.advance(timedelta(minutes=11))
    assert ended_by(browser).endswith("/sign-in")
    assert is_signed_in(op, session_of(other))
    browser.submit(username=person.username, password=person.password)
    assert browser.at == "/"
    assert ended_by(browser) == "/sessions/end"
    assert not is_signed_in(op, session_of(other))


def test_a_consent_is_withdrawn_by_who_proved_not_long_ago(journeys: Journeys, op: Provider) -> None:
    person = op.person(second_factor=False)
    browser = journeys.signed_in(person)
    op.clock.advance(timedelta(minutes=11))
    browser.open("/")
    (consent,) = op.rooms.grants.consents(person.account_id)
    fields = browser.form()[1] | {"subject": str(consent.id)}
    asked = browser.send("POST", "/consents/withdraw", fields, **SAME_ORIGIN)
    assert asked.status == 303
    assert len(op.rooms.grants.consents(person.account_id)) == 1
    browser.open(asked.location)
    browser.submit(username=person.username, password=person.password)
    assert browser.at == "/"
    assert browser.send("POST", "/consents/withdraw", fields, **SAME_ORIGIN).status == 200
    assert op.rooms.grants.consents(person.account_id) == []

"""A session belongs to one person in one browser, changes its name with each proof, and ends when it is ended."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from idp.sessions.model import NoSuchSession
from tests.support.journeys import LEVEL_OF_TWO_FACTORS, STEP, Journeys, session_of
from tests.support.provider import OPERATOR, Browser, Person, Portal, Provider, claims_of


def is_signed_in(op: Provider, cookie: str | None, browser_cookie: str = "") -> bool:
    browser = Browser(op, {"motcua-session": cookie or "", "motcua-browser": browser_cookie})
    shown = browser.open("/").text
    return 'action="/consents/withdraw"' in shown or 'id="sign-out"' in shown


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


# ending --------------------------------------------------------------------------------------------------------------------------------------


def test_after_signing_out_the_cookie_is_worth_nothing(journeys: Journeys, op: Provider) -> None:
    """The value is dead wherever it is replayed, and the browser was told to forget it."""
    browser = journeys.signed_in()
    cookie, device = session_of(browser), dict(browser.cookies)
    browser.open("/logout")
    browser.submit(decision="sign-out")
    assert session_of(browser) is None
    assert not is_signed_in(op, cookie)
    replay = Browser(op, device)
    assert replay.open(journeys.plain.ask(prompt="none")).parameters["error"] == "login_required"


def test_staying_signed_in_changes_nothing(journeys: Journeys, op: Provider) -> None:
    """RP-Initiated Logout §2: the person decides."""
    browser = journeys.signed_in()
    browser.open("/logout")
    browser.submit(decision="stay")
    assert is_signed_in(op, session_of(browser))


def hints(journeys: Journeys, alices: Browser, alice: Person) -> dict[str, str]:
    bought = journeys.plain.redeem(journeys.plain.code_for(alices, alice)).json
    binh = journeys.op.person(second_factor=False)
    foreign = journeys.plain.redeem(journeys.plain.code_for(Browser(journeys.op), binh)).json["id_token"]
    head, body, signature = bought["id_token"].split(".")
    return {
        "own": bought["id_token"],
        "somebody else's": foreign,
        "access token": bought["access_token"],
        "unsigned": f"{head}.{body}.",
        "broken": f"{head}.{body}.{signature[:-4]}AAAA",
        "nonsense": "x",
        "none": "",
    }


@pytest.mark.parametrize("kind", ["own", "somebody else's", "access token", "unsigned", "broken", "nonsense", "none"])
def test_no_address_signs_anybody_out(journeys: Journeys, op: Provider, kind: str) -> None:
    """ASVS 10.6.2: whatever a link holds, by GET or by a cross-site POST, the person is asked first."""
    alice = op.person(second_factor=False)
    browser = journeys.signed_in(alice)
    hint = hints(journeys, browser, alice)[kind]
    asked = {"id_token_hint": hint, "post_logout_redirect_uri": "https://evil.example/", "state": "s"}
    for given in ({"id_token_hint": hint}, asked, {"client_id": journeys.plain.client_id, "id_token_hint": hint}):
        assert browser.send("GET", "/logout?" + urlencode(given)).status in {200, 400}
        sent = Browser(op).send("POST", "/logout", given, **{"Sec-Fetch-Site": "cross-site"})
        assert sent.status in {303, 400}
        assert "id_token_hint" not in (sent.header("location") or ""), "an ID token is in no address of ours (ASVS 10.1.1)"
        assert "evil.example" not in (sent.header("location") or "") or sent.location.startswith("/logout?")
        confirmed = browser.send("POST", "/logout/confirm", {"decision": "sign-out"}, **{"Sec-Fetch-Site": "cross-site"})
        assert confirmed.status == 403
    assert is_signed_in(op, session_of(browser))


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/bye",
        "{registered}?next=https://evil.example",
        "{registered}/",
        "{registered}#x",
        "{registered}/../x",
        "{registered}%2f",
        "HTTPS{rest}",
        "https://{host}@evil.example/bye",
        "//{host}/bye",
        "javascript:alert(1)",
        "https://{host}.evil.example/bye",
        "{redirect_uri}",
        " {registered}",
    ],
)
def test_the_way_back_after_signing_out_is_a_registered_one_to_the_letter(journeys: Journeys, op: Provider, address: str) -> None:
    """RP-Initiated Logout §3.1."""
    portal = journeys.plain
    registered = str(portal.declaration["post_logout_redirect_uris"][0])
    target = address.format(
        registered=registered, host=f"{portal.client_id}.example", redirect_uri=portal.redirect_uri, rest=registered.removeprefix("https")
    )
    for browser in (Browser(op), journeys.signed_in()):
        asked = urlencode({"client_id": portal.client_id, "post_logout_redirect_uri": target})
        answered = browser.send("GET", "/logout?" + asked)
        assert answered.status == 400
        assert answered.header("location") is None
        assert answered.header("refresh") is None
        assert 'href="' + target not in answered.text
        filled = browser.open("/logout")
        if filled.status == 200 and "csrf_token" in filled.text:
            fields = browser.form()[1] | {"decision": "stay"}
            tampered = browser.send("POST", "/logout/confirm?" + asked, fields, **{"Sec-Fetch-Site": "same-origin"})
            assert tampered.status == 400
            assert tampered.header("location") is None


def test_the_way_back_carries_the_state_and_nothing_else(journeys: Journeys, op: Provider) -> None:
    """RP-Initiated Logout §3: `state` goes back unaltered, percent-encoded, and smuggles nothing in."""
    portal: Portal = journeys.plain
    registered = str(portal.declaration["post_logout_redirect_uris"][0])
    asked = {"client_id": portal.client_id, "post_logout_redirect_uri": registered, "state": "a&code=1#x\r\nSet-Cookie: y=đ"}
    answered = Browser(op).send("GET", "/logout?" + urlencode(asked))
    assert answered.status == 303
    assert answered.location == registered + "?" + urlencode({"state": asked["state"]})
    assert answered.parameters == {"state": asked["state"]}

    browser = journeys.signed_in()
    browser.open("/logout?" + urlencode(asked))
    page = browser.submit(decision="sign-out")
    assert page.status == 200
    assert registered in page.text
    assert session_of(browser) is None


def test_a_hint_is_worth_a_client_id_and_must_not_contradict_one(journeys: Journeys, op: Provider) -> None:
    """RP-Initiated Logout §2: the hint's audience is the client; another `client_id` beside it is refused."""
    alice = op.person(second_factor=False)
    browser = journeys.signed_in(alice)
    hint = hints(journeys, browser, alice)["own"]
    registered = str(journeys.plain.declaration["post_logout_redirect_uris"][0])
    good = {"id_token_hint": hint, "post_logout_redirect_uri": registered}
    assert browser.send("GET", "/logout?" + urlencode(good)).status == 200
    assert browser.send("GET", "/logout?" + urlencode(good | {"client_id": journeys.strong.client_id})).status == 400
    assert browser.send("GET", "/logout?" + urlencode(good) + "&state=1&state=2").status == 400
    other = {"id_token_hint": hint, "post_logout_redirect_uri": f"https://{journeys.strong.client_id}.example/bye"}
    assert browser.send("GET", "/logout?" + urlencode(other)).status == 400


def test_a_dead_client_leads_nobody_back(journeys: Journeys, op: Provider) -> None:
    """Disabled, or past the end of a legacy client, it is no address to go to, not even if it died while the page was read."""
    until = (op.clock.now() + timedelta(days=2)).date().isoformat()
    ending = op.client("ending", profile="legacy", legacy_until=until, token_endpoint_auth_method="client_secret_post")
    disabled = op.client("disabled")
    for portal in (ending, disabled):
        asked = {"client_id": portal.client_id, "post_logout_redirect_uri": f"https://{portal.client_id}.example/bye"}
        assert Browser(op).send("GET", "/logout?" + urlencode(asked)).status == 303
        browser = journeys.signed_in()
        browser.open("/logout?" + urlencode(asked))
        told = browser.submit(decision="sign-out")
        assert f"{portal.client_id}.example/bye" in told.text
        if portal is disabled:
            op.rooms.clients.disable("disabled", "incident", origin=OPERATOR)
        else:
            op.clock.advance(timedelta(days=4))
        again = browser.send("GET", browser.at)
        assert again.status == 200
        assert f"{portal.client_id}.example" not in again.text + str(again.headers)
        refused = Browser(op).send("GET", "/logout?" + urlencode(asked))
        assert refused.status == 400
        assert refused.header("location") is None
        named = journeys.signed_in().send("GET", "/logout?" + urlencode({"client_id": portal.client_id}))
        assert named.status == 200
        assert f"{portal.client_id}.example" not in named.text


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

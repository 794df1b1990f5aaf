"""Signing out: only the person does it, what it ends is dead, and the way back is a registered one (RP-Initiated Logout)."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from tests.support.journeys import Journeys, is_signed_in, session_of
from tests.support.provider import OPERATOR, Browser, Person, Portal, Provider


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


def test_an_address_of_no_sign_out_says_of_nobody_signed_in_that_they_are_out(journeys: Journeys, op: Provider) -> None:
    """On a shared machine somebody would walk away. The control: a browser in which nobody is signed in."""
    browser, stranger = journeys.signed_in(), Browser(op)
    browser.open("/signed-out/" + "x" * 43)
    assert browser.at == "/"
    assert is_signed_in(op, session_of(browser))
    assert stranger.open("/signed-out/" + "x" * 43).status == 200
    assert stranger.at.startswith("/signed-out/")


def test_staying_signed_in_changes_nothing(journeys: Journeys, op: Provider) -> None:
    """RP-Initiated Logout §2: the person decides. Who stays is not led to the page on which the portal says that all is over."""
    browser, portal = journeys.signed_in(), journeys.plain
    browser.open("/logout")
    browser.submit(decision="stay")
    assert is_signed_in(op, session_of(browser))
    browser.open("/logout?" + urlencode({"client_id": portal.client_id, "post_logout_redirect_uri": portal.declaration["post_logout_redirect_uris"][0]}))
    answered = browser.submit(decision="stay")
    assert (answered.status, answered.header("location"), answered.header("refresh")) == (200, None, None)
    assert "Bạn vẫn đang đăng nhập ở Một Cửa" in answered.text
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

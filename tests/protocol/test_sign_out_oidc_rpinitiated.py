"""What the pages of a sign-out say of the portals that a session reached (OIDC RP-Initiated Logout §2, Back-Channel Logout §2)."""

from __future__ import annotations

import pytest

from tests.support.provider import Browser, Portal, Provider


@pytest.fixture(scope="module")
def told(op: Provider) -> Portal:
    return op.client("told", client_name="Cổng được báo", backchannel_logout_uri="https://told.test/backchannel")


@pytest.fixture(scope="module")
def untold(op: Provider) -> Portal:
    return op.client("untold", client_name="Cổng không báo được")


def pages_of_a_sign_out(op: Provider, *portals: Portal, asked_by: Portal | None = None) -> tuple[str, str]:
    """Return the page that asks and the page that says it is done, in English, for a session that reached `portals`."""
    person, browser = op.person(second_factor=False), Browser(op)
    for portal in portals:
        portal.code_for(browser, person)
    asks = browser.open("/logout?ui_locales=en" + (f"&client_id={asked_by.client_id}" if asked_by else "")).text
    done = browser.submit(decision="sign-out").text
    assert browser.at.startswith("/signed-out/")
    return asks, done


def test_a_portal_that_cannot_be_told_is_listed_on_both_pages(op: Provider, told: Portal, untold: Portal) -> None:
    """A portal need not register `backchannel_logout_uri`; whoever used it has to know that it was not told."""
    asks, done = pages_of_a_sign_out(op, told, untold)
    for page in (asks, done):
        assert "Cổng được báo" in page
        assert "Cổng không báo được" in page
    assert asks.count("cannot be told: sign out there too") == 1
    assert done.count("Cannot be told") == 1
    assert "They are all told" not in asks
    assert "We are telling the portals it had reached" in done


def test_a_session_that_reached_only_untold_portals_did_reach_them(op: Provider, untold: Portal) -> None:
    _, done = pages_of_a_sign_out(op, untold)
    assert "It had reached no portal" not in done
    assert "You are signed out of" not in done
    assert "Not every portal it had reached can be told" in done
    assert done.count("Cannot be told") == done.count("A portal cannot be told. On a computer that others use") == 1


def test_the_portal_at_which_the_sign_out_was_begun_is_not_one_to_sign_out_of_too(op: Provider, told: Portal, untold: Portal) -> None:
    """Whoever follows RP-Initiated Logout §2 ended its own session first; that is not claimed, since `client_id` alone proves nothing."""
    asks, done = pages_of_a_sign_out(op, told, untold, asked_by=untold)
    assert "cannot be told" not in (asks + done).lower()
    assert "They are all told" not in asks
    assert "You are signed out of" not in done
    assert done.count("Asked for it") == done.count("we cannot see whether it did") == 1
    asks, done = pages_of_a_sign_out(op, told, untold, asked_by=told)
    assert asks.count("cannot be told: sign out there too") == done.count("Cannot be told") == 1
    assert "Asked for it" not in done


def test_portals_that_can_all_be_told_are_all_told(op: Provider, told: Portal) -> None:
    asks, done = pages_of_a_sign_out(op, told)
    assert "They are all told" in asks
    assert "cannot be told" not in (asks + done).lower()


def test_of_a_session_that_is_not_known_nothing_is_claimed(op: Provider) -> None:
    """Whoever comes without a session may have had one that reached portals."""
    for target in ("/logout?lang=en", "/signed-out/" + "x" * 43 + "?lang=en"):
        page = Browser(op).open(target).text
        assert "You are signed out" in page
        assert "reached no portal" not in page


@pytest.mark.parametrize(("languages", "status"), [("😀" * 256, 303), ("😀" * 257, 400), ("ạ" * 4000, 400), ("vi en fr", 303)])
def test_what_a_portal_has_carried_to_the_confirmation_fits_in_its_address(
    op: Provider, told: Portal, languages: str, status: int
) -> None:
    """RP-Initiated Logout §2: a form may hold more than an address; what would not fit is refused at once, not on the next page."""
    browser = Browser(op)
    told.code_for(browser, op.person(second_factor=False))
    asked = {"client_id": told.client_id, "post_logout_redirect_uri": "https://told.example/bye", "state": "😀" * 1024}
    answered = browser.send("POST", "/logout", asked | {"ui_locales": languages})
    assert answered.status == status
    if status == 303:
        assert 'value="sign-out"' in browser.open(answered.location).text
        stayed = browser.submit(decision="stay")
        assert stayed.status == 200
        assert "told.example/bye" not in stayed.text

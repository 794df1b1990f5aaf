"""What somebody agrees to is what their page said, by whom it named, and it is answered once (ASVS 10.7.1, 10.7.2; law 1)."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from tests.support.journeys import SAME_ORIGIN, Journeys, has_code
from tests.support.provider import OPERATOR, Browser, Person, Provider
from tests.support.races import at_once


def in_another_tab(browser: Browser, journeys: Journeys, person: Person) -> None:
    """Sign somebody else in with the same browser, and share nothing."""
    before = browser.cookies["motcua-session"]
    browser.provider.clock.advance(timedelta(seconds=1))
    tab = Browser(browser.provider, browser.cookies)
    tab.open(journeys.strong.ask(prompt="login", acr_values=None))
    tab.submit(username=person.username, password=person.password)
    assert browser.cookies["motcua-session"] != before


def test_who_signs_in_meanwhile_has_not_agreed_to_what_another_was_shown(journeys: Journeys, op: Provider) -> None:
    first, second = op.person(second_factor=False), op.person(second_factor=False)
    browser = journeys.at_consent(first)
    action, fields = browser.form()
    in_another_tab(browser, journeys, second)
    answered = browser.send("POST", action, fields | {"decision": "allow"}, **SAME_ORIGIN)
    assert not has_code(answered)
    assert answered.status == 403
    assert second.name in answered.text
    assert first.name not in answered.text
    assert op.rooms.grants.consents(second.account_id) == op.rooms.grants.consents(first.account_id) == []
    assert has_code(browser.submit(decision="allow"))


def test_an_account_that_was_not_named_was_not_chosen(journeys: Journeys, op: Provider) -> None:
    first, second = op.person(second_factor=False), op.person(second_factor=False)
    journeys.signed_in(second)
    browser = journeys.signed_in(first)
    browser.open(journeys.plain.ask(prompt="select_account"))
    action, fields = browser.form()
    in_another_tab(browser, journeys, second)
    answered = browser.send("POST", action, fields | {"decision": "continue"}, **SAME_ORIGIN)
    assert answered.status == 403
    assert second.name in answered.text
    assert has_code(browser.submit(decision="continue"))


def test_no_more_is_shared_than_the_page_said(journeys: Journeys, op: Provider) -> None:
    """A consent withdrawn in another tab makes the page ask for more than it showed."""
    person = op.person(second_factor=False)
    browser = journeys.signed_in(person, scope="openid profile")
    browser.open(journeys.plain.ask(scope="openid profile email"))
    action, fields = browser.form()
    (consent,) = op.rooms.grants.consents(person.account_id)
    op.rooms.grants.withdraw_consent(consent.id, person.account_id, OPERATOR)
    answered = browser.send("POST", action, fields | {"decision": "allow"}, **SAME_ORIGIN)
    assert not has_code(answered)
    assert answered.status == 403
    assert op.rooms.grants.consents(person.account_id) == []
    assert has_code(browser.submit(decision="allow"))


@pytest.mark.parametrize("decisions", [("allow",) * 6, ("refuse", *["allow"] * 5)], ids=["allowed", "refused-and-allowed"])
def test_one_request_is_answered_once(journeys: Journeys, op: Provider, decisions: tuple[str, ...]) -> None:
    """Pages sent at once, and once more afterwards: one goes back to the portal, with a code or an error."""
    for _ in range(10):
        browser = journeys.at_consent()
        action, fields = browser.form()
        tabs = [Browser(op, dict(browser.cookies)) for _ in decisions]

        forms = [fields | {"decision": decision} for decision in decisions]
        answers = at_once([partial(tab.send, "POST", action, form, **SAME_ORIGIN) for tab, form in zip(tabs, forms, strict=True)])
        answers.append(tabs[0].send("POST", action, fields | {"decision": "allow"}, **SAME_ORIGIN))
        away = [each for each in answers if each.status == 303 and each.location.startswith(journeys.plain.redirect_uri)]
        assert len(away) == 1, [(each.status, each.header("location")) for each in answers]
        assert {each.status for each in answers} <= {303, 400}

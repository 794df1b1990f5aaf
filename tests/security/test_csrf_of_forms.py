"""Nothing is changed by a form that another site, another browser or another page made (ASVS 3.5.1)."""

from __future__ import annotations

import pytest

from tests.support.journeys import FOR_PORTALS, FORMS, Filled, Journeys, rules_of
from tests.support.provider import Browser, Provider

FOREIGN_HEADERS = (
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
    {"Sec_Fetch_Site": "none"},
    {"Sec_Fetch_Site": "SAME-ORIGIN"},
    {"Sec_Fetch_Site": "same-origin", "Origin": "https://evil.example"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:8001"},
    {"Origin": "http://localhost:8000.evil.example"},
    {"Origin": "https://localhost:8000"},
    {"Origin": "http://evil.localhost:8000"},
)


def test_every_route_that_takes_a_form_is_among_those_tested_here(op: Provider) -> None:
    """A new form has to be added to `FORMS`, or this fails."""
    assert {rule.endpoint for rule in rules_of(op) if "POST" in (rule.methods or ())} == {*FORMS, *FOR_PORTALS}


@pytest.mark.parametrize("endpoint", FORMS)
def test_a_form_is_refused_unless_our_own_page_was_sent_by_its_own_browser(journeys: Journeys, endpoint: str) -> None:
    """Each forgery is refused and changes nothing: the same form, sent by its own page at last, does what it is for."""
    filled = journeys.filled(endpoint)
    stranger = journeys.at("/activate").form()[1]["csrf_token"]
    other_page = _of_another_page(filled)
    forged = [
        filled.send({name: value for name, value in filled.fields.items() if name != "csrf_token"}, Sec_Fetch_Site="same-origin"),
        *[
            filled.send(filled.fields | {"csrf_token": token}, Sec_Fetch_Site="same-origin")
            for token in ("", "x", stranger, other_page, filled.fields["csrf_token"][:-1], filled.fields["csrf_token"] + "=", "đ")
        ],
        *[filled.send(None, **headers) for headers in FOREIGN_HEADERS],
    ]
    assert {answered.status for answered in forged} == {403}
    assert not [answered for answered in forged if answered.header("location")]

    done = filled.send(Sec_Fetch_Site="same-origin")
    assert done.status in {200, 303}
    assert 'class="govuk-error-summary"' not in done.text


def _of_another_page(filled: Filled) -> str:
    """Return the proof that this same browser was given on a page with another purpose."""
    elsewhere = Browser(filled.browser.provider, dict(filled.browser.cookies))
    target = "/" if filled.action.startswith("/activate") else "/activate"
    page = elsewhere.open(target).text
    if 'name="csrf_token"' not in page:
        elsewhere.open("/activate" if filled.action != "/activate" else "/logout")
        if filled.action == "/activate":
            return ""
    return elsewhere.form()[1]["csrf_token"]


def test_a_form_without_a_browser_cookie_is_refused(journeys: Journeys) -> None:
    """The proof is bound to the browser's cookie: a browser that sends none proves nothing."""
    filled = journeys.filled("activate")
    nobody = Filled(Browser(journeys.op), filled.action, filled.fields)
    assert nobody.send(Sec_Fetch_Site="same-origin").status == 403
    assert filled.send(Sec_Fetch_Site="same-origin").status == 303


@pytest.mark.parametrize("headers", [{"Origin": "http://localhost:8000"}, {"Origin": "null"}, {}])
def test_a_browser_that_tells_no_sec_fetch_site_is_judged_by_origin_and_proof(journeys: Journeys, headers: dict[str, str]) -> None:
    """Old browsers: `null` is what our own pages send under `no-referrer`."""
    assert journeys.filled("sign_in").send(None, **headers).status == 303


def test_no_page_of_an_interaction_changes_anything_by_get(journeys: Journeys) -> None:
    """The GET variants of what forms do show a page, whatever the address says."""
    filled = journeys.filled("consent")
    answered = filled.browser.send("GET", filled.action + "?decision=allow&csrf_token=" + filled.fields["csrf_token"])
    assert answered.status == 200
    assert 'value="allow"' in answered.text
    for path in ("/sessions/end", "/consents/withdraw", "/logout/confirm"):
        assert filled.browser.send("GET", path).status == 405


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_method_cannot_be_overridden(journeys: Journeys, header: str) -> None:
    """A GET stays a GET."""
    filled = journeys.filled("withdraw_consent")
    assert filled.browser.send("GET", "/consents/withdraw", None, **{header: "POST"}).status == 405
    assert filled.browser.send("GET", "/?_method=POST", None, **{header: "POST"}).status == 200

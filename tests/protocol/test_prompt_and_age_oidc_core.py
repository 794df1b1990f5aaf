"""`prompt` and `max_age`: when a page is shown, and when none may be (OIDC Core §3.1.2.1, §3.1.2.3, §3.1.2.6)."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.support.asking import answer_of, later, page_of, seconds_now, signed_in
from tests.support.provider import Browser, Person, Portal, Provider, claims_of


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person()


@pytest.fixture
def home(op: Provider, portal: Portal, citizen: Person) -> Browser:
    """A browser in which the citizen signed in a moment ago, and allowed the portal what it asks for."""
    return signed_in(op, portal, citizen)


def test_prompt_none_answers_at_once_for_somebody_signed_in(portal: Portal, home: Browser) -> None:
    assert "code" in answer_of(portal, home, prompt="none")


def test_prompt_none_without_a_session_is_login_required(portal: Portal, browser: Browser) -> None:
    said = answer_of(portal, browser, prompt="none")
    assert said["error"] == "login_required"
    assert said["state"] == "the-state"
    assert said["iss"] == "http://localhost:8000"


def test_prompt_none_without_consent_is_consent_required(portal: Portal, home: Browser) -> None:
    assert answer_of(portal, home, prompt="none", scope="openid profile address")["error"] == "consent_required"
    assert answer_of(portal, home, prompt="none", claims='{"userinfo":{"phone_number":null}}')["error"] == "consent_required"


def test_prompt_none_with_a_lapsed_session_is_login_required(op: Provider, portal: Portal, home: Browser) -> None:
    later(op, hours=2)
    assert answer_of(portal, home, prompt="none")["error"] == "login_required"


def test_prompt_none_by_post_is_answered_without_a_page(op: Provider, portal: Portal, home: Browser) -> None:
    """A cross-site POST carries no cookie: it is kept, and answered at the GET that follows (design §4)."""
    for browser, expected in ((home, "code"), (Browser(op), "error")):
        kept = op.call("POST", "/authorize", parse_qsl(urlsplit(portal.ask(prompt="none")).query))
        assert kept.location.startswith("/i/")
        answered = browser._follow(kept)
        assert answered.status == 303
        assert expected in answered.parameters
        assert answered.parameters["state"] == "the-state"


def test_prompt_login_asks_again_and_the_new_proof_is_told(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """OIDC Core §3.1.2.1: re-authentication, with an `auth_time` that is the new one."""
    before = home.cookies["motcua-session"]
    first = claims_of(portal.redeem(portal.code_for(home, citizen)).json["id_token"])
    later(op, seconds=60)
    assert page_of(home, portal.ask(prompt="login")) == "sign-in"

    answered = home.sign_in(citizen)

    second = claims_of(portal.redeem(answered.parameters["code"]).json["id_token"])
    assert second["auth_time"] == seconds_now(op)
    assert second["auth_time"] > first["auth_time"]
    assert second["sid"] == first["sid"]
    assert home.cookies["motcua-session"] != before


def test_prompt_login_left_without_a_proof_changes_nothing(portal: Portal, home: Browser) -> None:
    """Stepping back from the page leaves the session as it was, and no way to a code."""
    assert page_of(home, portal.ask(prompt="login")) == "sign-in"
    interaction = home.at.rpartition("/")[0]
    for page in ("", "/totp", "/consent", "/account", "/level", "/enrol", "/recovery-code"):
        assert page_of(home, interaction + page) == "sign-in"
    assert "code" in answer_of(portal, home, prompt="none")


def test_prompt_login_answered_by_somebody_else_begins_another_session(op: Provider, portal: Portal, home: Browser) -> None:
    """Never one person's `sub` with another's `sid`."""
    first = claims_of(portal.redeem(answer_of(portal, home)["code"]).json["id_token"])
    other = op.person()

    home.open(portal.ask(prompt="login"))
    answered = home.sign_in(other)

    second = claims_of(portal.redeem(answered.parameters["code"]).json["id_token"])
    assert second["sub"] != first["sub"]
    assert second["sid"] != first["sid"]


def test_prompt_consent_asks_again_and_a_refusal_is_access_denied(portal: Portal, home: Browser) -> None:
    """RFC 6749 §4.1.2.1: the person's no is told as such; what was allowed before stays allowed."""
    assert page_of(home, portal.ask(prompt="consent")) == "consent"
    said = home.submit(decision="refuse").parameters
    assert said["error"] == "access_denied"
    assert said["state"] == "the-state"
    assert said["iss"] == "http://localhost:8000"
    assert "code" in answer_of(portal, home, prompt="none")

    assert page_of(home, portal.ask(prompt="consent")) == "consent"
    assert "code" in home.submit(decision="allow").parameters


def test_prompt_select_account_asks_which(portal: Portal, home: Browser) -> None:
    assert page_of(home, portal.ask(prompt="select_account")) == "account"
    assert "code" in home.submit(decision="continue").parameters


def test_prompt_select_account_leads_to_another_account(op: Provider, portal: Portal, home: Browser) -> None:
    first = claims_of(portal.redeem(answer_of(portal, home)["code"]).json["id_token"])
    other = op.person()
    home.open(portal.ask(prompt="select_account"))
    home.submit(decision="another")
    answered = home.sign_in(other)
    assert claims_of(portal.redeem(answered.parameters["code"]).json["id_token"])["sub"] != first["sub"]


def test_prompts_add_up(portal: Portal, home: Browser, citizen: Person) -> None:
    """Every value of `prompt` is honoured, whatever stands beside it."""
    assert page_of(home, portal.ask(prompt="consent login select_account")) == "account"
    home.submit(decision="continue")
    assert home.at.endswith("/sign-in")
    home.submit(username=citizen.username, password=citizen.password)
    assert home.at.endswith("/consent")
    assert "code" in home.submit(decision="allow").parameters


@pytest.mark.parametrize("form", [{}, {"decision": "perhaps"}, {"decision": ""}])
def test_a_page_answered_with_nothing_passes_no_step(portal: Portal, home: Browser, form: dict[str, str]) -> None:
    """Law 3: missing or failing input never passes a step."""
    for prompt, page in (("consent", "consent"), ("select_account", "account")):
        assert page_of(home, portal.ask(prompt=prompt)) == page
        answered = home.submit(**form)
        assert answered.status in {200, 303}
        assert "code" not in (answered.header("location") or "")


def test_max_age_is_measured_from_the_proof(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """OIDC Core §3.1.2.1: older than `max_age` is asked again; younger is not. A control on either side."""
    later(op, seconds=100)
    assert "code" in answer_of(portal, home, prompt="none", max_age="200")
    assert answer_of(portal, home, prompt="none", max_age="50")["error"] == "login_required"
    assert answer_of(portal, home, prompt="none", max_age="1")["error"] == "login_required"
    assert page_of(home, portal.ask(max_age="50")) == "sign-in"
    later(op, seconds=10)
    answered = home.sign_in(citizen)
    assert claims_of(portal.redeem(answered.parameters["code"]).json["id_token"])["auth_time"] == seconds_now(op)


def test_max_age_zero_is_like_prompt_login(op: Provider, portal: Portal, home: Browser, citizen: Person) -> None:
    """OIDC Core §3.1.2.1: `max_age=0` is equivalent to `prompt=login`; one proof is enough for it."""
    assert answer_of(portal, home, prompt="none", max_age="0")["error"] == "login_required"
    assert page_of(home, portal.ask(max_age="0")) == "sign-in"
    later(op, seconds=5)
    assert "code" in home.sign_in(citizen).parameters


def test_the_registered_default_of_max_age_counts_where_the_request_has_none(op: Provider, citizen: Person) -> None:
    """OIDC Registration §2, `default_max_age`: the parameter of the request overrides it."""
    careful = op.client("careful", default_max_age=300)
    home = signed_in(op, careful, citizen)
    assert "code" in answer_of(careful, home, prompt="none")
    later(op, seconds=301)
    assert answer_of(careful, home, prompt="none")["error"] == "login_required"
    assert "code" in answer_of(careful, home, prompt="none", max_age="3000")


def test_single_sign_on_does_not_renew_the_time_of_the_proof(op: Provider, portal: Portal, home: Browser) -> None:
    """`auth_time` is when something was proved, not when a session was used."""
    first = claims_of(portal.redeem(answer_of(portal, home)["code"]).json["id_token"])
    later(op, minutes=10)
    second = claims_of(portal.redeem(answer_of(portal, home)["code"]).json["id_token"])
    assert second["auth_time"] == first["auth_time"]
    assert second["iat"] == first["iat"] + 600

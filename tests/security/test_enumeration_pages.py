"""Nobody learns from a page whether somebody has an account, or in what state it is (ASVS 6.3.8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from idp.accounts.model import PersonDeclaration, PersonType
from idp.demo.people import synthetic_person
from idp.throttle.service import Volumes
from idp.web.door import Request
from tests.support.journeys import STEP, Filled, Journeys
from tests.support.provider import OPERATOR, Answered, Browser, Person, Provider

UNKNOWN_NUMBER = "079203999999"
WRONG_CODE = "AAAABBBBCCCCDDDDEEEEFFFF"


def pending_number(op: Provider) -> str:
    """The number of a person whose account was made, and never activated: it has no password."""
    op.people += 1
    made = synthetic_person(op.people)
    op.rooms.accounts.add(
        PersonDeclaration(
            person_type=PersonType.CITIZEN,
            personal_number=made.personal_number,
            full_name=made.full_name,
            birth_date=made.birth_date,
            sex=made.sex,
            nationality="VN",
            phone=made.phone,
            email=made.email,
            address=made.address,
        ),
        OPERATOR,
    )
    return made.personal_number


def locked(op: Provider, person: Person) -> Person:
    op.rooms.accounts.lock(person.account_id, reason="test", legal_basis="Decree 69/2024 Art. 14", origin=OPERATOR)
    return person


def stripped(answered: Answered, *typed: str) -> tuple[int, list[tuple[str, str]], str]:
    """An answer without what differs each time or was typed: nonces, proofs, references, interactions, the number."""
    policy = answered.header("content-security-policy") or ""
    text = answered.text
    for secret in (policy.partition("'nonce-")[2].partition("'")[0], *typed):
        if secret:
            text = text.replace(secret, "-")
    text = re.sub(r'(name="csrf_token" value=")[^"]*', r"\1-", text)
    text = re.sub(r"/(i|activate)/[A-Za-z0-9_-]{43}", r"/\1/-", text)
    text = re.sub(r"<code>[0-9A-Z]{10}</code>", "-", text)
    headers = [(name, re.sub(r"'nonce-[^']+'", "-", value)) for name, value in answered.headers if name.lower() != "content-length"]
    return answered.status, headers, text


def sign_in_tries(op: Provider) -> dict[str, tuple[str, str]]:
    """What a stranger types, by the state of the account behind it."""
    known, disabled = op.person(), locked(op, op.person())
    return {
        "unknown": (UNKNOWN_NUMBER, "not the password"),
        "wrong password": (known.username, "not the password"),
        "locked, wrong password": (disabled.username, "not the password"),
        "locked, right password": (disabled.username, disabled.password),
        "pending": (pending_number(op), "not the password"),
        "no number of anybody": ("000000000000", "not the password"),
        "pending, empty hash": (pending_number(op), "None"),
    }


def test_a_sign_in_that_fails_says_the_same_for_everybody(journeys: Journeys, op: Provider) -> None:
    """Status, headers, cookies and body, modulo what is fresh each time."""
    answers = {}
    for state, (number, password) in sign_in_tries(op).items():
        browser = journeys.at_sign_in()
        action, fields = browser.form()
        sent = browser.send("POST", action, fields | {"username": number, "password": password}, **{"Sec-Fetch-Site": "same-origin"})
        answers[state] = stripped(sent, number)
    assert answers["unknown"][0] == 200
    assert [state for state, answered in answers.items() if answered != answers["unknown"]] == []


def test_the_control_a_right_password_says_something_else(journeys: Journeys, op: Provider) -> None:
    assert journeys.filled("sign_in").send(Sec_Fetch_Site="same-origin").status == 303


@pytest.mark.parametrize("hint", ["known", "unknown", "pending", "locked"])
def test_a_login_hint_is_answered_the_same_for_everybody(journeys: Journeys, op: Provider, hint: str) -> None:
    """By a page, and silently."""
    number = {
        "known": lambda: op.person().username,
        "unknown": lambda: UNKNOWN_NUMBER,
        "pending": lambda: pending_number(op),
        "locked": lambda: locked(op, op.person()).username,
    }[hint]()
    page = journeys.at_sign_in(login_hint=number).page
    control = journeys.at_sign_in(login_hint="000000000000").page
    assert page is not None
    assert control is not None
    assert stripped(page, number) == stripped(control, "000000000000")
    silent = Browser(op).open(journeys.plain.ask(login_hint=number, prompt="none"))
    assert silent.parameters["error"] == "login_required"


def test_an_activation_that_fails_says_the_same_for_everybody(journeys: Journeys, op: Provider) -> None:
    """Unknown number, known number, somebody else's code, a code that is over, a locked account."""
    _, number, code = journeys.at_activate()
    disabled = op.person()
    disabled_code = op.rooms.activation.issue(disabled.account_id, by="test", origin=OPERATOR)
    locked(op, disabled)
    replaced_of = op.person()
    replaced = op.rooms.activation.issue(replaced_of.account_id, by="test", origin=OPERATOR)
    op.rooms.activation.issue(replaced_of.account_id, by="test", origin=OPERATOR)
    tries = {
        "unknown number": (UNKNOWN_NUMBER, WRONG_CODE),
        "known number": (number, WRONG_CODE),
        "somebody else's code": (op.person().username, code),
        "unknown number, good code": (UNKNOWN_NUMBER, code),
        "locked": (disabled.username, disabled_code),
        "replaced": (replaced_of.username, replaced),
    }
    answers = {}
    for state, (typed, given) in tries.items():
        browser = journeys.at("/activate")
        fields = browser.form()[1] | {"username": typed, "code": given}
        answers[state] = stripped(browser.send("POST", "/activate", fields, **{"Sec-Fetch-Site": "same-origin"}), typed, given)
    assert answers["unknown number"][0] == 200
    assert [state for state, answered in answers.items() if answered != answers["unknown number"]] == []


def test_when_guesses_run_out_it_happens_the_same_way_for_everybody(journeys: Journeys, op: Provider) -> None:
    """The sixth try is refused unchecked, after the same number of tries, with the same page and Retry-After."""
    known, disabled = op.person(), locked(op, op.person())
    walks = []
    for number in (known.username, "079203888888", disabled.username, pending_number(op)):
        browser = journeys.at_sign_in()
        action, fields = browser.form()
        typed = fields | {"username": number, "password": "not the password"}
        walks.append([stripped(browser.send("POST", action, typed, **{"Sec-Fetch-Site": "same-origin"}), number) for _ in range(7)])
    assert [status for status, _, _ in walks[0]] == [200, 200, 200, 200, 200, 429, 429]
    assert dict(walks[0][5][1])["Retry-After"] == "900"
    assert walks[1] == walks[0]
    assert walks[2] == walks[0]
    assert walks[3] == walks[0]

    browser = journeys.at_sign_in()
    refused = browser.submit(username=known.username, password=known.password)
    assert refused.status == 429, "not even a right one counts"
    op.clock.advance(timedelta(minutes=15, seconds=1))
    browser = journeys.at_sign_in()
    assert "code" in browser.sign_in(known).parameters


def test_a_flood_of_passwords_from_elsewhere_does_not_shut_out_the_person_s_own_device(journeys: Journeys, op: Provider) -> None:
    """4.2: a known device has a lane of its own."""
    person = op.person(second_factor=False)
    at_home = journeys.signed_in(person)
    for _ in range(6):
        stranger = journeys.at_sign_in()
        stranger.submit(username=person.username, password="not the password")
    assert stranger.page is not None
    assert stranger.page.status == 429
    op.clock.advance(timedelta(seconds=1))
    answered = at_home.sign_in(person, at_home.open(journeys.plain.ask(prompt="login")))
    assert "code" in answered.parameters


def test_the_code_of_an_application_has_guesses_of_its_own(journeys: Journeys, op: Provider) -> None:
    """Five, then a page with Retry-After, on every path to it; the password's guesses are untouched."""
    person = op.person()
    for tried in range(6):
        browser = journeys.at_totp(person) if tried % 2 else _at_step_up(journeys, person)
        page = browser.submit(code="000000" if person.code(op.clock) != "000000" else "000001")
        assert page.status == (200 if tried < 5 else 429)
    assert page.header("retry-after") == "900"
    refused = journeys.at_totp(person).submit(code=person.code(op.clock))
    assert refused.status == 429
    by_code = journeys.at_recovery_code(person)
    by_code.submit(code=person.recovery_codes[0])
    assert by_code.at.endswith("/consent")


def _at_step_up(journeys: Journeys, person: Person) -> Browser:
    browser = journeys.at_sign_in()
    browser.sign_in(person)
    browser.open(journeys.strong.ask())
    assert browser.at.endswith("/totp")
    return browser


# volumes by address -----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def strict(op: Provider) -> Iterator[Provider]:
    """The provider as in production: limits by address are not raised."""
    from idp.app import create_door

    rooms = replace(op.rooms, volumes=Volumes(op.rooms.ephemeral, op.clock, factor=1))
    rooms.volumes.reset()
    yield replace(op, rooms=rooms, door=create_door(op.settings, rooms))
    rooms.volumes.reset()


def _begin(journeys: Journeys, op: Provider) -> Callable[[str], Answered]:
    return lambda address: op.call("GET", journeys.plain.ask(), address=address)


def _sign_in(journeys: Journeys, op: Provider) -> Callable[[str], Answered]:
    filled: list[Filled] = []

    def send(address: str) -> Answered:
        if not filled:
            browser = journeys.at_sign_in()
            filled.append(Filled.of(browser, username="079203777777", password="not the password"))
        cookies = "; ".join(f"{name}={value}" for name, value in filled[0].browser.cookies.items())
        number = f"0792037{len(filled):05d}"
        filled.append(filled[0])
        headers = {"Cookie": cookies, "Sec-Fetch-Site": "same-origin"}
        return op.call("POST", filled[0].action, filled[0].fields | {"username": number}, headers=headers, address=address)

    return send


def _activate(journeys: Journeys, op: Provider) -> Callable[[str], Answered]:
    filled = Filled.of(journeys.at("/activate"), username=UNKNOWN_NUMBER, code=WRONG_CODE)
    cookies = "; ".join(f"{name}={value}" for name, value in filled.browser.cookies.items())
    headers = {"Cookie": cookies, "Sec-Fetch-Site": "same-origin"}
    return lambda address: op.call("POST", "/activate", filled.fields, headers=headers, address=address)


@pytest.mark.parametrize(("what", "allowed"), [(_begin, 60), (_sign_in, 20), (_activate, 5)])
def test_an_address_that_asks_for_too_much_is_told_when_to_come_back(
    journeys: Journeys, strict: Provider, what: Callable[[Journeys, Provider], Callable[[str], Answered]], allowed: int
) -> None:
    """4.2: 429 with Retry-After for that address; its neighbour, and everybody else, are served."""
    ask = what(journeys, strict)
    statuses = [ask("192.0.2.50").status for _ in range(allowed + 2)]
    assert 429 not in statuses[:allowed]
    assert statuses[allowed:] == [429, 429]
    refused = ask("192.0.2.50")
    assert 1 <= int(refused.header("retry-after") or 0) <= 60
    assert refused.header("cache-control") == "no-store"
    assert "192.0.2.50" not in refused.text
    assert ask("192.0.2.51").status != 429


def test_one_house_is_one_address_however_many_addresses_it_has(journeys: Journeys, strict: Provider) -> None:
    """4.2: an IPv6 /64 counts as one; the next one does not."""
    ask = _activate(journeys, strict)
    assert [ask(f"2001:db8:1:2::{number:x}").status for number in range(1, 7)][-1] == 429
    assert ask("2001:db8:1:3::1").status == 200


def test_a_fast_person_is_not_a_flood(journeys: Journeys, op: Provider) -> None:
    """The control: what a person does in a minute is allowed many times over."""
    person = op.person()
    for _ in range(3):
        op.clock.advance(STEP)
        browser = Browser(op)
        browser.open(journeys.strong.ask())
        assert "code" in browser.sign_in(person).parameters


def test_the_door_gives_the_address_to_whoever_counts(op: Provider) -> None:
    """The control of the controls: what is counted is the peer's address, and no header's."""
    seen: list[Request] = []
    after = op.door._after
    op.door._after = lambda request, _status: seen.append(request)
    op.call("GET", "/help", headers={"X-Forwarded-For": "192.0.2.1", "X-Real-IP": "192.0.2.2"}, address="198.51.100.1")
    op.door._after = after
    assert [request.address for request in seen] == ["198.51.100.1"]

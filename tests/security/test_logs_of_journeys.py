"""No person and no secret reaches a log, an audit body or an address in clear (law 10; ASVS 16.2.5)."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from tests.support.faults import Remote, furnish, known_to
from tests.support.journeys import Journeys
from tests.support.provider import OPERATOR, Browser, Person
from tests.support.served import Served

pytestmark = pytest.mark.xdist_group("served")

BODIES = "SELECT kind, body FROM audit_event WHERE body IS NOT NULL"
WRONG_PASSWORD = "wrong-password-that-was-typed"
WRONG_CODE = "WRNG" * 6
AGENT = "CanaryAgent/77.1"


@dataclass
class Canaries:
    """Every value that must not be found again, by what it is."""

    values: dict[str, str] = field(default_factory=dict)

    def add(self, what: str, value: str | None) -> None:
        assert value, what
        assert len(value) >= 6, what
        self.values[what] = value

    def add_person(self, op: Remote, person: Person, which: str) -> None:
        full = op.rooms.accounts.person(person.holder_id)
        self.add(which + " personal number", person.username)
        self.add(which + " password", person.password)
        self.add(which + " name", person.name)
        self.add(which + " phone", (full.phone or "")[-9:])
        self.add(which + " mail", full.email)
        if person.totp_secret:
            self.add(which + " secret of the application", person.totp_secret)

    def add_cookies(self, browser: Browser, which: str) -> None:
        for name, value in browser.cookies.items():
            if len(value) > 6:
                self.add(f"{which} cookie {name} {value[:8]}", value)

    def found_in(self, text: str) -> list[str]:
        """Return what was found: also as it would stand in JSON or percent-encoded."""
        plain = text + json.loads('"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"')
        return [what for what, value in self.values.items() if value in plain or json.dumps(value)[1:-1] in text]


@pytest.fixture(scope="module")
def served(engines: Engines, database_urls: DatabaseUrls) -> Iterator[Served]:
    node = Served(engines, database_urls, workers=1)
    node.make_keys()
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def op(served: Served) -> Iterator[Remote]:
    made = furnish(served).op
    yield made
    made.close()


@pytest.fixture(scope="module")
def journeys(op: Remote, served: Served) -> Journeys:
    made = Journeys(op)
    for portal in (made.plain, made.strong, made.checked):
        known_to(served, portal.client_id)
    return made


def lines_of(served: Served) -> list[dict[str, Any]]:
    return [json.loads(line) for line in served.log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]


def wait_for_line(served: Served, **wanted: object) -> dict[str, Any]:
    """Return the latest line with these entries; the request log writes behind the answers."""
    until = time.monotonic() + 5
    while True:
        found = [line for line in lines_of(served) if wanted.items() <= line.items()]
        if found:
            return found[-1]
        assert time.monotonic() < until, wanted
        time.sleep(0.02)


def bodies_of(op: Remote) -> str:
    with op.owner.transaction() as transaction:
        return "\n".join(f"{row.kind} {bytes(row.body).decode()}" for row in transaction.all(BODIES))


def test_whole_journeys_leave_nothing_of_a_person_and_no_secret_in_log_or_record(served: Served, op: Remote, journeys: Journeys) -> None:
    """Canaries through sign-in, second factor, recovery, consent, tokens, userinfo, logout, activation, and failures of each."""
    canaries = Canaries()
    _sign_in_fail_and_succeed(op, journeys, canaries)
    _buy_use_and_lose_tokens(op, journeys, canaries)
    _enrol_and_activate(op, journeys, canaries)
    _send_nonsense(op, journeys, canaries)
    wait_for_line(served, event="request", path="/last-of-the-journeys")

    assert len(canaries.values) > 40
    assert canaries.found_in(served.log.read_text(encoding="utf-8")) == []
    assert canaries.found_in(bodies_of(op)) == []


def _sign_in_fail_and_succeed(op: Remote, journeys: Journeys, canaries: Canaries) -> None:
    person = op.person(ial=2)
    canaries.add_person(op, person, "signing in:")
    canaries.add("wrong password", WRONG_PASSWORD)
    canaries.add("unknown number", "079203123123")
    browser = journeys.at_sign_in(login_hint=person.username, state="state-canary", nonce="nonce-canary")
    canaries.add("state", "state-canary")
    canaries.add("nonce", "nonce-canary")
    canaries.add("interaction", browser.at.split("/")[2])
    canaries.add("proof of a form", browser.form()[1]["csrf_token"])
    browser.submit(username=person.username, password=WRONG_PASSWORD)
    browser.submit(username="079203123123", password=WRONG_PASSWORD)
    browser.submit(username=person.username, password=person.password)
    canaries.add_cookies(browser, "password")
    totp = journeys.at_totp(person)
    canaries.add_cookies(totp, "totp")
    totp.submit(code=person.code(op.clock))
    canaries.add_cookies(totp, "second factor")
    for code in person.recovery_codes[:2]:
        canaries.add("recovery code " + code[:4], code)
        canaries.add("recovery code without hyphens " + code[:4], code.replace("-", ""))
    recovering = journeys.at_recovery_code(person)
    recovering.submit(code=WRONG_CODE)
    recovering.submit(code=person.recovery_codes[0])
    canaries.add("wrong code", WRONG_CODE)
    action, fields = journeys.at_sign_in().form()
    op.call("POST", action, fields | {"username": person.username, "password": person.password})


def _buy_use_and_lose_tokens(op: Remote, journeys: Journeys, canaries: Canaries) -> None:
    person, browser = op.person(second_factor=False), Browser(op)
    canaries.add_person(op, person, "portal:")
    canaries.add("client secret", journeys.plain.secret)
    code = journeys.plain.code_for(browser, person, scope="openid profile email phone identity offline_access")
    canaries.add("authorization code", code)
    bought = journeys.plain.redeem(code).json
    for name in ("access_token", "refresh_token", "id_token"):
        canaries.add(name, bought[name])
    assert journeys.plain.userinfo(bought["access_token"]).json["personal_number"] == person.username
    journeys.plain.introspect(bought["access_token"])
    refreshed = journeys.plain.refresh(bought["refresh_token"]).json
    canaries.add("second refresh token", refreshed["refresh_token"])
    journeys.plain.refresh(bought["refresh_token"])
    journeys.plain.redeem(code)
    op.call("GET", "/userinfo?access_token=" + bought["access_token"])
    op.call("GET", "/logout?id_token_hint=" + bought["id_token"])
    browser.open("/logout?id_token_hint=" + bought["id_token"])
    browser.submit(decision="sign-out")
    canaries.add("page after signing out", browser.at.split("/")[2].partition("?")[0])


def _enrol_and_activate(op: Remote, journeys: Journeys, canaries: Canaries) -> None:
    enrolling = journeys.at_enrol()
    canaries.add("offered secret", journeys.offered_secret(enrolling))
    enrolling.submit(code="000000")
    enrolling.submit(code=journeys.offered_code(enrolling))
    browser, number, code = journeys.at_activate()
    canaries.add("activation code", code)
    canaries.add("activating number", number)
    browser.submit(username=number, code=WRONG_CODE)
    browser.submit(username=number, code=code)
    canaries.add("page of an activation", browser.at.split("/")[2])
    canaries.add("new password", "chim hót trên cành bưởi")
    browser.submit(password="12345", repeat="12345")
    browser.submit(password="chim hót trên cành bưởi", repeat="chim hót trên cành bưởi")
    canaries.add("new secret", journeys.offered_secret(browser))
    browser.submit(code=journeys.offered_code(browser))


def _send_nonsense(op: Remote, journeys: Journeys, canaries: Canaries) -> None:
    canaries.add("user agent", AGENT)
    canaries.add("referer", "https://referer-canary.example/")
    headers = {"User-Agent": AGENT, "Referer": "https://referer-canary.example/"}
    op.call("GET", "/nowhere?password=" + WRONG_PASSWORD, headers=headers)
    op.call("POST", "/token", {"client_id": "x", "client_secret": WRONG_PASSWORD, "code": WRONG_CODE}, headers=headers)
    op.call("POST", "/activate", {"username": "079203123123", "code": WRONG_CODE}, headers=headers)
    op.call("POST", "/revoke", {"token": WRONG_CODE}, headers={"Authorization": journeys.plain.authorization})
    op.call("GET", "/last-of-the-journeys")


def test_a_fault_of_ours_is_logged_by_where_it_was_and_never_by_what_was_typed(served: Served, op: Remote, journeys: Journeys) -> None:
    """16.5.4: the page says a reference, the log has it with a trace; an engine's words may quote a person, and are left out."""
    person = op.person()
    filled = journeys.at_sign_in()
    action, fields = filled.form()
    with op.owner.transaction() as transaction:
        transaction.run("ALTER TABLE password RENAME TO password_away")
    try:
        page = filled.send("POST", action, fields | {"username": person.username, "password": person.password}, **{"Sec-Fetch-Site": "same-origin"})
    finally:
        with op.owner.transaction() as transaction:
            transaction.run("ALTER TABLE password_away RENAME TO password")
    assert page.status in {500, 503}
    assert not re.search(r"Traceback|psycopg|password_away|relation", page.text)
    reference = re.findall(r"<code>([0-9A-Z]{10})</code>", page.text)[0]
    wait_for_line(served, event="request", request=reference)
    told = [line for line in lines_of(served) if line.get("request") == reference and line["event"] != "request"]
    assert len(told) == 1
    canaries = Canaries()
    canaries.add_person(op, person, "fault:")
    canaries.add_cookies(filled, "fault:")
    assert canaries.found_in(served.log.read_text(encoding="utf-8")) == []
    if page.status == 500:
        assert told[0]["trace"]
        assert "value" not in told[0]


@pytest.mark.parametrize("path", ['/x","level":"critical', "/a%0d%0aevil", "/%1b[31mred", "/\u2028", "/" + "a" * 3000])
def test_nothing_in_an_address_makes_a_second_line_or_a_long_one(served: Served, path: str) -> None:
    """One JSON object a line, each field bounded."""
    before, after = len(served.log.read_text(encoding="utf-8").splitlines()), f"/after-{hashlib.sha256(path.encode()).hexdigest()}"
    served.get(quote(path, safe="/%"))
    served.get(after)
    wait_for_line(served, event="request", path=after)
    lines = served.log.read_text(encoding="utf-8").splitlines()[before:]
    assert 1 <= len(lines) <= 2
    for line in lines:
        read = json.loads(line)
        assert read["event"] == "request"
        assert "level" not in read or read["level"] != "critical"
        assert len(line) < 1024


def test_every_request_is_in_the_log_once_with_the_reference_of_its_page(served: Served) -> None:
    """16.2.1: what was asked, when, with what outcome; the reference on the page finds it."""
    status, _, body = served.get("/nowhere-at-all")
    reference = re.findall(rb"<code>([0-9A-Z]{10})</code>", body)[0].decode()
    line = wait_for_line(served, request=reference)
    assert line == {"at": line["at"], "event": "request", "request": reference, "method": "GET", "path": "/nowhere-at-all", "status": status}


def test_the_record_names_who_where_and_how_without_the_person(op: Remote, journeys: Journeys) -> None:
    """16.2.1, 16.3.1: each proof of a sign-in is recorded with method, account, client, address and request."""
    person = op.person()
    browser = journeys.at_totp(person)
    browser.submit(code=person.code(op.clock))
    with op.owner.transaction() as transaction:
        rows = transaction.all(
            "SELECT kind, account_id, client_id, session_id, body FROM audit_event "
            "WHERE account_id = %(account)s AND kind = 'sessions.method_proved' ORDER BY id",
            {"account": person.account_id},
        )
    assert [json.loads(bytes(row.body))["method"] for row in rows] == ["password", "otp"]
    for row in rows:
        body = json.loads(bytes(row.body))
        assert row.account_id == person.account_id
        assert row.client_id is not None
        assert row.session_id is not None
        assert body["address"] == "127.0.0.1"
        assert re.fullmatch(r"[0-9A-Z]{10}", body["request"])
    op.rooms.accounts.lock(person.account_id, reason="test", legal_basis="Decree 69/2024 Art. 14", origin=OPERATOR)

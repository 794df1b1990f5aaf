"""A browser that visits pages and sends forms in any order: never a code without every proof that was required (law 3).

The model knows only what was typed: which person's right password, code or recovery code was sent, when, and what was allowed. What
a code says is judged against that, not against what the provider keeps.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.support.journeys import STEP, Journeys
from tests.support.provider import Answered, Browser, Person, Portal, Provider, claims_of

PAGES = ("", "sign-in", "totp", "recovery-code", "enrol", "recovery-codes", "consent", "account", "level")
MINIMUM = {"plain": (0, 1), "strong": (0, 2), "checked": (2, 1)}
KINDS = {"password": "know", "otp": "have", "rc": "have"}


@dataclass
class Request:
    """What one portal asked, and when."""

    portal: Portal
    needed: tuple[int, int]
    begun_at: datetime
    asked: dict[str, str]
    essential: tuple[int, int] | None = None


@dataclass
class Typed:
    """What was proved in the browser's session by what was typed."""

    person: int
    proofs: dict[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Sent:
    """A form that was sent: by what, whether what was typed was right, and whose it was."""

    action: str
    fields: dict[str, str]
    place: int | None
    method: str
    right: bool
    recovery_code: str
    offered: str


def machine(op: Provider, journeys: Journeys, reached: list[str]) -> type[RuleBasedStateMachine]:
    portals = {"plain": journeys.plain, "strong": journeys.strong, "checked": journeys.checked}

    class AnyOrder(RuleBasedStateMachine):
        """One browser, two people, three portals."""

        @initialize()
        def arrive(self) -> None:
            self.browser = Browser(op)
            self.people: list[Person] = [op.person(ial=2), op.person(ial=1, second_factor=False)]
            self.unused = [list(person.recovery_codes) for person in self.people]
            self.typed: Typed | None = None
            self.requests: dict[str, Request] = {}
            self.allowed: dict[tuple[int, str], set[str]] = {}
            self.sent: list[Sent] = []

        # what a browser does ----------------------------------------------------------------------------------------------------

        @rule(
            portal=st.sampled_from(sorted(portals)),
            prompt=st.sampled_from(["", "", "login", "consent", "select_account", "none", "login consent"]),
            acr=st.sampled_from(["", "urn:motcua:acr:ial0.aal1", "urn:motcua:acr:ial2.aal2"]),
            essential=st.sampled_from([None, None, (0, 2), (1, 1)]),
            max_age=st.sampled_from(["", "", "0", "60"]),
            scope=st.sampled_from(["openid", "openid profile", "openid email offline_access"]),
            place=st.integers(0, 1),
            turns=st.integers(0, 5),
        )
        def begin(
            self,
            portal: str,
            prompt: str,
            acr: str,
            essential: tuple[int, int] | None,
            max_age: str,
            scope: str,
            place: int,
            turns: int,
        ) -> None:
            """Ask for something, and answer some of the pages that come up."""
            asked = {name: value for name, value in {"prompt": prompt, "acr_values": acr, "max_age": max_age}.items() if value}
            asked["scope"] = scope
            if essential is not None:
                wanted = f"urn:motcua:acr:ial{essential[0]}.aal{essential[1]}"
                asked["claims"] = json.dumps({"id_token": {"acr": {"essential": True, "value": wanted}}})
            op.clock.advance(timedelta(seconds=1))
            request = Request(portals[portal], MINIMUM[portal], op.clock.now(), asked, essential)
            answered = self.browser.send("GET", request.portal.ask(**asked))
            if answered.header("location") and answered.location.startswith("/i/"):
                self.requests["/".join(answered.location.split("/")[:3])] = request
                self.see(answered)
            else:
                self.judge(answered, request)
            self.answer_truthfully(place, turns)

        @precondition(lambda self: self.requests)
        @rule(data=st.data(), page=st.sampled_from(PAGES))
        def visit(self, data: Any, page: str) -> None:
            base = data.draw(st.sampled_from(list(self.requests)))
            op.clock.advance(timedelta(seconds=1))
            self.see(self.browser.send("GET", f"{base}/{page}".rstrip("/")))

        @precondition(lambda self: self.has_form)
        @rule(place=st.integers(0, 1), right=st.booleans())
        def give_password(self, place: int, right: bool) -> None:
            person = self.people[place]
            self.send({"username": person.username, "password": person.password if right else "not the password"}, place, "password", right=right)

        def give_password_of(self, place: int) -> None:
            person = self.people[place]
            self.send({"username": person.username, "password": person.password}, place, "password", right=True)

        def give_code_of(self, place: int) -> None:
            op.clock.advance(STEP)
            assert self.browser.page is not None
            offered = 'id="secret">' in self.browser.page.text
            code = journeys.offered_code(self.browser) if offered else self.codes_of(place)
            self.send({"code": code}, place, "otp", right=True)

        def codes_of(self, place: int) -> str:
            return self.people[place].code(op.clock) if self.people[place].totp_secret else "123456"

        @precondition(lambda self: self.has_form)
        @rule(place=st.integers(0, 1), right=st.booleans())
        def give_code(self, place: int, right: bool) -> None:
            op.clock.advance(STEP)
            assert self.browser.page is not None
            offered = 'id="secret">' in self.browser.page.text
            if offered and right:
                self.send({"code": journeys.offered_code(self.browser)}, self.typed.person if self.typed else place, "otp", right=True)
            elif self.people[place].totp_secret and right:
                self.send({"code": self.people[place].code(op.clock)}, place, "otp", right=True)
            else:
                self.send({"code": "123456"}, place, "otp", right=False)

        @precondition(lambda self: self.has_form)
        @rule(place=st.integers(0, 1), used=st.booleans())
        def give_recovery_code(self, place: int, used: bool) -> None:
            codes = self.people[place].recovery_codes
            if not codes:
                return
            code = codes[0] if used or not self.unused[place] else self.unused[place][0]
            self.send({"code": code}, place, "rc", right=code in self.unused[place], recovery_code=code)

        @precondition(lambda self: self.has_form)
        @rule(decision=st.sampled_from(["allow", "allow", "refuse", "continue", "another", "leave", "sign-out", "nonsense", ""]))
        def decide(self, decision: str) -> None:
            self.send({"decision": decision}, None, "", right=False)

        def answer_truthfully(self, place: int, turns: int) -> None:
            """Answer what the page asks, so that the walk gets further than chance would."""
            for _ in range(turns):
                if not self.has_form:
                    return
                page = self.browser.form()[0].rsplit("/", 1)[-1]
                if page == "sign-in":
                    self.give_password_of(place)
                elif page in {"totp", "enrol"} and self.typed is not None:
                    self.give_code_of(self.typed.person)
                elif page in {"consent", "account"}:
                    self.send({"decision": "allow" if page == "consent" else "continue"}, None, "", right=False)
                else:
                    return

        @precondition(lambda self: self.sent)
        @rule(data=st.data())
        def send_an_old_form_again(self, data: Any) -> None:
            place = data.draw(st.integers(0, min(len(self.sent), 6) - 1))
            self.post(self.sent[-1 - place])

        @rule(seconds=st.sampled_from([1, 1, 59, 61, 3601]))
        def wait(self, seconds: int) -> None:
            op.clock.advance(timedelta(seconds=seconds))

        # what is watched ------------------------------------------------------------------------------------------------------------

        @property
        def has_form(self) -> bool:
            return self.browser.page is not None and self.browser.page.status == 200 and "csrf_token" in self.browser.page.text

        def send(self, filled: dict[str, str], place: int | None, method: str, *, right: bool, recovery_code: str = "") -> None:
            action, fields = self.browser.form()
            secret = journeys.offered_secret(self.browser)
            self.sent.append(Sent(action or self.browser.at, fields | filled, place, method, right, recovery_code, secret))
            self.post(self.sent[-1])

        def post(self, sent: Sent) -> None:
            page = sent.action.rsplit("/", 1)[-1]
            fits = {"password": {"sign-in"}, "otp": {"totp", "enrol"}, "rc": {"recovery-code"}}.get(sent.method, set())
            before = self.browser.cookies.get("motcua-session")
            answered = self.browser._send("POST", sent.action, sent.fields, {"Sec-Fetch-Site": "same-origin"})
            if self.browser.cookies.get("motcua-session") != before:
                assert sent.right, f"{sent.method} at {page} proved something with what was wrong"
                assert page in fits, f"{sent.method} was taken by {page}"
                self.prove(sent)
            self.see(answered, action=sent.action, fields=sent.fields)

        def prove(self, sent: Sent) -> None:
            assert sent.place is not None
            if sent.method == "password" and (self.typed is None or self.typed.person != sent.place):
                self.typed = Typed(sent.place)
            assert self.typed is not None
            assert self.typed.person == sent.place, "a factor of somebody else was taken"
            self.typed.proofs[sent.method] = op.clock.now()
            if sent.recovery_code:
                self.unused[sent.place].remove(sent.recovery_code)
            if sent.offered:
                self.people[sent.place] = replace(self.people[sent.place], totp_secret=sent.offered)

        def see(self, answered: Answered, *, action: str = "", fields: dict[str, str] | None = None) -> None:
            assert answered.status in {200, 303, 400, 429}, answered.status
            base = "/".join((action or self.browser.at).split("/")[:3])
            request = self.requests.get(base)
            if request is not None and self.typed is not None and action.endswith("/consent") and (fields or {}).get("decision") == "allow":
                moved_on = answered.status == 303
                if moved_on and "error=" not in answered.location:
                    self.allowed.setdefault((self.typed.person, request.portal.client_id), set()).update(request.asked["scope"].split())
            if answered.status != 303:
                return
            if answered.location.startswith("/i/"):
                assert answered.location.startswith(base) or not base.startswith("/i/")
                self.see(self.browser.send("GET", answered.location))
                return
            if request is not None:
                self.judge(answered, request)

        def judge(self, answered: Answered, request: Request) -> None:
            assert answered.location.startswith(request.portal.redirect_uri + "?")
            if "code" not in answered.parameters:
                return
            reached.append(request.portal.client_id)
            assert self.typed is not None, "a code for nobody"
            claims = claims_of(request.portal.redeem(answered.parameters["code"]).json["id_token"])
            person = self.people[self.typed.person]
            sector = op.rooms.clients.show(request.portal.client_id).sector
            assert claims["sub"] == op.rooms.accounts.subject(person.holder_id, sector)
            since = self._since(request)
            fresh = {method: at for method, at in self.typed.proofs.items() if since is None or at >= since}
            assert "password" in fresh
            assert claims["aal"] <= len({KINDS[method] for method in fresh})
            assert claims["ial"] == (2, 1)[self.typed.person]
            assert claims["ial"] >= request.needed[0]
            assert claims["aal"] >= request.needed[1]
            if request.essential:
                assert claims["ial"] >= request.essential[0]
                assert claims["aal"] >= request.essential[1]
            assert claims["auth_time"] >= int(min(fresh.values()).timestamp())
            assert set(request.asked["scope"].split()) <= self.allowed.get((self.typed.person, request.portal.client_id), set())

        @staticmethod
        def _since(request: Request) -> datetime | None:
            if "login" in request.asked.get("prompt", ""):
                return request.begun_at
            if "max_age" in request.asked:
                return request.begun_at - timedelta(seconds=int(request.asked["max_age"]))
            return None

    return AnyOrder


def test_no_order_of_visits_and_forms_reaches_a_code_without_every_proof(op: Provider, journeys: Journeys) -> None:
    """Law 3; ASVS 2.3.1."""
    reached: list[str] = []
    run_state_machine_as_test(
        machine(op, journeys, reached),
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],  # a failure is reported as it was walked: shrinking takes minutes
        ),
    )
    assert reached, "no walk reached a code: nothing was tested"

"""Every way of saying no has a name of its own, and an answer at the door (design §6: every error says what happened and what to do)."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from jinja2 import UndefinedError
from structlog.testing import capture_logs

import idp
from idp.authenticators.model import PasswordRefused
from idp.interactions.service import Interaction
from idp.kernel.refusals import Refusal, Unavailable
from idp.oidc.errors import InvalidClient, ProtocolError
from idp.throttle.model import AuthenticatorDisabled, TooManyGuesses, TooMuchVolume
from idp.web.door import Answer, PageAnswer, Request
from idp.web.pages.desk import Desk
from idp.web.pages.values import ErrorKind
from idp.web.pages.views.activation import PASSWORD_WORDS
from tests.support.journeys import Journeys
from tests.support.provider import Provider

ROOT = Path(__file__).parents[2]


def load_everything() -> None:
    for module in pkgutil.walk_packages(idp.__path__, "idp."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def below(base: type[BaseException]) -> Iterator[type[BaseException]]:
    for each in base.__subclasses__():
        yield each
        yield from below(each)


def of_ours(base: type[BaseException]) -> list[type[BaseException]]:
    load_everything()
    return sorted({each for each in below(base) if each.__module__.startswith("idp.")}, key=lambda each: (each.__module__, each.__qualname__))


def test_every_refusal_has_a_name_of_its_own_in_its_own_room() -> None:
    """`room.reason`: pages and logs key on it, so that it is never another one's."""
    codes: dict[str, str] = {}
    for each in of_ours(Refusal):
        code = str(each.__dict__.get("code", ""))
        where = f"{each.__module__}.{each.__qualname__}"
        assert code or each.__name__.startswith("_"), f"{where} has no code of its own"
        if not code:
            continue
        assert re.fullmatch(r"[a-z]+(\.[a-z_]+)?", code), f"{where}: {code}"
        assert code not in codes, f"{where} and {codes[code]} are both {code}"
        codes[code] = where
        room = each.__module__.split(".")[1]
        rooms = {"cli", "demo"} if room == "cli" else {room, "unavailable"}
        assert code.partition(".")[0] in rooms, f"{where}: {code}"
    assert len(codes) > 30


def test_every_refusal_and_protocol_error_is_described() -> None:
    for each in (*of_ours(Refusal), *of_ours(ProtocolError)):
        assert each.__doc__, each


def desk_of(op: Provider) -> Desk:
    desk = op.door._on_error.__self__
    assert isinstance(desk, Desk)
    return desk


STATUSES: dict[int, set[str]] = {
    400: {
        "authenticators.too_many_totps", "enrolment.activation_code_refused", "interactions.gone", "sessions.no_such_session",
        "NotRedirectable", "AnswerWithError", "Unreadable", "ClientNotKnown", "ClientOver", "AddressNotKnown",
    },
    401: {"InvalidClient"},
    418: {"TokenError", "BearerError"},  # the one that they were raised with
    403: {"throttle.authenticator_disabled"},
    429: {"throttle.too_many_guesses", "throttle.too_much_volume"},
    503: {"authenticators.hash_slots_busy", "keys.not_active_yet", "storage.engine_away", "unavailable"},
}  # fmt: skip
"""What a person or a portal is answered, by the code of the refusal or the name of the protocol error."""

FAULTS = {
    # answered where they are met, in words of the page or of the protocol: beyond that place they are a fault of ours
    "authenticators.password_of_context", "authenticators.password_refused", "authenticators.password_too_common",
    "authenticators.password_too_long", "authenticators.password_too_short", "authenticators.password_unreadable",
    "authenticators.second_factor_held", "authenticators.totp_refused", "enrolment.second_factor_required", "grants.client_dead",
    "grants.no_such_consent", "grants.not_redeemed", "grants.scope_exceeded", "jose.unacceptable", "jose.unfit_key", "kernel.does_not_open", "web.clock_off",
    # of operators: no page or endpoint does what they refuse
    "accounts.closed", "accounts.declaration_refused", "accounts.lock_refused", "accounts.no_such_account", "accounts.no_such_lock",
    "accounts.number_refused", "accounts.number_taken", "assurance.already_struck", "assurance.checked_in_future",
    "assurance.no_such_evidence", "assurance.no_such_person", "assurance.reason_missing", "assurance.unknown_evidence_kind",
    "cli.nothing_runs", "cli.wrong", "clients.declaration_refused", "clients.secret_not_used", "clients.unknown", "clients.unsafe_uri",
    "demo.address_refused", "demo.already_runs", "demo.child_failed", "demo.folder_in_use", "demo.no_checkout", "demo.no_such_account",
    "demo.not_ready", "demo.port_taken", "egress.not_reachable", "egress.refused", "enrolment.not_activatable",
    # of an installation that is not whole
    "assurance.unusable_policy", "keys.do_not_open", "keys.no_such_key", "keys.not_migrated", "keys.registry_incomplete",
    "keys.unsafe_key_encryption", "reference.unknown_country", "settings.unsafe",
    "storage.roles_missing", "storage.wrong_database",
}  # fmt: skip
"""What nobody outside gives rise to: 500, logged, and not a word of it told."""


def named(error: type[BaseException]) -> str:
    return str(getattr(error, "code", error.__name__))


def test_every_refusal_and_protocol_error_has_one_status() -> None:
    """A new one is put into the table, with what it answers, or this fails."""
    there = sorted(named(each) for each in (*of_ours(Refusal), *of_ours(ProtocolError)))
    assert sorted([*FAULTS, *(name for names in STATUSES.values() for name in names)]) == there


def test_every_refusal_and_protocol_error_is_answered_at_the_door_with_its_status(op: Provider) -> None:
    """Whatever reaches the last resort is a page for people and JSON for programs; it repeats no detail."""
    desk = desk_of(op)
    statuses = {name: status for status, names in STATUSES.items() for name in names} | dict.fromkeys(FAULTS, 500)
    for each in (*of_ours(Refusal), *of_ours(ProtocolError)):
        error = made(each)
        for path in ("/i/x/sign-in", "/token"):
            request = Request("POST", path, (), (), {}, {}, "127.0.0.1", "REFERENCE1")
            answer = desk.error(request, error)
            shown = op.door._render(answer, request) if isinstance(answer, PageAnswer) else answer
            assert isinstance(shown, Answer)
            assert shown.status == statuses[named(each)], each
            assert b"079203001234" not in shown.body, each
            headers = dict(shown.headers)
            if shown.status in {429, 503}:
                assert int(headers["Retry-After"]) >= 1, each
            is_json = (path == "/token" and not is_page(each)) or (isinstance(error, ProtocolError) and not is_page(each))
            assert headers["Content-Type"].partition(";")[0] == ("application/json" if is_json else "text/html"), each
            assert headers.get("Access-Control-Allow-Origin") == ("*" if path == "/token" and is_json else None), each


def made(refusal: type[BaseException]) -> BaseException:
    """Return one as a rule would raise it, with a detail that nobody may read."""
    error = refusal.__new__(refusal)
    Exception.__init__(error, "detail-with-079203001234")
    whole_seconds = isinstance(error, Unavailable)
    for name, value in {
        "detail": "detail-with-079203001234", "retry_after": 5 if whole_seconds else timedelta(minutes=3), "error": "invalid_request",
        "description": "It was refused.", "status": 401 if refusal is InvalidClient else 418, "challenge": False,
    }.items():  # fmt: skip
        object.__setattr__(error, name, value)
    return error


def is_page(error: type[BaseException]) -> bool:
    """What is a page wherever it happens: it is about a browser's own journey."""
    return named(error) in STATUSES[400] | STATUSES[403]


def test_a_page_says_what_there_was_too_much_of_and_whether_waiting_helps(op: Provider) -> None:
    """ASVS 6.3.1 protects accounts; a volume protects capacity, and says nothing of somebody who guesses."""
    request = Request("POST", "/i/x/totp", (), (), {}, {}, "127.0.0.1", "REFERENCE1")
    minute = timedelta(minutes=1)
    for error, words, waits in (
        (TooManyGuesses("otp", retry_after=minute), "người đoán mò", True),
        (TooMuchVolume("authorize", retry_after=minute), "từ mạng của bạn", True),
        (TooMuchVolume("open", retry_after=minute), "trong trình duyệt này", True),
        (AuthenticatorDisabled("otp", retry_after=timedelta(days=1)), "quầy một cửa", False),
    ):
        answer = desk_of(op).error(request, error)
        assert isinstance(answer, PageAnswer)
        shown = op.door._render(answer, request)
        assert words in shown.body.decode(), error
        assert ("người đoán mò" in shown.body.decode()) == (type(error) is TooManyGuesses)
        assert ("Retry-After" in dict(shown.headers)) == waits
        assert ('id="continue"' in shown.body.decode()) == waits


def test_what_nobody_expected_is_a_page_with_a_reference_and_no_word_of_it(op: Provider) -> None:
    """16.5.4: the last resort."""
    request = Request("GET", "/", (), (), {}, {}, "127.0.0.1", "REFERENCE1")
    for error in (ValueError("079203001234"), KeyError("x"), RecursionError(), MemoryError(), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "x")):
        answer = desk_of(op).error(request, error)
        assert isinstance(answer, PageAnswer)
        shown = op.door._render(answer, request)
        assert shown.status == 500
        assert b"REFERENCE1" in shown.body
        assert b"079203001234" not in shown.body


def test_what_fails_again_while_its_page_is_written_is_a_page_all_the_same(
    op: Provider, journeys: Journeys, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Law 10: the look-up of the interaction fails, and once more for the page's language; neither its id nor its words are logged."""
    browser = journeys.at_sign_in()

    def fail(*_: object) -> Interaction:
        raise ValueError("079203001234")

    monkeypatch.setattr(op.rooms.interactions, "find", fail)
    with capture_logs() as logged:
        answered = browser.send("GET", browser.at)
    assert answered.status == 500
    assert "Hệ thống gặp trục trặc" in answered.text
    assert [(line["event"], line["path"]) for line in logged] == [("unexpected", "/i/-/sign-in")]
    assert caplog.text == ""


def test_a_page_that_cannot_be_written_is_said_to_be_our_fault(
    op: Provider, journeys: Journeys, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """16.5.4: nobody is told that what they sent could not be read. Where no page at all can be written, a line has the reference."""
    browser = journeys.at_sign_in()
    templates: Any = op.door._render._renderer
    write, broken = templates.render, {"sign_in.html"}

    def fail(template: str, **values: object) -> str:
        if template in broken:
            raise UndefinedError("079203001234")
        return str(write(template, **values))

    monkeypatch.setattr(templates, "render", fail)
    with capture_logs() as logged:
        answered = browser.send("GET", browser.at)
        broken.add("error.html")
        bare = [browser.send("GET", target) for target in (browser.at, "/authorize")]
    assert answered.status == 500
    assert "Hệ thống gặp trục trặc" in answered.text
    assert [each.status for each in bare] == [500, 500]
    assert all(re.fullmatch(r"Something went wrong here: [0-9A-Z]{10}\n", each.text) for each in bare)
    assert all(each.header("x-content-type-options") == "nosniff" for each in (answered, *bare))
    assert {line["path"] for line in logged} == {"/i/-/sign-in", "/authorize"}
    assert caplog.text == ""


def test_every_kind_of_error_that_the_code_names_has_its_words_and_no_other_has() -> None:
    """An unknown kind is said as "unexpected": nothing of ours may be, and no words lie about that nobody says."""
    words = re.findall(r'^  "([a-z_]+)": \(_\(', (ROOT / "idp/web/pages/templates/error.html").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(words) == sorted(get_args(ErrorKind))
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "idp/web").rglob("*.py") if path.name != "values.py")
    assert [kind for kind in words if f'"{kind}"' not in sources] == []


def test_every_reason_against_a_password_has_its_own_words() -> None:
    """Whoever adds one says it: a page never gives a reason that is another's."""
    assert set(PASSWORD_WORDS) == set(below(PasswordRefused))
    assert len(set(PASSWORD_WORDS.values())) == len(PASSWORD_WORDS)

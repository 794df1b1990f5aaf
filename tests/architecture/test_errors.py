"""Every way of saying no has a name of its own, and an answer at the door (design §6: every error says what happened and what to do)."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import idp
from idp.kernel.refusals import Refusal, Unavailable
from idp.oidc.errors import ProtocolError
from idp.web.door import Answer, PageAnswer, Request
from idp.web.pages.desk import Desk
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


@pytest.fixture
def request_of_a_person() -> Request:
    return Request("GET", "/i/x/sign-in", (), (), {}, {}, "127.0.0.1", "REFERENCE1")


def desk_of(op: Provider) -> Desk:
    desk = op.door._on_error.__self__
    assert isinstance(desk, Desk)
    return desk


def test_every_refusal_and_protocol_error_has_an_answer_at_the_door(op: Provider, request_of_a_person: Request) -> None:
    """Whatever reaches the last resort is a page with a status for people, and JSON for programs; it repeats no detail."""
    desk, answered = desk_of(op), 0
    for each in (*of_ours(Refusal), *of_ours(ProtocolError)):
        error = each.__new__(each)
        Exception.__init__(error, "detail-with-079203001234")
        for name, value in {
            "detail": "detail-with-079203001234", "retry_after": timedelta(minutes=3), "error": "invalid_request",
            "description": "It was refused.", "status": 400, "challenge": False,
        }.items():  # fmt: skip
            whole_seconds = isinstance(error, Unavailable) and name == "retry_after"
            object.__setattr__(error, name, 5 if whole_seconds else value)
        for path in ("/i/x/sign-in", "/token"):
            request = Request("POST", path, (), (), {}, {}, "127.0.0.1", "REFERENCE1")
            answer = desk.error(request, error)
            shown = op.door._render(answer, request) if isinstance(answer, PageAnswer) else answer
            assert isinstance(shown, Answer)
            assert 400 <= shown.status <= 503, each
            assert b"079203001234" not in shown.body, each
            headers = dict(shown.headers)
            if shown.status in {429, 503}:
                assert int(headers["Retry-After"]) >= 1, each
            assert headers["Content-Type"].startswith("application/json" if path == "/token" and not is_page(each) else ("text/html", "application/json")), each
            answered += 1
    assert answered > 80


def is_page(error: type[BaseException]) -> bool:
    """What is a page wherever it happens: it is about a browser's own journey."""
    return error.__name__ in {"InteractionGone", "NoSuchSession", "ActivationCodeRefused", "NotRedirectable", "AnswerWithError", "ClientGone", "Unreadable"}


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


def test_every_kind_of_error_that_the_code_names_has_its_words() -> None:
    """An unknown kind is said as "unexpected": nothing of ours may be."""
    words = set(re.findall(r'^  "([a-z_]+)": \(_\(', (ROOT / "idp/web/pages/templates/error.html").read_text(encoding="utf-8"), re.MULTILINE))
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "idp/web").rglob("*.py"))
    named = set(re.findall(r'page_error\(\s*request, "([a-z_]+)"', sources)) | {
        "sign_in_over", "no_cookie", "portal_unknown", "address_unknown", "request_unreadable", "too_large",
    }  # fmt: skip
    assert named <= words
    assert words - named == {"portal_disabled", "account_locked"} - named

"""Strangers cannot use up processor or stores with what they send."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from idp.authenticators.hashing import HashSlots
from tests.support.journeys import Journeys
from tests.support.provider import Answered, Browser, Provider

_TABLES = """
SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT LIKE 'procrastinate%%'
ORDER BY 1
"""

BOMBS = {
    "scope": "openid " + " ".join(f"s{number}" for number in range(1500)),
    "acr_values": " ".join(f"urn:motcua:acr:ial{number}" for number in range(900)),
    "ui_locales": "-".join(["vi"] * 5000),
    "claims": '{"id_token":' * 1500 + "1" + "}" * 1500,
    "claims ": "[" * 8000,
    "claims  ": '{"id_token":{"acr":{"value":' + "9" * 4000 + "}}}",
    "claims   ": json.dumps({"id_token": {f"k{number}": None for number in range(900)}}),
    "redirect_uri": "https://a" + "a." * 3000 + "/",
    "prompt": " ".join(["login"] * 1500),
    "max_age": "9" * 8000,
    "login_hint": "٣" * 2600,
    "id_token_hint": "." * 8000,
    "state": "a" * 12_000,
    "code_challenge": "A" * 8000,
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_a_parameter_built_to_be_slow_is_not(op: Provider, journeys: Journeys, name: str) -> None:
    """Within 50 ms of processor time, whatever comes of it."""
    asked = journeys.plain.ask(**{name.strip(): BOMBS[name]})
    took = []
    for _ in range(3):
        began = time.thread_time()
        answered = op.call("GET", asked)
        took.append(time.thread_time() - began)
    assert min(took) < 0.05
    assert answered.status in {200, 303, 400, 414}


def test_unfinished_requests_leave_nothing_in_the_database_and_end_by_themselves(op: Provider, journeys: Journeys) -> None:
    """An unfinished flow is 4 kB at most in Redis, for half an hour at most, and not a row."""
    before = _counts(op)
    for number in range(30):
        Browser(op).open(journeys.plain.ask(state="s" * 1000, login_hint=str(number)))
        op.call("GET", "/activate")
        op.call("POST", "/authorize", body=urlencode({"client_id": "x"}).encode())
    assert _counts(op) == before
    redis = op.rooms.ephemeral._redis
    keys = list(redis.scan_iter(match="interaction:*"))
    assert len(keys) >= 30
    assert all(0 < redis.pttl(key) <= 30 * 60 * 1000 for key in keys)
    assert all((redis.memory_usage(key) or 0) <= 4096 for key in keys)
    assert [key for key in redis.scan_iter(match="*") if redis.ttl(key) == -1] == []


TAGS = " ".join(f"x{number}" for number in range(10_000))
"""More languages than anybody speaks: 58 890 characters, which a form can hold and an address cannot."""


@pytest.mark.parametrize("target", ["/help", "/authorize", "/logout", "/"])
@pytest.mark.parametrize("name", ["ui_locales", "lang"])
def test_ten_thousand_languages_are_too_many_for_an_address(op: Provider, target: str, name: str) -> None:
    """The page that says so is in the language of the country; a few hundred are read, and the first that is known is spoken."""
    too_many = op.call("GET", f"{target}?{urlencode({name: TAGS})}")
    assert too_many.status == 414
    assert too_many.header("content-language") == "vi"
    some = op.call("GET", "/help?" + urlencode({"lang": "en" if name == "lang" else "vi", "ui_locales": TAGS[:10_000]}))
    assert (some.status, some.header("content-language")) == (200, "en" if name == "lang" else "vi")


def test_ten_thousand_languages_in_a_form_are_a_parameter_too_long(op: Provider, journeys: Journeys) -> None:
    """OIDC Core §3.1.2.6: the portal is told; one language in the same form is spoken."""
    asked = dict(parse_qsl(urlsplit(journeys.plain.ask()).query))
    refused = op.call("POST", "/authorize", asked | {"ui_locales": TAGS})
    assert refused.parameters["error"] == "invalid_request"
    assert refused.parameters["error_description"] == "A parameter is too long."
    browser = Browser(op)
    begun = browser._follow(browser.send("POST", "/authorize", asked | {"ui_locales": "en"}))
    assert (begun.status, begun.header("content-language")) == (200, "en")
    unreadable = op.call("POST", "/logout", {"ui_locales": TAGS})
    assert (unreadable.status, unreadable.header("content-language")) == (400, "vi")
    assert "or is too long." in unreadable.text


@pytest.mark.parametrize(
    "asked", ["../../etc/passwd", "vi/../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "en\\..\\..", "C:en", "file:///etc"]
)
def test_a_language_is_no_path(op: Provider, journeys: Journeys, asked: str) -> None:
    """It chooses among the two there are, and names no file."""
    for page in (
        Browser(op).open(journeys.plain.ask(ui_locales=asked)),
        op.call("GET", "/help?" + urlencode({"ui_locales": asked})),
        op.call("GET", "/help?" + urlencode({"lang": asked})),
        op.call("GET", "/help", headers={"Cookie": f"motcua-language={asked}", "Accept-Language": asked}),
    ):
        assert (page.status, page.header("content-language")) == (200, "vi")
        assert "root:" not in page.text


ROUNDS = 150
EACH = 1900


def send_languages(op: Provider, journeys: Journeys, rounds: range, keep: Callable[[str], None]) -> None:
    """Ask in each round for five languages that nobody asked for before, one in every place where one can be asked for."""
    for number in rounds:
        address, help_address, choice, cookie, header = [f"x{number}-{place}" + f"{number:06d}" * (EACH // 6) for place in range(5)]
        keep(address)
        answers = [
            op.call("GET", journeys.plain.ask(ui_locales=address)),
            op.call("GET", "/help?" + urlencode({"ui_locales": help_address})),
            op.call("GET", "/help?" + urlencode({"lang": choice})),
            op.call("GET", "/help", headers={"Cookie": f"motcua-language={cookie}"}),
            op.call("GET", "/help", headers={"Accept-Language": header}),
        ]
        assert [answered.status for answered in answers] == [303, 200, 200, 200, 200]


def growth(op: Provider, journeys: Journeys, first: int, keep: Callable[[str], None]) -> int:
    """Return by how many bytes the objects of this process grew while languages were asked for.

    Enough were asked for before to fill what keeps a bounded number: urllib its last addresses, for one.
    """
    tracemalloc.start()
    try:
        send_languages(op, journeys, range(first, first + 80), lambda _: None)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        send_languages(op, journeys, range(first + 80, first + 80 + ROUNDS), keep)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before


def test_no_language_that_was_asked_for_is_kept(op: Provider, journeys: Journeys) -> None:
    """Kept in one of the five places, they are four times the bound; the control keeps twice the bound in as many rounds."""
    bound = ROUNDS * EACH // 4
    kept: list[str] = []
    nothing, half = growth(op, journeys, 0, lambda _: None), growth(op, journeys, 10_000, lambda asked: kept.append(asked[: EACH // 2]))
    assert nothing < bound < half


def _counts(op: Provider) -> dict[str, int]:
    with op.owner.transaction() as transaction:
        counted = {}
        for row in transaction.all(_TABLES):
            found = transaction.one(f"SELECT count(*) AS many FROM {row.name}")
            assert found is not None
            counted[str(row.name)] = int(found.many)
        return counted


def test_of_the_places_at_the_hash_one_is_kept_for_who_signed_in_there_before(
    op: Provider, journeys: Journeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While strangers hold all others: who comes from another device is told to come back, and charged nothing."""
    slots = HashSlots(running=2, places=2)
    monkeypatch.setattr(op.rooms.passwords, "_slots", slots)
    person = op.person(second_factor=False)
    known = Browser(op, {name: value for name, value in journeys.signed_in(person).cookies.items() if "device" in name})
    assert known.cookies

    def signing_in(browser: Browser) -> Answered:
        return browser.sign_in(person, browser.open(journeys.plain.ask()))

    with slots.take(known_device=False):
        turned_away = signing_in(Browser(op))
        assert (turned_away.status, bool(turned_away.header("retry-after"))) == (503, True)
        assert "code" in signing_in(known).parameters
    assert "code" in signing_in(Browser(op)).parameters

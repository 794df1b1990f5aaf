"""Strangers cannot use up processor or stores with what they send."""

from __future__ import annotations

import json
import time
from urllib.parse import urlencode

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

"""A flood of passwords is turned away at once, and leaves the rest running."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from tests.support.faults import Remote, furnish, known_to
from tests.support.journeys import Journeys
from tests.support.served import Served

pytestmark = pytest.mark.xdist_group("served")


@pytest.fixture(scope="module")
def served(engines: Engines, database_urls: DatabaseUrls) -> Iterator[Served]:
    node = Served(engines, database_urls, workers=1, threads=4)
    node.make_keys()
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def remote(served: Served) -> Iterator[Remote]:
    made = furnish(served).op
    yield made
    made.close()


def test_a_flood_of_passwords_is_turned_away_at_once_and_leaves_the_rest_running(served: Served, remote: Remote) -> None:
    """503 with Retry-After, quickly; JWKS and a live session's codes are answered meanwhile; nothing is a 500."""
    journeys = Journeys(remote)
    known_to(served, journeys.plain.client_id)
    regular = journeys.signed_in()
    browser = journeys.at_sign_in()
    action, fields = browser.form()
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    headers = {"Cookie": cookies, "Sec-Fetch-Site": "same-origin"}
    answers: list[tuple[int, float, str]] = []
    over = threading.Event()

    def flood(number: int) -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            began = time.monotonic()
            typed = fields | {"username": f"0792{number:02d}{turn:06d}", "password": "not the password"}
            status, told, _ = served.post(action, typed, headers)
            answers.append((status, time.monotonic() - began, told.get("retry-after", "")))

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    try:
        meanwhile: list[float] = []
        for _ in range(15):
            began = time.monotonic()
            assert served.get("/jwks")[0] == 200
            assert served.get("/health/live")[0] == 200
            meanwhile.append(time.monotonic() - began)
            assert "code" in regular.open(journeys.plain.ask(prompt="none")).parameters
    finally:
        over.set()
        for thread in threads:
            thread.join()

    counted = Counter(status for status, _, _ in answers)
    assert set(counted) <= {200, 503}, counted
    assert counted[503] > 0
    assert counted[200] > 0
    refused = [(seconds, again) for status, seconds, again in answers if status == 503]
    assert all(1 <= int(again) <= 10 for _, again in refused)
    assert sorted(seconds for seconds, _ in refused)[len(refused) // 2] < 1.0
    assert sorted(meanwhile)[len(meanwhile) // 2] < 1.0
    assert max(meanwhile) < 3.0
    served.wait_ready()


def test_after_a_flood_everybody_gets_in_again(served: Served, remote: Remote) -> None:
    """16.5.2: no slot is lost, and no guess was charged for what was never checked."""
    journeys = Journeys(remote)
    known_to(served, journeys.plain.client_id)
    for _ in range(3):
        journeys.signed_in()

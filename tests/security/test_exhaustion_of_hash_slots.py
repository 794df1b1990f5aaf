"""A flood of passwords is turned away at once, and leaves the rest running."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from tests.support.faults import Remote, furnish, known_to
from tests.support.journeys import Journeys
from tests.support.load import wait_until
from tests.support.provider import Browser, Person
from tests.support.served import Served

pytestmark = pytest.mark.xdist_group("served")


MOST_TRIES = 20
A_HASH = 19 * 1024 * 1024
LONGEST_ANSWER = 10.0
"""Seconds within which each answer comes during a flood, on two processors that others use too."""
GUESSES = 5
"""How many wrong passwords an account has in a quarter of an hour: more tries than that show that none was counted."""


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


def test_people_on_known_devices_sign_in_during_a_flood_and_memory_stays(served: Served, remote: Remote) -> None:
    """Each of them gets in; what strangers send costs no memory that stays: each hash at once is 19 MiB."""
    journeys = Journeys(remote)
    known_to(served, journeys.plain.client_id)
    people = [remote.person(second_factor=False) for _ in range(4)]
    devices = [journeys.signed_in(person).cookies for person in people]
    stranger = journeys.at_sign_in()
    action, fields = stranger.form()
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in stranger.cookies.items()), "Sec-Fetch-Site": "same-origin"}
    flooded: Counter[int] = Counter()
    unannounced: list[str | None] = []
    over = threading.Event()
    at_rest = peak_of(served, anew=True)

    def flood(number: int) -> None:
        while not over.is_set():
            typed = fields | {"username": f"0793{number:02d}{flooded.total():06d}", "password": "not the password"}
            status, told, _ = served.post(action, typed, headers)
            flooded[status] += 1
            if status == 503 and not 1 <= int(told.get("retry-after") or 0) <= 10:
                unannounced.append(told.get("retry-after"))

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: flooded[503] > 50, within=30)
        held, took = [], []
        for turn in range(24):
            person, cookies = people[turn % 4], devices[turn % 4]
            browser = Browser(remote, {name: value for name, value in cookies.items() if "device" in name})
            assert browser.cookies, cookies
            tries = 0
            began = time.monotonic()
            while (answered := browser.sign_in(person, browser.open(journeys.plain.ask()))).status == 503:
                took.append(time.monotonic() - began)
                tries += 1
                assert tries <= MOST_TRIES, (turn, flooded)
                time.sleep(int(answered.header("retry-after") or 0))
                began = time.monotonic()
            took.append(time.monotonic() - began)
            assert "code" in answered.parameters, (answered.status, answered.text[:300])
            held.append(memory_of(served))
            assert served.get("/health/live")[0] == 200
    finally:
        over.set()
        for thread in threads:
            thread.join()

    assert flooded.keys() <= {200, 503}
    assert flooded[503] > flooded[200], "it was a flood"
    assert unannounced == []
    assert max(took) < LONGEST_ANSWER, took
    assert median(held[-8:]) - median(held[:8]) < 2 * A_HASH, held
    peak = peak_of(served)
    assert peak - at_rest < 3 * A_HASH, (at_rest, peak, "one hash at once and what a flood leaves behind; four threads would take four")


def test_people_on_new_devices_are_told_when_to_come_back_and_none_of_their_tries_counts(served: Served, remote: Remote) -> None:
    """Strangers have one place at the hash together: whoever is turned away loses nothing, and gets in when the flood is over."""
    journeys = Journeys(remote)
    known_to(served, journeys.plain.client_id)
    stranger = journeys.at_sign_in()
    action, fields = stranger.form()
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in stranger.cookies.items()), "Sec-Fetch-Site": "same-origin"}
    people = [remote.person(second_factor=False) for _ in range(4)]
    flooded: Counter[int] = Counter()
    turned_away: Counter[str] = Counter()
    got_in: set[str] = set()
    strange: list[object] = []
    over = threading.Event()

    def flood(number: int) -> None:
        while not over.is_set():
            typed = fields | {"username": f"0794{number:02d}{flooded.total():06d}", "password": "not the password"}
            flooded[served.post(action, typed, headers)[0]] += 1

    def come(person: Person) -> None:
        browser = Browser(remote)
        for _ in range(GUESSES + 1):
            began = time.monotonic()
            answered = browser.sign_in(person, browser.open(journeys.plain.ask()))
            if time.monotonic() - began > LONGEST_ANSWER:
                strange.append(time.monotonic() - began)
            if answered.status == 303 and "code" in answered.parameters:
                got_in.add(person.username)
                return
            again = answered.header("retry-after") or ""
            if answered.status != 503 or not 1 <= int(again) <= 10:
                strange.append((answered.status, again, answered.text[:300]))
                return
            turned_away[person.username] += 1
            over.wait(int(again))

    flooding = [threading.Thread(target=flood, args=(number,)) for number in range(12)]
    coming = [threading.Thread(target=come, args=(person,)) for person in people]
    try:
        for thread in flooding:
            thread.start()
        wait_until(lambda: flooded[503] > 50, within=30)
        for thread in coming:
            thread.start()
        for thread in coming:
            thread.join()
    finally:
        over.set()
        for thread in flooding:
            thread.join()

    assert strange == []
    assert flooded.keys() <= {200, 503}
    assert turned_away.total() > 0, "it was a flood"
    for person in people:
        if person.username not in got_in:
            assert turned_away[person.username] == GUESSES + 1
        browser = Browser(remote)
        assert "code" in browser.sign_in(person, browser.open(journeys.plain.ask())).parameters


def peak_of(served: Served, *, anew: bool = False) -> int:
    """Return the most bytes that the workers ever held in memory; `anew` forgets what was before now."""
    if anew:
        for pid in served.worker_pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    statuses = [Path(f"/proc/{pid}/status").read_text(encoding="utf-8") for pid in served.worker_pids()]
    return 1024 * sum(int(found[1]) for text in statuses if (found := re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)))


def memory_of(served: Served) -> int:
    """Return how many bytes the workers hold for themselves."""
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii") for pid in served.worker_pids()]
    return 1024 * sum(int(found[1]) for text in rollups if (found := re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)))


def test_after_a_flood_everybody_gets_in_again(served: Served, remote: Remote) -> None:
    """16.5.2: no slot is lost, and no guess was charged for what was never checked."""
    journeys = Journeys(remote)
    known_to(served, journeys.plain.client_id)
    for _ in range(3):
        journeys.signed_in()

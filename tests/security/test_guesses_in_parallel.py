"""Guesses made at once never get more than the limit (CVE-2024-4629)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from idp.storage.postgres import Database
from idp.throttle.model import GuessKind, Lane, TooManyGuesses
from idp.throttle.service import Guesses
from tests.support.citizens import IN_A_BROWSER, activate, add_citizen, at_once, make_rooms, otp, take_step

if TYPE_CHECKING:
    from idp.demo.engines import DatabaseUrls
    from idp.kernel.clock import FixedClock
    from idp.kernel.sealing import Sealer


@pytest.fixture
def two_nodes(database_urls: DatabaseUrls, sealer: Sealer, clock: FixedClock) -> Iterator[list[Guesses]]:
    databases = [Database(database_urls.app), Database(database_urls.app)]
    yield [Guesses(database, sealer, clock) for database in databases]
    for database in databases:
        database.close()


@pytest.mark.parametrize(
    ("kind", "limit"), [(GuessKind.PASSWORD, 5), (GuessKind.OTP, 5), (GuessKind.RECOVERY_CODE, 5)]
)
def test_two_hundred_guesses_at_once_are_evaluated_five_times(
    two_nodes: list[Guesses], kind: GuessKind, limit: int
) -> None:
    lane = Lane.of_account(uuid4())

    def guess(n: int) -> bool:
        try:
            two_nodes[n % 2].reserve(kind, [lane], IN_A_BROWSER)
        except TooManyGuesses:
            return False
        return True

    assert sum(at_once(200, guess, *(node._database for node in two_nodes))) == limit


def test_guesses_from_a_device_and_from_elsewhere_at_once_fill_each_lane_and_no_more(two_nodes: list[Guesses]) -> None:
    account_id = uuid4()
    account, device = Lane.of_account(account_id), Lane.of_device(account_id, uuid4())

    def guess(n: int) -> bool:
        lanes = [device, account] if n % 3 else [account]
        try:
            two_nodes[n % 2].reserve(GuessKind.PASSWORD, lanes, IN_A_BROWSER)
        except TooManyGuesses:
            return False
        return True

    assert sum(at_once(200, guess, *(node._database for node in two_nodes))) == 10 + 5


def test_a_burst_of_wrong_codes_does_not_hide_a_right_one_beyond_the_limit(
    database: Database, sealer: Sealer, clock: FixedClock
) -> None:
    """The right code is the last of the burst: it is not looked at, because the allowance went before it."""
    rooms = make_rooms(database, sealer, clock)
    citizen = activate(rooms, add_citizen(rooms))
    right = otp(clock, citizen.totp_secret, 1)
    lane = Lane.of_account(citizen.account_id)

    def guess(n: int) -> str:
        try:
            rooms.guesses.reserve(GuessKind.OTP, [lane], IN_A_BROWSER)
        except TooManyGuesses:
            return "refused unseen"
        wrong = f"{(int(right) + 1 + n) % 1_000_000:06}"
        return "accepted" if take_step(rooms, citizen.account_id, wrong) else "wrong"

    outcomes = at_once(200, guess, database)
    assert outcomes.count("refused unseen") == 195
    with pytest.raises(TooManyGuesses):
        rooms.guesses.reserve(GuessKind.OTP, [lane], IN_A_BROWSER)


_ANOTHER_PROCESS = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID
from datetime import UTC, datetime
from idp.audit.model import Origin
from idp.kernel.clock import FixedClock
from idp.kernel.sealing import Sealer, SealingKeys
from idp.storage.postgres import Database
from idp.throttle.model import GuessKind, Lane, TooManyGuesses
from idp.throttle.service import Guesses

url, account = sys.argv[1:]
keys = SealingKeys(sealing={1: bytes(range(32))}, indexing={2: bytes(range(32, 64))}, seal_with=1, index_with=2)
database = Database(url)
guesses = Guesses(database, Sealer(keys), FixedClock(datetime(2026, 6, 1, 2, 0, tzinfo=UTC)))
barrier = threading.Barrier(11)


def work(_):
    evaluated = 0
    barrier.wait(20)
    for _ in range(10):
        try:
            guesses.reserve(GuessKind.OTP, [Lane.of_account(UUID(account))], Origin("-"))
            evaluated += 1
        except TooManyGuesses:
            pass
    database._drop()
    return evaluated


with ThreadPoolExecutor(10) as pool:
    running = [pool.submit(work, n) for n in range(10)]
    print("ready", flush=True)
    sys.stdin.readline()
    barrier.wait(20)
    print(sum(each.result() for each in running), flush=True)
"""


def test_two_processes_together_evaluate_no_more_than_the_limit(database_urls: DatabaseUrls) -> None:
    """Limits are shared by nodes: two hundred guesses from two processes that begin together."""
    account_id = uuid4()
    command = [sys.executable, "-c", _ANOTHER_PROCESS, database_urls.app, str(account_id)]
    nodes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for node in nodes:
            assert node.stdout is not None
            assert node.stdout.readline() == "ready\n"
        for node in nodes:
            assert node.stdin is not None
            node.stdin.write("go\n")
            node.stdin.flush()
        evaluated = [int(node.communicate(timeout=30)[0]) for node in nodes]
    finally:
        for node in nodes:
            node.kill()
            node.wait()
    assert sum(evaluated) == 5

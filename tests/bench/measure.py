"""One run: start the subjects, warm them, measure them in turn, check what was kept, stop them.

Owns the order of things. Subjects stay started together; while one is measured the others are idle.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.figures import Figures, figures_of, median_of
from tests.bench.id_tokens import verify_sample
from tests.bench.operations import OPERATIONS, Load, Visit
from tests.bench.processes import Usage, list_processes, memory_mib, processor_ms
from tests.bench.wire import Conversation, converse

if TYPE_CHECKING:
    from tests.bench.subject import Subject

COUNTS = {
    "discovery": 8000,
    "client_credentials": 3000,
    "refresh": 1600,
    "userinfo": 4000,
    "introspection": 4000,
    "sso": 1200,
    "sign_in": 96,
    "sign_in_totp": 96,
}
"""Operations of one measurement, the same for every subject: two to four seconds each."""

WARM_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is made."""

    operations: tuple[str, ...] = OPERATIONS
    repetitions: int = 5
    visits: int = 8
    warm_seconds: float = 30.0
    scale: float = 1.0

    def count(self, operation: str) -> int:
        """Return how many operations one measurement has, at least one for each visit."""
        return max(self.visits, round(COUNTS[operation] * self.scale))


@dataclass(slots=True)
class Measured:
    """A subject in a run: its load and what was measured."""

    subject: Subject
    load: Load
    repetitions: dict[str, list[Figures]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    id_tokens_verified: int = 0

    def median(self, operation: str) -> Figures:
        """Return the medians of an operation."""
        return median_of(self.repetitions[operation])


def say(text: str) -> None:
    """Tell the person at the terminal what is going on."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def lanes(load: Load, operation: str, count: int) -> list[Callable[[], Conversation[None] | None]]:
    """Return a start for each visit; together they begin `count` operations."""
    left = [count]

    def lane(visit: Visit) -> Callable[[], Conversation[None] | None]:
        def start() -> Conversation[None] | None:
            if not left[0]:
                return None
            left[0] -= 1
            return load.conversation(operation, visit)

        return start

    return [lane(visit) for visit in load.visits]


def run_batch(load: Load, operation: str, count: int) -> tuple[list[float], float]:
    """Run `count` operations, all visits at a time; return the seconds of each and of all."""
    if operation == "sign_in_totp":
        time.sleep(load.people.seconds_until_free(count))
    outcome = converse(load.origin, lanes(load, operation, count))
    return outcome.seconds, outcome.elapsed


def read_usage(subject: Subject) -> Usage:
    """Return the processor time that the subject's processes have used so far."""
    groups, processes = subject.find_processes(), list_processes()
    return Usage(processor_ms(processes, groups.server), processor_ms(processes, groups.stores))


def _next(queue: list[Conversation[None]]) -> Conversation[None] | None:
    return queue.pop() if queue else None


def open_visits(load: Load) -> None:
    """Sign in the visits that stay, and let everybody else sign in and agree once, so that later no page asks them."""
    opening = [[load.open_visit(visit)] for visit in load.visits]
    converse(load.origin, [partial(_next, queue) for queue in opening])
    run_batch(load, "sign_in", len(load.people.waiting))


def renew_access(load: Load) -> None:
    """Give each visit a fresh access token, so that none expires in the middle of a measurement."""
    fresh = [[load.sso(visit)] for visit in load.visits]
    converse(load.origin, [partial(_next, queue) for queue in fresh])


def warm(load: Load, settings: Settings) -> None:
    """Run all operations in turn until the time is over; sign-ins with a code only while somebody has one to use."""
    until = time.monotonic() + settings.warm_seconds
    while time.monotonic() < until:
        for operation in settings.operations:
            count = max(settings.visits, math.ceil(settings.count(operation) * WARM_SHARE))
            if operation == "sign_in_totp" and load.people.seconds_until_free(count):
                continue
            run_batch(load, operation, count)


def measure(measured: Measured, operation: str, count: int) -> Figures:
    """Measure one repetition of one operation."""
    renew_access(measured.load)
    if operation == "sign_in_totp":
        time.sleep(measured.load.people.seconds_until_free(count))
    before = read_usage(measured.subject)
    seconds, elapsed = run_batch(measured.load, operation, count)
    used = read_usage(measured.subject).since(before)
    return figures_of(seconds, elapsed, used.server, used.stores)


def run(subjects: Sequence[Subject], settings: Settings) -> list[Measured]:
    """Measure the subjects in one run, interleaved; they are stopped whatever happens."""
    try:
        runs = []
        for subject in subjects:
            say(f"{subject.name}: starting")
            load = Load(subject.start(), settings.visits)
            say(f"{subject.name}: at {load.service.issuer}, {len(load.service.people)} people sign in once")
            open_visits(load)
            runs.append(Measured(subject, load))
        for each in runs:
            say(f"{each.subject.name}: warming for {settings.warm_seconds:.0f} s")
            warm(each.load, settings)
        for repetition in range(settings.repetitions):
            for operation in settings.operations:
                # The order alternates, so that whatever drifts on the machine drifts for all.
                for each in runs if repetition % 2 == 0 else reversed(runs):
                    figures = measure(each, operation, settings.count(operation))
                    each.repetitions.setdefault(operation, []).append(figures)
                    say(
                        f"{repetition + 1}/{settings.repetitions} {operation:18} {each.subject.name:14}"
                        f" {figures.server_ms:7.3f} + {figures.stores_ms:.3f} ms {figures.per_second:7.0f}/s"
                        f" p50 {figures.p50_ms:.1f} p99 {figures.p99_ms:.1f} ms"
                    )
        for each in runs:
            each.id_tokens_verified = verify_sample(each.load)
            groups = each.subject.find_processes()
            each.memory = {"server_mib": memory_mib(groups.server), "stores_mib": memory_mib(groups.stores)}
        return runs
    finally:
        for subject in subjects:
            subject.stop()

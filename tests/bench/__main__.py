"""The command `python -m tests.bench`: which subjects, how long, and what becomes of the figures."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING

from tests.bench import results, table
from tests.bench.measure import COUNTS, Settings, run, say
from tests.bench.oidc_provider import OidcProvider
from tests.bench.operations import OPERATIONS
from tests.bench.provider import Provider

if TYPE_CHECKING:
    from tests.bench.subject import Subject

PEOPLE_FOR_EACH_SIGN_IN = 3
BUSY_LOAD = 0.5


def choose_cores(*, shared: bool) -> frozenset[int] | None:
    """Return the cores of the subjects: the first half of what we may use; None where they share with the load."""
    available = sorted(os.sched_getaffinity(0))
    if shared or len(available) < 2:
        return None
    return frozenset(available[: len(available) // 2])


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    subjects = parser.add_mutually_exclusive_group()
    subjects.add_argument("--peer", action="store_true", help="measure the peer too, in the same run, interleaved")
    subjects.add_argument("--peer-alone", action="store_true", help="measure the peer alone")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--warm", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual number of operations (0.1: a quick look)")
    parser.add_argument("--operations", nargs="+", choices=OPERATIONS, default=OPERATIONS)
    parser.add_argument("--port", type=int, default=18500, help="first of forty ports on loopback")
    parser.add_argument("--shared-cores", action="store_true", help="do not keep the load off the subjects' cores")
    parser.add_argument("--keep", action="store_true", help="write the figures to tests/bench/results")
    return parser.parse_args()


def main() -> int:
    """Measure, print the tables, and keep the figures where asked to."""
    arguments = read_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    settings = Settings(
        operations=tuple(arguments.operations),
        repetitions=arguments.repetitions,
        warm_seconds=arguments.warm,
        scale=arguments.scale,
    )
    cores = choose_cores(shared=arguments.shared_cores)
    people = settings.visits + PEOPLE_FOR_EACH_SIGN_IN * max(settings.visits, round(COUNTS["sign_in_totp"] * settings.scale))
    subjects: list[Subject] = []
    if not arguments.peer_alone:
        subjects.append(Provider(arguments.port, people, cores))
    if arguments.peer or arguments.peer_alone:
        subjects.append(OidcProvider(arguments.port + 20, people, cores))
    load_before = os.getloadavg()[0]
    if load_before > BUSY_LOAD:
        say(f"the machine is busy (load {load_before:.1f}): compare only ratios, and measure again when it is quiet")
    document = results.as_document(run(subjects, settings), settings, cores, load_before)
    sys.stdout.write(table.render(document))
    if arguments.keep:
        sys.stdout.write(f"\nkept in results/{results.write(document).name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

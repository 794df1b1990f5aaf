"""Writes the tables of `docs/performance.md` from committed results: `python -m tests.bench.table`.

Owns the text between the two markers there, and the targets. Pure apart from reading and writing those files.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.results import read_newest

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN = "<!-- measured: begin (written by make bench-table from tests/bench/results; do not edit) -->"
END = "<!-- measured: end -->"
OURS = "motcua"

TITLES = {
    "discovery": "discovery",
    "client_credentials": "client credentials",
    "refresh": "refresh",
    "userinfo": "userinfo",
    "introspection": "introspection",
    "sso": "SSO code flow (authorize + token)",
    "sign_in": "cold sign-in, password",
    "sign_in_totp": "cold sign-in, password and TOTP",
}
TARGETS = {
    "discovery": 1.5,
    "client_credentials": 1.0,
    "refresh": 0.8,
    "userinfo": 0.8,
    "introspection": 0.8,
    "sso": 0.9,
    "sign_in": 1.0,
    "sign_in_totp": 1.0,
}
"""The most that server and stores may cost, as a share of what the peer costs in the same run."""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_row(head), _row(["---", *["---:"] * (len(head) - 1)]), *(_row(row) for row in rows)]


def _median(subject: dict[str, Any], operation: str) -> dict[str, float]:
    median: dict[str, float] = subject["operations"][operation]["median"]
    return median


def total_ms(figures: dict[str, float]) -> float:
    """Return processor milliseconds of server and stores together."""
    return figures["server_ms"] + figures["stores_ms"]


def ratio(ours: dict[str, Any], peer: dict[str, Any], operation: str) -> float:
    """Return what an operation costs us as a share of what it costs the peer.

    The median of the ratios of neighbouring measurements: what slows the machine for a while slows both of a pair.
    """
    pairs = zip(ours["operations"][operation]["repetitions"], peer["operations"][operation]["repetitions"], strict=True)
    return statistics.median(total_ms(one) / total_ms(other) for one, other in pairs)


def processor_table(subjects: Sequence[dict[str, Any]], operations: Sequence[str]) -> list[str]:
    """Return processor time per operation, and beside two subjects the ratio, its target and whether it is met."""
    head = ["CPU ms per operation"]
    for subject in subjects:
        head += [f"{subject['name']}: server", "stores", "together"]
    compared = len(subjects) > 1
    rows = []
    for operation in operations:
        cells = [TITLES[operation]]
        for subject in subjects:
            figures = _median(subject, operation)
            cells += [f"{value:.2f}" for value in (figures["server_ms"], figures["stores_ms"], total_ms(figures))]
        if compared:
            share = ratio(subjects[0], subjects[1], operation)
            target = TARGETS[operation]
            cells += [f"**{share:.2f}**", f"≤ {target:.1f}", "met" if round(share, 2) <= target else "missed"]
        rows.append(cells)
    return _table(head + (["ratio", "target", ""] if compared else []), rows)


def latency_table(subjects: Sequence[dict[str, Any]], operations: Sequence[str]) -> list[str]:
    """Return throughput and latencies of each subject."""
    head = ["eight sessions at a time"]
    for subject in subjects:
        head += [f"{subject['name']}: per s", "p50 ms", "p99 ms"]
    rows = []
    for operation in operations:
        cells = [TITLES[operation]]
        for subject in subjects:
            figures = _median(subject, operation)
            cells += [f"{figures['per_second']:.0f}", f"{figures['p50_ms']:.1f}", f"{figures['p99_ms']:.1f}"]
        rows.append(cells)
    return _table(head, rows)


def memory_table(subjects: Sequence[dict[str, Any]]) -> list[str]:
    """Return the proportional set size of each subject after the load."""
    rows = [[each["name"], f"{each['memory']['server_mib']:.0f}", f"{each['memory']['stores_mib']:.0f}"] for each in subjects]
    return _table(["memory (PSS) after the load, MiB", "server", "stores"], rows)


def circumstances(document: dict[str, Any]) -> list[str]:
    """Return the sentences that say when, where, on what and how it was measured."""
    machine, settings = document["machine"], document["settings"]
    on = machine["cores_of_subjects"]
    where = f"subjects on {len(on)} of them, the load on the rest" if on else "subjects and load share them"
    first = (
        f"Measured {document['at'].split('T')[0]} on {machine['processor']} ({'with' if machine['avx2'] else 'without'} AVX2), "
        f"{machine['cores']} cores ({where}), {machine['memory_mib'] // 1024} GiB, Linux {machine['kernel']}, "
        f"load {machine['load_before']} before; "
        f"medians of {settings['repetitions']} interleaved repetitions (ratios: of neighbouring ones), "
        f"{settings['sessions_at_a_time']} sessions at a time, "
        f"each subject warmed for {settings['warm_seconds']:.0f} s."
    )
    lines = [first]
    for subject in document["subjects"]:
        versions = ", ".join(f"{name} {number}" for name, number in subject["versions"].items())
        lines.append(f"{subject['name']}: {versions}; {subject['id_tokens_verified']} sampled ID tokens verified.")
    return lines


def render(document: dict[str, Any]) -> str:
    """Return the whole measured part as Markdown."""
    subjects = sorted(document["subjects"], key=lambda each: each["name"] != OURS)
    operations = [name for name in TITLES if all(name in each["operations"] for each in subjects)]
    parts = [
        processor_table(subjects, operations),
        latency_table(subjects, operations),
        memory_table(subjects),
        ["  \n".join(circumstances(document))],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def place(text: str, measured: str) -> str:
    """Return a document with the part between the markers replaced."""
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        message = "the document lacks the two markers of the measured part"
        raise ValueError(message)
    return f"{before}{BEGIN}\n\n{measured}\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Rewrite the document, or with --check say whether it is what the committed results give."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.table", description=__doc__)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the document is out of date")
    options = parser.parse_args(arguments)
    before = options.document.read_text(encoding="utf-8")
    after = place(before, render(read_newest(OURS)))
    if options.check and after != before:
        sys.stderr.write(f"{options.document.name} is not what the newest results say: make bench-table\n")
        return 1
    if not options.check:
        options.document.write_text(after, encoding="utf-8")
        sys.stdout.write(f"{options.document.name} written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Write the tables of `docs/conformance.md` from the committed raw results: `python -m tests.conformance.table`.

Only the part between the two marker comments is replaced. Exit status 1 when a module failed, when a warning has no
explanation in `explanations.json`, or, with --check, when the document is not what the results say.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from tests.conformance.configurations import PLAN_NAMES
from tests.conformance.outcomes import RESULTS, ModuleOutcome, PlanOutcome

HERE = Path(__file__).parent
EXPLANATIONS = HERE / "explanations.json"
DOCUMENT = HERE.parent.parent / "docs" / "conformance.md"

BEGIN = "<!-- conformance:begin -->"
END = "<!-- conformance:end -->"

COLUMNS = {
    "PASSED": "passed",
    "REVIEW": "passed with a picture",
    "WARNING": "passed with a warning",
    "SKIPPED": "skipped",
    "FAILED": "failed",
}
"""The suite's results in the order of the columns, and our words for them."""


def main(arguments: list[str] | None = None) -> int:
    """Write or check the document; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.table", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the raw results")
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the document is out of date")
    options = parser.parse_args(arguments)
    outcomes = load_outcomes(options.results)
    explanations = json.loads(EXPLANATIONS.read_text(encoding="utf-8"))
    before = options.document.read_text(encoding="utf-8")
    if BEGIN not in before or END not in before:
        click.echo(f"{options.document} lacks the marker comments:\n{BEGIN}\n{END}", err=True)
        return 1
    after = put_between_markers(before, render(outcomes, explanations))
    complaints = find_complaints(outcomes, explanations)
    if options.check and after != before:
        complaints.append(f"{options.document} is not what the raw results say: run the command without --check")
    if not options.check:
        options.document.write_text(after, encoding="utf-8")
    for complaint in complaints:
        click.echo(complaint, err=True)
    return 1 if complaints else 0


def load_outcomes(folder: Path = RESULTS) -> list[PlanOutcome]:
    """Read the raw results that are there, in the order in which plans are run."""
    return [PlanOutcome.load(folder / f"{name}.json") for name in PLAN_NAMES if (folder / f"{name}.json").exists()]


def find_complaints(outcomes: Iterable[PlanOutcome], explanations: Mapping[str, str]) -> list[str]:
    """Say what may not stand in the document: failed modules, and warnings that nobody explained."""
    complaints = []
    for outcome in outcomes:
        for module in outcome.modules:
            if not module.is_good:
                complaints.append(f"{outcome.plan}: {module.module} is {module.result}")
            complaints += [
                f"{outcome.plan}: {module.module}: {warning.condition} is not explained in {EXPLANATIONS.name}"
                for warning in module.warnings
                if warning.condition not in explanations
            ]
    return complaints


def put_between_markers(document: str, text: str) -> str:
    """Return the document with everything between its markers replaced."""
    before, rest = document.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def render(outcomes: list[PlanOutcome], explanations: Mapping[str, str]) -> str:
    """Return the summary, the modules of each plan by result, and the remarks on warnings and skipped modules."""
    parts = [_summary(outcomes), *(_modules(outcome) for outcome in outcomes), _remarks(outcomes, explanations)]
    return "\n".join(part for part in parts if part)


def _summary(outcomes: list[PlanOutcome]) -> str:
    heads = ["plan", "modules", *COLUMNS.values(), "conditions passed", "suite", "date"]
    rows = []
    for outcome in outcomes:
        results = outcome.results()
        counts = [str(results[column]) for column in COLUMNS]
        suite = f"{outcome.suite['version']} (`{outcome.suite['revision']}`)"
        passed = str(outcome.conditions()["SUCCESS"])
        rows.append([f"`{outcome.plan}`", str(len(outcome.modules)), *counts, passed, suite, outcome.date])
    return _table(heads, rows)


def _modules(outcome: PlanOutcome) -> str:
    rows = []
    for result, words in COLUMNS.items():
        names = [f"`{module.module}`" for module in outcome.modules if module.result == result]
        if names:
            rows.append([words, str(len(names)), ", ".join(names)])
    return f"### {outcome.plan}\n\n{_table(['result', 'modules', 'which'], rows)}"


def _remarks(outcomes: list[PlanOutcome], explanations: Mapping[str, str]) -> str:
    rows: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        for module in outcome.modules:
            for what, why in _said_of(module, explanations):
                rows.setdefault((module.module, what), [f"`{module.module}`", what, why])
    if not rows:
        return ""
    return f"### Warnings and skipped modules\n\n{_table(['module', 'what the suite says', 'why'], list(rows.values()))}"


def _said_of(module: ModuleOutcome, explanations: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for warning in module.warnings:
        yield warning.message, explanations.get(warning.condition, "")
    if module.skipped_because:
        yield module.skipped_because, explanations.get(module.module, "")


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

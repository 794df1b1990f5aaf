"""Run the suite's plans against a provider: `python -m tests.conformance.drive --suite URL --issuer URL`.

Prints one line for each module as it ends, keeps the raw result of each whole plan and a table at the end.
Exit status 1 when any module failed, 2 when the run could not be made.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tests.conformance.configurations import (
    PLAN_NAMES,
    SECRET_NAMES,
    ConfigurationError,
    Plan,
    choose_account,
    load_plan,
)
from tests.conformance.outcomes import RESULTS, ModuleOutcome, PlanOutcome, judge
from tests.conformance.pages import Visitor
from tests.conformance.suite import Module, Suite, SuiteError

MODULE_SECONDS = 120
"""The longest module waits 30 seconds by itself; the suite's own waits for a callback end within 60."""


def main(arguments: list[str] | None = None) -> int:
    """Run the plans; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        with Suite(options.suite, options.ca) as suite:
            outcomes = _run_plans(suite, options)
    except (ConfigurationError, SuiteError) as error:
        click.echo(f"conformance: {error}", err=True)
        return 2
    _print_table(outcomes)
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.drive", description=__doc__)
    parser.add_argument("--suite", required=True, help="address of the running suite, https://localhost:8443")
    parser.add_argument("--issuer", required=True, help="the provider's issuer; the suite wants https")
    parser.add_argument("--plan", action="append", choices=PLAN_NAMES, help="only this plan (may be repeated)")
    parser.add_argument("--module", action="append", help="only this module (may be repeated); keeps no result")
    parser.add_argument("--alias", default=os.environ.get("ALIAS") or "motcua", help="the part of the callbacks' path")
    parser.add_argument("--demo", type=Path, help="file with the output of `idp demo --json`")
    parser.add_argument("--account", help="name or username of the demo account to sign in with")
    parser.add_argument("--ca", help="file of roots to trust for the suite's certificate")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where raw results go")
    parser.add_argument("--pages", type=Path, help="folder for the pages that modules wanted a picture of")
    return parser


def _run_plans(suite: Suite, options: argparse.Namespace) -> list[PlanOutcome]:
    version = suite.version()
    click.echo(f"suite {version['version']}, revision {version['revision']}, at {suite.address}")
    username, password = _account(options)
    issuer = options.issuer.rstrip("/")
    visitor = Visitor(issuer, suite.address, username, password)
    words = {name: os.environ.get(name, "") for name in SECRET_NAMES}
    words |= {"ISSUER": issuer, "SUITE": suite.address, "ALIAS": options.alias}
    plans = [load_plan(name, visitor, words) for name in options.plan or PLAN_NAMES]
    outcomes = []
    for plan in plans:
        outcome = _run_plan(suite, plan, version, options)
        outcomes.append(outcome)
        if not options.module:
            click.echo(f"  kept in {outcome.save(options.results)}")
    return outcomes


def _account(options: argparse.Namespace) -> tuple[str, str]:
    username = os.environ.get("CONFORMANCE_USERNAME", "")
    password = os.environ.get("CONFORMANCE_PASSWORD", "")
    if username and password:
        return username, password
    if options.demo is None:
        message = "whom to sign in? Give --demo FILE (from `idp demo --json`) or CONFORMANCE_USERNAME and _PASSWORD"
        raise ConfigurationError(message)
    demo: dict[str, Any] = json.loads(options.demo.read_text(encoding="utf-8"))
    return choose_account(demo, options.account)


def _run_plan(suite: Suite, plan: Plan, version: dict[str, Any], options: argparse.Namespace) -> PlanOutcome:
    identifier, modules = suite.create_plan(plan.name, plan.variant, plan.configuration)
    click.echo(f"\n{plan.name}: {suite.address}/plan-detail.html?plan={identifier}")
    chosen = [module for module in modules if not options.module or module.name in options.module]
    ended = [_run_module(suite, identifier, module, options.pages) for module in chosen]
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    return PlanOutcome(plan.name, plan.variant, version, date, options.issuer.rstrip("/"), ended)


def _run_module(suite: Suite, plan: str, module: Module, pages: Path | None) -> ModuleOutcome:
    begun = time.monotonic()
    identifier = suite.start(plan, module)
    note = ""
    if not suite.wait_for_end(identifier, MODULE_SECONDS):
        note = _where_it_stands(suite, identifier)
        suite.stop(identifier)
    log = suite.log(identifier)
    seconds = time.monotonic() - begun
    outcome = judge(module.name, module.variant, suite.info(identifier), log, seconds=seconds, note=note)
    if pages is not None:
        _keep_pages(pages, module.name, log)
    _print_module(outcome, f"{suite.address}/log-detail.html?log={identifier}")
    return outcome


def _where_it_stands(suite: Suite, module: str) -> str:
    """Why a module did not end, for a reader who was not there."""
    addresses = [str(page.get("currentUrl", "")).split("?")[0] for page in suite.browser_pages(module)]
    waiting = [entry for entry in suite.log(module) if "upload" in entry]
    if waiting:
        return f"waited for a picture that no page gave: {waiting[0].get('msg', '')}"
    where = f"; the browser stood at {', '.join(addresses)}" if addresses else "; no browser was under way"
    return f"still running after {MODULE_SECONDS} s{where}"


def _keep_pages(folder: Path, module: str, log: list[dict[str, Any]]) -> None:
    """Put the pages that stand for pictures into a folder, for one look at each."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = [entry["page_source"] for entry in log if "matched_regexp" in entry and "page_source" in entry]
    for number, source in enumerate(sources, start=1):
        (folder / f"{module}-{number}.html").write_text(source, encoding="utf-8")


def _print_module(outcome: ModuleOutcome, address: str) -> None:
    click.echo(f"  {outcome.result:<8} {outcome.seconds:>6.1f} s  {outcome.module}")
    for kind, findings in (("warning", outcome.warnings), ("failure", outcome.failures)):
        for finding in findings:
            click.echo(f"      {kind}: {finding.condition}: {finding.message}")
    if outcome.note:
        click.echo(f"      {outcome.note}")
    if outcome.missing_pictures:
        click.echo(f"      {outcome.missing_pictures} picture(s) missing")
    if not outcome.is_good:
        click.echo(f"      {address}")


def _print_table(outcomes: list[PlanOutcome]) -> None:
    columns = ("PASSED", "REVIEW", "WARNING", "SKIPPED", "FAILED")
    click.echo(f"\n{'plan':<64}{''.join(f'{column:>9}' for column in columns)}{'conditions':>12}")
    for outcome in outcomes:
        results = outcome.results()
        other = sum(results.values()) - sum(results[column] for column in columns)
        cells = "".join(f"{results[column] + (other if column == 'FAILED' else 0):>9}" for column in columns)
        click.echo(f"{outcome.plan:<64}{cells}{outcome.conditions()['SUCCESS']:>12}")


if __name__ == "__main__":
    sys.exit(main())

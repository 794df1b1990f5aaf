"""Make what a run needs before the clients are imported: `python -m tests.conformance.prepare --suite URL --into DIR`.

Writes one file of `NAME=value` lines that a shell, `idp clients import` and the driver read: the suite's address, the
alias and one secret for each client. Secrets are made once and kept, so that a second import changes nothing.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from tests.conformance.configurations import SECRET_NAMES

FILE_NAME = "environment"


def main(arguments: list[str] | None = None) -> int:
    """Write the file and say where it is; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.prepare", description=__doc__)
    parser.add_argument("--suite", required=True, help="address of the running suite")
    parser.add_argument("--alias", default="motcua", help="the part of the callbacks' path")
    parser.add_argument("--into", type=Path, required=True, help="folder for the file; it is readable by its owner alone")
    options = parser.parse_args(arguments)
    click.echo(prepare(options.into, options.suite, options.alias))
    return 0


def prepare(folder: Path, suite: str, alias: str) -> Path:
    """Write the file that declarations and plans are filled from, and return its path; secrets in it stay."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    kept = read_environment(path) if path.exists() else {}
    words = {"SUITE": suite.rstrip("/"), "ALIAS": alias}
    words |= {name: kept.get(name) or secrets.token_urlsafe(32) for name in SECRET_NAMES}
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text("".join(f"{name}={word}\n" for name, word in words.items()), encoding="utf-8")
    return path


def read_environment(path: Path) -> Mapping[str, str]:
    """Return the names and values of a file that `prepare` wrote."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


if __name__ == "__main__":
    sys.exit(main())

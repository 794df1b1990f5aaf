"""The command `idp`: what an operator does at a terminal or from a program.

Every command says on standard error what it is doing, prints what it found or made on standard output (with `--json` as one JSON
document), and ends with 0 when it was done, 1 when it was refused, with one sentence that says why, and 2 when it was called
wrongly. A group is loaded only when it is asked for.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Final

import click

from idp.cli.frame import Frame, outcome_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS: Final = {
    "accounts": "idp.cli.accounts:accounts",
    "audit": "idp.cli.audit:audit",
    "check": "idp.cli.checking:check",
    "clients": "idp.cli.clients:clients",
    "demo": "idp.cli.demo:demo",
    "grants": "idp.cli.grants:grants",
    "keys": "idp.cli.keys:keys",
    "migrate": "idp.cli.serving:migrate",
    "serve": "idp.cli.serving:serve",
    "sessions": "idp.cli.sessions:sessions",
    "throttle": "idp.cli.throttle:throttle",
    "worker": "idp.cli.serving:worker",
}


class _Commands(click.Group):
    """The commands, each imported when it is first named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command = getattr(importlib.import_module(module), name)
        return command if isinstance(command, click.Command) else None


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="motcua")
def idp() -> None:
    """Một Cửa: an OpenID Connect identity provider. Settings come from the environment (IDP_…); docs/operate.md names them."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return what the shell gets to see."""
    frame = Frame()
    frame.as_json = "--json" in (sys.argv[1:] if arguments is None else arguments)  # a wrong call is refused before it is read
    return outcome_of(lambda: idp.main(arguments, prog_name="idp", standalone_mode=False, obj=frame), frame)


def main() -> None:
    """Run the command that this process was called with, and end."""
    sys.exit(run())

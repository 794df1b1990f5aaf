"""What every command has in common: how it answers, how it refuses, and who is named as its operator.

Owns the two forms of an answer (for people, for programs) and the exit codes. Must not know any command.
"""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

import click

from idp.audit.model import Origin
from idp.kernel.refusals import Refusal, Unavailable
from idp.storage.breaker import EngineAway

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

F = TypeVar("F", bound=Callable[..., Any])

DONE: Final = 0
REFUSED: Final = 1
MISUSED: Final = 2
_INTERRUPTED: Final = 130
_EARLIEST: Final = 1900
_LATEST: Final = 9998
"""Every zone of the world can tell an instant between, and people only mean such."""


class Frame:
    """One call of a command: whether a program asked, and how it is answered."""

    def __init__(self) -> None:
        """Begin with a person who asked."""
        self.as_json = False

    def answer(self, document: object, lines: str | Iterable[str], *, on_one_line: bool = False) -> None:
        """Print `document` for a program, or `lines` for a person."""
        if self.as_json:
            click.echo(encode(document, on_one_line=on_one_line))
            return
        for line in [lines] if isinstance(lines, str) else lines:
            click.echo(printable(line))

    def say(self, line: str) -> None:
        """Tell what is being done, on standard error."""
        click.echo(line, err=True)

    def refuse(self, code: str, sentence: str) -> int:
        """Say why nothing was done, and return the exit code for it."""
        if self.as_json:
            click.echo(encode({"error": code, "message": sentence}))
        self.say("idp: " + printable(sentence))
        return REFUSED


def outcome_of(act: Callable[[], object], frame: Frame) -> int:
    """Run `act` and return its exit code, every refusal told as one sentence."""
    try:
        ended = act()
    except click.ClickException as error:
        error.show()
        if frame.as_json:
            click.echo(encode({"error": "cli.misused", "message": error.format_message()}))
        return MISUSED
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is said about it at the end
        return DONE
    except Refusal as refusal:
        return frame.refuse(refusal.code, sentence_of(refusal))
    except Exception as error:
        sentence = _sentence_of_database(error)
        if sentence is None:
            raise
        return frame.refuse("storage.refused", sentence)
    return ended if isinstance(ended, int) else DONE


def sentence_of(refusal: Refusal) -> str:
    """Return why, as a sentence: the refusal's own words, or what its class means."""
    if isinstance(refusal, EngineAway):
        return f"Something that is needed does not answer ({refusal.detail}): see idp check, or try again in {refusal.retry_after} s."
    later = f"; try again in {refusal.retry_after} s" if isinstance(refusal, Unavailable) else ""
    if " " in refusal.detail:
        text = refusal.detail.removesuffix(".")
        names_a_field = text.split()[0].endswith(":") or hasattr(refusal, "field")
        return f"{text if names_a_field else text[0].upper() + text[1:]}{later}."
    meaning = " ".join((type(refusal).__doc__ or refusal.code).split("\n\n")[0].split())
    return meaning if refusal.detail in {"", refusal.code} else f"{meaning} ({refusal.detail})"


def _sentence_of_database(error: Exception) -> str | None:
    """Return what an operator can do about an error of the database's, or None for a fault of ours. Never its values."""
    import psycopg
    from sqlalchemy.exc import DBAPIError

    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return None
    if isinstance(cause, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn | psycopg.errors.UndefinedFunction):
        return "The database is not at the schema of this version: run idp migrate."
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        return "The role of this database URL may not do that: see docs/operate.md on roles."
    if isinstance(cause, psycopg.OperationalError):
        return "The database cannot be reached, or closed the connection: see idp check."
    return f"The database refused ({type(cause).__name__})."


# options --------------------------------------------------------------------------------------------------------------------


def _note_form(context: click.Context, _parameter: click.Parameter, value: bool) -> Frame:  # noqa: FBT001 - click's signature
    frame = context.find_object(Frame) or Frame()
    frame.as_json = frame.as_json or value
    return frame


def _note_operator(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Origin:
    return Origin.operated(value or _own_name())


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"account {os.getuid()}"


def answering(command: F) -> F:
    """Give a command `--json` and its first keyword `frame`."""
    return click.option(
        "--json", "frame", is_flag=True, callback=_note_form, expose_value=True, help="Print one JSON document on standard output."
    )(command)


def operated(command: F) -> F:
    """Give a command that changes something, or shows what is held of a person or client, `--by`, for the record: the keyword `origin`."""
    return click.option(
        "--by",
        "origin",
        metavar="NAME",
        type=Words(100),
        callback=_note_operator,
        help="Who does this, for the record; else your account here.",
    )(command)


def read_instant(text: str | None, zone: ZoneInfo) -> datetime | None:
    """Return an instant in ISO 8601; one without an offset is in `zone`.

    Raises:
        click.BadParameter: it is none.
    """
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text[:60]!r} is not an instant such as 2026-12-31T17:00 or 2026-12-31") from None
    if not _EARLIEST <= read.year <= _LATEST:
        raise click.BadParameter(f"the year {read.year} is not between {_EARLIEST} and {_LATEST}")
    return read if read.tzinfo is not None else read.replace(tzinfo=zone)


class Words(click.ParamType[str]):
    """A sentence or name for the record: at most `most` characters, on one line, and nothing that is not seen.

    An empty one passes: who needs one refuses it.
    """

    name = "text"

    def __init__(self, most: int = 500) -> None:
        self.most = most

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it without spaces at its ends; refuses what would not be read as it was meant."""
        text = value.strip()
        if len(text) > self.most:
            self.fail(f"has more than {self.most} characters", param, ctx)
        if printable(text) != text:
            self.fail("holds line breaks, or characters that are not seen", param, ctx)
        return text


# forms of an answer -----------------------------------------------------------------------------------------------------------


def printable(line: str) -> str:
    """Return a line on which stored words can neither begin another one nor tell a terminal anything."""
    return "".join(each if each.isprintable() or each == "\u00a0" else ascii(each)[1:-1] for each in line)


def encode(document: object, *, on_one_line: bool = False) -> str:
    """Return `document` as JSON, on several lines where people may read it too."""
    return json.dumps(document, ensure_ascii=False, indent=None if on_one_line else 2, default=plain)


def counted(count: int, noun: str) -> str:
    """Return how many there are of something: `1 counter`, `2 counters`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def local(instant: datetime, zone: ZoneInfo) -> str:
    """Return an instant as people read it everywhere here: to the second, and in which zone."""
    return instant.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def plain(value: object) -> object:
    """Return what JSON has no word for, as it is written everywhere here."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str = "Nothing.") -> list[str]:
    """Return lines of columns that stand below each other."""
    if not rows:
        return [empty]
    cells = [list(headers), *([_cell(each) for each in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(headers))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def pairs(of: Mapping[str, object]) -> list[str]:
    """Return a line for each name and value that is there."""
    width = max((len(name) for name in of), default=0)
    return [f"{name.ljust(width)}  {_cell(value)}" for name, value in of.items() if value not in (None, "", (), [])]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(str(each) for each in (value if isinstance(value, list | tuple) else sorted(value)))
    return str(value)

"""How a command line names an account: by the personal number of its person, or by the account's id."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from idp.accounts.model import NoSuchAccount

if TYPE_CHECKING:
    from idp.rooms import Rooms

F = TypeVar("F", bound=Callable[..., Any])


def of_account(command: F) -> F:
    """Give a command the argument ACCOUNT, the keyword `account`."""
    return click.argument("account", metavar="ACCOUNT")(command)


def account_id_of(rooms: Rooms, account: str) -> UUID:
    """Return the id of the account that `account` names.

    Raises:
        NoSuchAccount: it names none; what was typed is not repeated.
    """
    try:
        return UUID(account)
    except ValueError:
        found = rooms.accounts.find_by_number(account)
    if found is None:
        raise NoSuchAccount
    return found.account_id


def id_of(_context: click.Context, _parameter: click.Parameter, value: str | None) -> UUID | None:
    """Return an id that was typed (a callback of click's)."""
    if value is None:
        return None
    try:
        return UUID(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not an id such as 01978f3a-…; list commands print them") from None

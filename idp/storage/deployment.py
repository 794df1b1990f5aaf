"""The mark on a database: what it is for, and in whose name it issues (law 11). Written by the owner role alone.

A database of production and one of demonstrations or tests never become each other: whoever starts with the wrong one is stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg

from idp.kernel.refusals import Refusal
from idp.storage.postgres import CONNECT_FOR

if TYPE_CHECKING:
    from idp.storage.postgres import Database

PRODUCTION: Final = "production"

FIND: Final = "SELECT mode, issuer FROM deployment"
_WRITE: Final = """
INSERT INTO deployment (mode, issuer) VALUES (%(mode)s, %(issuer)s)
ON CONFLICT (one) DO UPDATE SET mode = excluded.mode, issuer = excluded.issuer
WHERE (deployment.mode, deployment.issuer) IS DISTINCT FROM (excluded.mode, excluded.issuer)
"""


class WrongDatabase(Refusal):
    """The database is marked for something else than these settings; the sentence says what to change."""

    code = "storage.wrong_database"


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a database is marked for."""

    mode: str
    issuer: str


def find_deployment(database: Database) -> Deployment | None:
    """Return the mark, or None on a database that was migrated and not marked.

    Raises:
        EngineAway: the database did not answer.
    """
    row = database.step(FIND, {})
    return None if row is None else Deployment(row.mode, row.issuer)


def require_fitting(found: Deployment | None, wanted: Deployment) -> None:
    """Let only a database pass that is marked for what it is used for.

    Raises:
        WrongDatabase: it is not.
    """
    if found is None:
        raise WrongDatabase("the database is not marked yet: run idp migrate with the owner's URL")
    require_same_kind(found, wanted)
    if found.issuer != wanted.issuer:
        raise WrongDatabase(
            f"the database issues in the name of {found.issuer}: set IDP_ISSUER to that, or use another database than its own"
        )


def write_deployment(owner_url: str, wanted: Deployment) -> Deployment:
    """Mark a migrated database, as its owner, or find it marked so; return the mark.

    In demo and test the issuer moves with the ports; in production it never changes, since every `iss` would.

    Raises:
        WrongDatabase: it is marked for something else.
    """
    with psycopg.connect(owner_url, connect_timeout=CONNECT_FOR) as connection:
        row = connection.execute(FIND).fetchone()
        found = None if row is None else Deployment(str(row[0]), str(row[1]))
        if found is not None:
            require_same_kind(found, wanted)
            if wanted.mode == PRODUCTION:
                require_fitting(found, wanted)
        connection.execute(_WRITE, {"mode": wanted.mode, "issuer": wanted.issuer})
    return wanted


def require_same_kind(found: Deployment | None, wanted: Deployment) -> None:
    """Let a database pass that has no mark yet, or one of the same kind: production, or demo and test.

    Raises:
        WrongDatabase: it is of the other kind.
    """
    if found is not None and (found.mode == PRODUCTION) != (wanted.mode == PRODUCTION):
        raise WrongDatabase(
            f"the database is marked {found.mode} and IDP_MODE is {wanted.mode}: use a database of its own for each, never this one"
        )

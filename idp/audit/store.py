"""Table `audit_event`, and the two ways to write it: a fragment inside a hot statement, and a statement of its own.

`leaf = sha256(0x00 || salt || id || at || related ids || sha256(body))`; see the function `audit_leaf` of the first migration.
No position is given at insert: that would serialize everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from idp.kernel.clock import microseconds
from idp.kernel.digests import random_bytes
from idp.kernel.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from idp.audit.model import Event
    from idp.storage.postgres import Transaction

_SALT_BYTES = 16


def written_by(outcome: str, outcomes: tuple[str, ...], **ids: str) -> str:
    """Return the INSERT that records what a hot statement decided: the body of a `WITH … AS (…)` member.

    `outcome` is the CTE with a text column `outcome`, one row at most; `outcomes` are its possible values, each of which has the
    parameters `kind_<outcome>` and `body_<outcome>` (see `bodies`); `ids` maps related ids to SQL expressions over that CTE.
    """
    kinds = " ".join(f"WHEN '{each}' THEN %(kind_{each})s" for each in outcomes)
    texts = " ".join(f"WHEN '{each}' THEN %(body_{each})s::bytea" for each in outcomes)
    related = ", ".join(f"({ids.get(name, 'NULL')})::uuid AS {name}" for name in RELATED)
    return f"""
        INSERT INTO audit_event (id, at, kind, account_id, client_id, session_id, family_id, object_id, body, salt, leaf)
        SELECT %(audit_id)s, %(now)s, e.kind, e.account_id, e.client_id, e.session_id, e.family_id, e.object_id, e.body, %(audit_salt)s,
               audit_leaf(%(audit_salt)s, %(audit_id)s, %(now_microseconds)s, e.account_id, e.client_id, e.session_id, e.family_id,
                          e.object_id, e.body)
        FROM (SELECT CASE {outcome}.outcome {kinds} END AS kind, CASE {outcome}.outcome {texts} END AS body, {related}
              FROM {outcome}) e"""


RELATED = ("account_id", "client_id", "session_id", "family_id", "object_id")
"""The related ids in the order in which the leaf hashes them."""


def bodies(now: datetime, **events: Event) -> dict[str, object]:
    """Return the parameters that `written_by` needs: the instant, an id, a salt, and a kind and body for each outcome."""
    parameters: dict[str, object] = {
        "now": now,
        "now_microseconds": microseconds(now),
        "audit_id": new_id(now),
        "audit_salt": random_bytes(_SALT_BYTES),
    }
    for outcome, event in events.items():
        parameters["kind_" + outcome] = event.kind
        parameters["body_" + outcome] = event.encode()
    return parameters


def record(transaction: Transaction, event: Event, now: datetime, ids: Mapping[str, UUID | None] | None = None) -> UUID:
    """Write `event` in the transaction of the change it describes, with its related `ids`; return its id."""
    parameters = bodies(now, event=event)
    related = {name: (ids or {}).get(name) for name in RELATED}
    transaction.run(_RECORD, parameters | related)
    return UUID(str(parameters["audit_id"]))


_RECORD = "WITH happened AS (SELECT 'event'::text AS outcome)" + written_by(
    "happened", ("event",), **{name: f"%({name})s" for name in RELATED}
)

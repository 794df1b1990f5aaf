"""Table `audit_event`, and the two ways to write it: a fragment inside a hot statement, and a statement of its own.

`leaf = sha256(0x00 || salt || id || at || related ids || sha256(body))`; see the function `audit_leaf` of the first migration.
No position is given at insert: that would serialize everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
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

OUTCOME: Final = "\0"
"""The `reason` of an event that has many: stands for the outcome that the statement comes to. No value that was sent can hold it."""

_ENCODED_OUTCOME: Final = b"\\u0000"


def written_by(outcome: str, events: Mapping[str, type[Event]], otherwise: type[Event] | None = None, **ids: str) -> str:
    """Return the INSERT that records what a hot statement decided: the body of a `WITH … AS (…)` member.

    `outcome` is the CTE with a text column `outcome`, one row at most; `events` says which event each of its possible values is,
    and each of them has the parameter `body_<outcome>` (see `bodies`). Every other value is the event `otherwise`, whose `reason`
    is that value. `ids` maps related ids to SQL expressions over that CTE.
    """
    kinds = " ".join(f"WHEN '{name}' THEN '{event.kind}'" for name, event in events.items())
    texts = " ".join(f"WHEN '{name}' THEN %(body_{name})s::bytea" for name in events)
    if otherwise is not None:
        kinds += f" ELSE '{otherwise.kind}'"
        texts += f" ELSE %(body_before)s::bytea || convert_to({outcome}.outcome, 'UTF8') || %(body_after)s::bytea"
    return _insert(f"CASE {outcome}.outcome {kinds} END", f"CASE {outcome}.outcome {texts} END", outcome, ids)


def _insert(kind: str, body: str, source: str, ids: Mapping[str, str]) -> str:
    related = ", ".join(f"({ids.get(name, 'NULL')})::uuid AS {name}" for name in RELATED)
    return f"""
        INSERT INTO audit_event (id, at, kind, account_id, client_id, session_id, family_id, object_id, body, salt, leaf)
        SELECT %(audit_id)s, %(now)s, e.kind, e.account_id, e.client_id, e.session_id, e.family_id, e.object_id, e.body, %(audit_salt)s,
               audit_leaf(%(audit_salt)s, %(audit_id)s, %(now_microseconds)s, e.account_id, e.client_id, e.session_id, e.family_id,
                          e.object_id, e.body)
        FROM (SELECT {kind} AS kind, {body} AS body, {related}
              FROM {source}) e"""


RELATED = ("account_id", "client_id", "session_id", "family_id", "object_id")
"""The related ids in the order in which the leaf hashes them."""


def bodies(now: datetime, otherwise: Event | None = None, **events: Event) -> dict[str, object]:
    """Return the parameters that `written_by` needs: the instant, an id, a salt, and a body for each outcome.

    `otherwise` has the `reason` `OUTCOME`: where it stands in the body, the statement puts the outcome.
    """
    parameters: dict[str, object] = {
        "now": now,
        "now_microseconds": microseconds(now),
        "audit_id": new_id(now),
        "audit_salt": random_bytes(_SALT_BYTES),
    }
    for outcome, event in events.items():
        parameters["body_" + outcome] = event.encode()
    if otherwise is not None:
        parameters["body_before"], _, parameters["body_after"] = otherwise.encode().partition(_ENCODED_OUTCOME)
    return parameters


def record(transaction: Transaction, event: Event, now: datetime, ids: Mapping[str, UUID | None] | None = None) -> UUID:
    """Write `event` in the transaction of the change it describes, with its related `ids`; return its id."""
    parameters = bodies(now, event=event) | {"kind": event.kind}
    related = {name: (ids or {}).get(name) for name in RELATED}
    transaction.run(_RECORD, parameters | related)
    return UUID(str(parameters["audit_id"]))


_RECORD = _insert("%(kind)s", "%(body_event)s::bytea", "(SELECT 1) AS happened", {name: f"%({name})s" for name in RELATED})

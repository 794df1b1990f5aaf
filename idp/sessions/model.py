"""Nouns, rules and events of sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final
from uuid import UUID

from idp.audit.model import Event
from idp.kernel.refusals import Refusal

SEEN_EVERY: Final = timedelta(minutes=1)
"""A session is marked as seen at most this often: a mark for each request would be a write for each read."""


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """How long a session lasts: `idle_for` since it was last seen, `lasts_for` in all (NIST SP 800-63B-4 §2.2.3)."""

    idle_for: timedelta = timedelta(hours=1)
    lasts_for: timedelta = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session that lives, as read at one instant."""

    id: UUID
    account_id: UUID
    version: int
    proofs: dict[str, datetime]
    """The latest instant of each method that was proved in it."""
    started_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Begun:
    """A session after a proof: its id and version, and the new cookie value, which is shown nowhere else."""

    id: UUID
    version: int
    cookie: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What became of telling one portal that a session ended."""

    client_id: UUID
    attempts: int
    last_outcome: str | None
    delivered_at: datetime | None
    given_up_at: datetime | None

    @property
    def state(self) -> str:
        """`told`, `waiting`, `trying` (it did not answer yet) or `given_up`."""
        if self.delivered_at:
            return "told"
        if self.given_up_at:
            return "given_up"
        return "trying" if self.attempts else "waiting"


class NoSuchSession(Refusal):
    """There is no such live session."""

    code = "sessions.no_such_session"


@dataclass(frozen=True, slots=True)
class MethodProved(Event):
    """A person proved something to a session: `method`, and whether it began the session."""

    kind: ClassVar[str] = "sessions.method_proved"
    method: str
    began: bool


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """A session ended, and why: `signed_out`, `another_account`, `account_dead`, `restored`, `by_operator`."""

    kind: ClassVar[str] = "sessions.session_ended"
    reason: str
    portals: int


@dataclass(frozen=True, slots=True)
class PortalTold(Event):
    """A portal was told of an ended session, or was not reached: the outcome of one try (OIDC Back-Channel Logout 1.0 §2.5)."""

    kind: ClassVar[str] = "sessions.portal_told"
    outcome: str
    attempt: int


def read_proofs(stored: dict[str, float]) -> dict[str, datetime]:
    """Return stored proofs as instants."""
    return {method: datetime.fromtimestamp(seconds, UTC) for method, seconds in stored.items()}

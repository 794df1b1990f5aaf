"""Nouns, outcomes and events of grants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal
from uuid import UUID

from idp.audit.model import Event
from idp.kernel.refusals import Refusal

OFFLINE = "offline_access"

CODE, ACCESS, REFRESH = "moc_", "moa_", "mor_"
"""How the bearer values of grants begin, so that a leaked one can be recognised, and a presented one be looked up where it lies."""

TOLD_FOR: Final = timedelta(days=30)
"""How long a person is told that a refresh token of theirs was used twice."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long what is issued lasts. A refresh token lasts `refresh_idle_for` unused; its family `refresh_for` in all."""

    code_for: timedelta = timedelta(seconds=60)
    access_for: timedelta = timedelta(minutes=10)
    refresh_idle_for: timedelta = timedelta(days=14)
    refresh_for: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person allowed a client, as read at one instant."""

    id: UUID
    version: int
    scopes: frozenset[str]
    claims: frozenset[str]


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands between a live session and a client: read in one step, and asked again by the step that issues."""

    session_id: UUID
    session_version: int
    account_id: UUID
    holder_id: UUID
    proofs: dict[str, datetime]
    until: datetime
    seen_at: datetime
    locale: str
    ial: int | None
    """None when it has to be computed anew."""
    consent: Consent | None
    sub: str | None
    sid: str | None


@dataclass(frozen=True, slots=True)
class Authorization:
    """What is to be issued: decided by the dispatcher from a `Standing`, asked again by the statement."""

    standing: Standing
    consent: Consent
    client_id: UUID
    sector: str
    redirect_uri: str
    challenge: str | None
    scopes: tuple[str, ...]
    claims: str | None
    nonce: str | None
    acr: str
    ial: int
    aal: int
    amr: tuple[str, ...]
    auth_time: datetime
    policy_version: str
    idle_until: datetime

    @property
    def kind(self) -> Literal["online", "offline"]:
        """Whether what is issued outlives the session."""
        return "offline" if OFFLINE in self.scopes else "online"


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a code or refresh token bought: bearer values, shown once, and what the ID token says."""

    family_id: UUID
    account_id: UUID
    holder_id: UUID
    access_token: str
    refresh_token: str | None
    access_for: timedelta
    scopes: tuple[str, ...]
    granted: tuple[str, ...]
    claims: dict[str, object] | None
    sub: str
    sid: str
    nonce: str | None
    acr: str
    ial: int
    aal: int
    amr: tuple[str, ...]
    auth_time: datetime


class NotRedeemed(Refusal):
    """A code or refresh token bought nothing; `outcome` says why, for the record only."""

    code = "grants.not_redeemed"

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class ScopeExceeded(NotRedeemed):
    """A refresh asked for more than was granted (RFC 6749 §6)."""

    code = "grants.scope_exceeded"


class ClientDead(Refusal):
    """The client was disabled, or its end date has passed, since it was looked up."""

    code = "grants.client_dead"


class NoSuchConsent(Refusal):
    """There is no such consent in force."""

    code = "grants.no_such_consent"


@dataclass(frozen=True, slots=True)
class ConsentGiven(Event):
    """A person allowed a client what is named (Law 91/2025: explicit, per relying party and purpose)."""

    kind: ClassVar[str] = "grants.consent_given"
    scopes: tuple[str, ...]
    claims: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsentRefused(Event):
    """A person was asked to share what is named with a client, and did not allow it."""

    kind: ClassVar[str] = "grants.consent_refused"
    scopes: tuple[str, ...]
    claims: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsentWithdrawn(Event):
    """A person, or an operator, withdrew what a client was allowed; everything issued under it died with it."""

    kind: ClassVar[str] = "grants.consent_withdrawn"


@dataclass(frozen=True, slots=True)
class CodeIssued(Event):
    """A client was sent a code for a person who is signed in."""

    kind: ClassVar[str] = "grants.code_issued"
    scopes: tuple[str, ...]
    acr: str


@dataclass(frozen=True, slots=True)
class CodeRedeemed(Event):
    """A code bought tokens."""

    kind: ClassVar[str] = "grants.code_redeemed"


@dataclass(frozen=True, slots=True)
class CodeReplayed(Event):
    """A spent code was presented again: all that it bought is dead (RFC 6749 §4.1.2)."""

    kind: ClassVar[str] = "grants.code_replayed"


@dataclass(frozen=True, slots=True)
class CodeRefused(Event):
    """A code was spent without buying anything; `reason` says which clause failed."""

    kind: ClassVar[str] = "grants.code_refused"
    reason: str


@dataclass(frozen=True, slots=True)
class TokenRefreshed(Event):
    """A refresh token was replaced by its successor."""

    kind: ClassVar[str] = "grants.token_refreshed"


@dataclass(frozen=True, slots=True)
class RefreshReplayed(Event):
    """A replaced refresh token was presented again: its whole family is dead (RFC 9700 §4.14.2)."""

    kind: ClassVar[str] = "grants.refresh_replayed"


@dataclass(frozen=True, slots=True)
class RefreshRefused(Event):
    """A refresh token was spent without buying anything; `reason` says which clause failed."""

    kind: ClassVar[str] = "grants.refresh_refused"
    reason: str


@dataclass(frozen=True, slots=True)
class ClientTokenIssued(Event):
    """A client got an access token for itself (RFC 6749 §4.4)."""

    kind: ClassVar[str] = "grants.client_token_issued"
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AttributesDisclosed(Event):
    """A client got a person's attributes: with an access token, for the first time with it, or in an ID token."""

    kind: ClassVar[str] = "grants.attributes_disclosed"


@dataclass(frozen=True, slots=True)
class TokenRevoked(Event):
    """A client gave back a token (RFC 7009); `what` is `access` or `family`."""

    kind: ClassVar[str] = "grants.token_revoked"
    what: str


@dataclass(frozen=True, slots=True)
class GrantRevoked(Event):
    """An operator killed one family."""

    kind: ClassVar[str] = "grants.grant_revoked"
    reason: str

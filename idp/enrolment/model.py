"""Activation: the code, what it opens, refusals and events. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Final

from idp.audit.model import Event
from idp.kernel.refusals import Refusal

if TYPE_CHECKING:
    from uuid import UUID

CODE_LIVES_FOR: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Activating:
    """Whom a good activation code would activate; for the page that asks for password and second factor.

    `has_second_factor`: the account had one, so it cannot be left without.
    """

    account_id: UUID
    holder_id: UUID
    full_name: str
    masked_number: str
    expires_at: datetime
    has_second_factor: bool


@dataclass(frozen=True, slots=True)
class NewSecondFactor:
    """A secret that the person's authenticator application took over, and a code that proves it."""

    secret: str
    code: str


@dataclass(frozen=True, slots=True)
class Activated:
    """An account that can be signed in to. `recovery_codes` are to be shown once; none without a second factor."""

    account_id: UUID
    recovery_codes: tuple[str, ...]


class ActivationCodeRefused(Refusal):
    """The code is unknown, used, replaced, past its end, or of an account that is locked or closed. Which, nobody is told."""

    code = "enrolment.activation_code_refused"


class SecondFactorRequired(Refusal):
    """The account had a second factor; activating it anew does not take that away."""

    code = "enrolment.second_factor_required"


class NotActivatable(Refusal):
    """The account is locked or closed: no code is issued for it. Locks are lifted by idp accounts unlock."""

    code = "enrolment.not_activatable"


@dataclass(frozen=True, slots=True)
class ActivationCodeIssued(Event):
    """An activation code was issued, and every earlier one of the account is void."""

    kind: ClassVar[str] = "enrolment.activation_code_issued"

    by: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ActivationCompleted(Event):
    """With an activation code, the person set password and second factor. Everything that was bound before is void."""

    kind: ClassVar[str] = "enrolment.activation_completed"

    with_second_factor: bool

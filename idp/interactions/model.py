"""The dispatcher: `next_step` is a pure function of what was asked, what is proved, and what could still be proved.

Every page returns to it, no page calls another, and it is asked again by whoever issues. Missing or failing input never passes a
step: each rule below lets through only what it positively finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from idp.assurance.levels import LevelClass
from idp.authenticators.model import METHODS, OTP, has_second

LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asked for in one request, with what its registration demands."""

    minimum: LevelClass
    """The client's registered minimum; nothing the browser sends lowers it."""
    begun_at: datetime
    classes: tuple[LevelClass, ...] = ()
    """`acr_values`, or the essential `acr` of the `claims` parameter, in the order given."""
    essential: bool = False
    """Whether one of `classes` has to be met (OIDC Core §5.5.1.1)."""
    prompts: frozenset[str] = frozenset()
    max_age: timedelta | None = None
    scopes: frozenset[str] = frozenset()
    claims: frozenset[str] = frozenset()
    sub: str | None = None
    """Who it has to be, from an `id_token_hint` or a claims request for `sub`."""

    @property
    def is_silent(self) -> bool:
        """Whether no page may be shown (`prompt=none`, OIDC Core §3.1.2.1)."""
        return "none" in self.prompts

    @property
    def counts_from(self) -> datetime:
        """The instant from which proofs count: older ones are stale for this request."""
        if "login" in self.prompts:
            return self.begun_at
        return LONG_AGO if self.max_age is None else self.begun_at - self.max_age

    def anew(self, at: datetime) -> Asked:
        """Return what is asked of whoever began as somebody else at that instant: to sign in, whatever was proved before."""
        return replace(self, prompts=self.prompts | {"login"}, begun_at=at)


@dataclass(frozen=True, slots=True)
class Proved:
    """What the browser's session has proved, and what was settled in this interaction."""

    signed_in: bool = False
    proofs: Mapping[str, datetime] = field(default_factory=dict)
    """The latest instant of each method."""
    ial: int = 0
    sub: str | None = None
    scopes: frozenset[str] = frozenset()
    """What this person allows this client, by consent in force."""
    claims: frozenset[str] = frozenset()
    selected: bool = False
    """The person chose this account in this interaction."""
    consented: bool = False
    """The person was asked and agreed in this interaction."""

    def counted(self, since: datetime) -> dict[str, datetime]:
        """Return the proofs given at `since` or later."""
        return {method: at for method, at in self.proofs.items() if at >= since and method in METHODS}


@dataclass(frozen=True, slots=True)
class Possible:
    """What this person could still do: prove `methods` they hold, or enrol `enrollable` ones that would count at once."""

    methods: frozenset[str] = frozenset()
    enrollable: frozenset[str] = frozenset()

    @classmethod
    def of(cls, held: frozenset[str]) -> Possible:
        """Return what somebody who holds these methods could do.

        A second factor that is set up during a sign-in counts only for who has none: whoever has one proves that first (law 3).
        """
        return cls(held, frozenset() if has_second(held) else frozenset({OTP}))


@dataclass(frozen=True, slots=True)
class LogIn:
    """Ask who is there, from the beginning."""


@dataclass(frozen=True, slots=True)
class SelectAccount:
    """Ask whether to go on as the account that is signed in."""


@dataclass(frozen=True, slots=True)
class AddFactor:
    """Ask for a proof by one of `methods`; the session stays."""

    methods: frozenset[str]


@dataclass(frozen=True, slots=True)
class Enrol:
    """Have a second factor set up, which then counts."""

    methods: frozenset[str]


@dataclass(frozen=True, slots=True)
class AskConsent:
    """Ask whether to share what is not allowed yet."""

    scopes: frozenset[str]
    claims: frozenset[str]


@dataclass(frozen=True, slots=True)
class ExplainLevel:
    """Say what level is missing and how to get it; the way back is `unmet_authentication_requirements`."""

    needed: LevelClass
    held: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer the client with an error."""

    error: str


@dataclass(frozen=True, slots=True)
class Issue:
    """Answer the client with a code that says exactly this."""

    acr: str
    ial: int
    aal: int
    amr: tuple[str, ...]
    auth_time: datetime


Step = LogIn | SelectAccount | AddFactor | Enrol | AskConsent | ExplainLevel | Refuse | Issue

_LOGIN_REQUIRED: Final = Refuse("login_required")
_UNMET: Final = Refuse("unmet_authentication_requirements")


def aal_of(methods: frozenset[str]) -> int:
    """Return the authentication level that `methods` prove together (Decree 69/2024 Art. 20.1): kinds count, not methods.

    1 for one kind of factor, 2 for two different kinds. Two one-time codes are one kind.
    """
    return min(len({METHODS[method].factor for method in methods}), 2)


def next_step(asked: Asked, proved: Proved, possible: Possible) -> Step:
    """Return what has to happen next."""
    counted = proved.counted(asked.counts_from)
    step = (
        _who_is_there(asked, proved, counted)
        or _which_level(asked, proved, possible, frozenset(counted))
        or _what_is_allowed(asked, proved)
    )
    return step or _issue(asked, proved, counted)


def needs_more_factors(asked: Asked, proved: Proved) -> bool:
    """Tell whether the answer of `next_step` depends on `Possible`: only then is it worth a question to the database."""
    aal = aal_of(frozenset(proved.counted(asked.counts_from)))
    return any(wanted.aal > aal for wanted in (asked.minimum, *asked.classes))


def _who_is_there(asked: Asked, proved: Proved, counted: Mapping[str, datetime]) -> Step | None:
    login: Step = _LOGIN_REQUIRED if asked.is_silent else LogIn()
    if not proved.signed_in:
        return login
    if "select_account" in asked.prompts and not proved.selected:
        return SelectAccount()
    began = [at for method, at in counted.items() if METHODS[method].begins]
    if not began:
        return login
    if asked.sub is not None and proved.sub != asked.sub:
        # Somebody else is signed in. Whoever has just proved to be somebody else is not asked for ever.
        return _LOGIN_REQUIRED if max(began) >= asked.begun_at else login
    return None


def _which_level(asked: Asked, proved: Proved, possible: Possible, methods: frozenset[str]) -> Step | None:
    if not asked.minimum.is_met_by(proved.ial, aal_of(methods)):
        return _towards(asked.minimum, asked, proved, possible, methods)
    for wanted in asked.classes:
        if wanted.is_met_by(proved.ial, aal_of(methods)):
            return None
        step = _towards(wanted, asked, proved, possible, methods)
        if isinstance(step, AddFactor) or (asked.essential and isinstance(step, Enrol | Refuse) and step != _UNMET):
            return step
    if asked.essential and asked.classes:
        return _UNMET if asked.is_silent else ExplainLevel(asked.classes[0], proved.ial)
    return None


def _towards(wanted: LevelClass, asked: Asked, proved: Proved, possible: Possible, methods: frozenset[str]) -> Step:
    """Return the step that leads to `wanted`, which is not met now."""
    explain: Step = _UNMET if asked.is_silent else ExplainLevel(wanted, proved.ial)
    if proved.ial < wanted.ial:
        return explain
    missing = frozenset(method for method in possible.methods - methods if aal_of(methods | {method}) > aal_of(methods))
    if missing and aal_of(methods | missing) >= wanted.aal:
        return _LOGIN_REQUIRED if asked.is_silent else AddFactor(missing)
    enrollable = frozenset(method for method in possible.enrollable if aal_of(methods | {method}) >= wanted.aal)
    if enrollable and not missing:
        return _LOGIN_REQUIRED if asked.is_silent else Enrol(enrollable)
    return explain


def _what_is_allowed(asked: Asked, proved: Proved) -> Step | None:
    scopes, claims = asked.scopes - proved.scopes, asked.claims - proved.claims
    again = "consent" in asked.prompts and not proved.consented
    if not (scopes or claims or again):
        return None
    if asked.is_silent:
        return Refuse("consent_required")
    return AskConsent(asked.scopes if again else scopes, asked.claims if again else claims)


def _issue(asked: Asked, proved: Proved, counted: Mapping[str, datetime]) -> Issue:
    methods = frozenset(counted)
    aal = aal_of(methods)
    met = next((wanted for wanted in asked.classes if wanted.is_met_by(proved.ial, aal)), LevelClass(proved.ial, aal))
    return Issue(
        acr=met.acr,
        ial=proved.ial,
        aal=aal,
        amr=_amr(methods),
        auth_time=min(counted.values()),
    )


def _amr(methods: frozenset[str]) -> tuple[str, ...]:
    """Return the `amr` values of `methods` (RFC 8176), with `mfa` where two kinds of factor were proved."""
    values = {METHODS[method].amr for method in methods}
    return tuple(sorted(values | ({"mfa"} if aal_of(methods) > 1 else set())))

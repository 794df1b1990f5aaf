"""What pages are told: small frozen values that services' facts are put into before a template shows them.

Owns the shapes and the English words of claims, levels and methods that templates look up. Must not know where the
facts come from. Nothing secret goes in: a number is masked when the value is made, so that no template can show it.
Texts are English message ids marked with `N_` (a template translates them) or names that need no translation.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOWN_DIGITS: Final = 4


def N_(message: str) -> str:  # noqa: N802 - the name that message extraction knows
    """Mark an English message for extraction and return it unchanged: a template translates it."""
    return message


ErrorKind = Literal[
    "portal_unknown",
    "portal_disabled",
    "address_unknown",
    "request_unreadable",
    "sign_in_over",
    "forged",
    "no_cookie",
    "code_over",
    "authenticator_off",
    "sign_out_unreadable",
    "not_found",
    "not_allowed",
    "too_large",
    "unexpected",
]
"""What went wrong, as `error.html` says it: it has words for each of these, and for nothing else."""


@dataclass(frozen=True, slots=True)
class Link:
    """A way onward: `text` is a message id, `href` a path of ours or a registered address of a portal."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Asker:
    """The portal that asks, as registered. `origin` is where the answer goes; `wants` chooses the sentence below."""

    name: str
    origin: str
    wants: Literal["sign_in", "step_up", "share", "sign_out", "signed_out"] = "sign_in"

    @property
    def initials(self) -> str:
        """Up to two capitals for the mark: of the last two words, as Vietnamese names end in what is particular."""
        words = [word for word in self.name.split() if word[:1].isalpha()]
        return "".join(word[0].upper() for word in words[-2:])


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of what is shared: `label` is a message id; a date, and a country by its code, are shown in the reader's locale."""

    name: str
    label: str
    value: str | dt.date
    kind: Literal["text", "date", "country", "masked", "message"] = "text"

    @classmethod
    def of_claim(cls, name: str, value: str | dt.date) -> Fact:
        """The row for a standard claim, labelled by `CLAIM_LABELS`, a date as a date."""
        kind: Literal["text", "date"] = "date" if isinstance(value, dt.date) else "text"
        return cls(name, CLAIM_LABELS.get(name, name), value, kind)

    @classmethod
    def of_number(cls, name: str, number: str) -> Fact:
        """The row for a personal number, document number or phone: only the last four characters are kept."""
        return cls(name, CLAIM_LABELS.get(name, name), number[-SHOWN_DIGITS:], "masked")

    @classmethod
    def of_subject(cls) -> Fact:
        """The row for the identifier of the person, which is another one in every sector (OIDC Core §8.1)."""
        return cls("sub", CLAIM_LABELS["sub"], N_("One by which only this portal knows you"), "message")

    @classmethod
    def of_level(cls, ial: int) -> Fact:
        """The row for the identification level, in words."""
        return cls("ial", CLAIM_LABELS["ial"], LEVELS[ial], "message")


@dataclass(frozen=True, slots=True)
class Purpose:
    """Facts that are needed for one reason."""

    reason: str
    facts: tuple[Fact, ...]
    beside: tuple[str, ...] = ()
    """Labels of what is shared along with the facts; the values say nothing about the person, and are not shown."""


@dataclass(frozen=True, slots=True)
class ToldPortal:
    """A portal that the session reached, and whether it was told and answered.

    `untold`: it has no address to be told at. `asked`: neither has it, but asks for this sign-out itself; that it ended its own
    session before is not known here.
    """

    name: str
    origin: str
    state: Literal["told", "pending", "no_answer", "untold", "asked"] = "pending"


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A browser that is signed in."""

    session_id: str
    browser: str
    signed_in_at: dt.datetime
    used_at: dt.datetime
    is_this: bool = False


@dataclass(frozen=True, slots=True)
class ConsentEntry:
    """What a portal may read, since when; `facts` are labels as message ids."""

    consent_id: str
    portal: str
    origin: str
    facts: tuple[str, ...]
    agreed_at: dt.datetime
    offline: bool = False


@dataclass(frozen=True, slots=True)
class ReplayedEntry:
    """A portal whose refresh token was used twice, and when what it stood for was ended."""

    portal: str
    ended_at: dt.datetime


@dataclass(frozen=True, slots=True)
class AuthenticatorEntry:
    """A means of proof: `kind` gives the words, `since` when it was set, `left` how many recovery codes remain."""

    kind: Literal["password", "totp", "recovery_codes"]
    since: dt.datetime
    left: int | None = None


TO_PORTAL: Final = N_("Back to the portal")
TO_MY_PAGE: Final = N_("Go to my page")
TO_FIRST_PAGE: Final = N_("To the first page")
TO_SIGN_IN: Final = N_("Sign in")

CLAIM_LABELS: Final[Mapping[str, str]] = {
    "name": N_("Full name"),
    "gender": N_("Sex"),
    "birthdate": N_("Date of birth"),
    "nationality": N_("Nationality"),
    "address": N_("Place of residence"),
    "email": N_("E-mail"),
    "phone_number": N_("Phone number"),
    "personal_number": N_("Personal number"),
    "person_type": N_("You are"),
    "locale": N_("Language"),
    "zoneinfo": N_("Time zone"),
    "updated_at": N_("Last change"),
    "ial": N_("Identification level"),
    "sub": N_("Your code there"),
}

SCOPE_REASONS: Final[Mapping[str, str]] = {
    "openid": N_("To recognise you next time"),
    "profile": N_("To know who you are"),
    "email": N_("To write to you"),
    "phone": N_("To call or text you"),
    "address": N_("To know which office serves you"),
    "identity": N_("To process your dossier"),
}

LEVELS: Final[Mapping[int, str]] = {
    0: N_("Not verified yet"),
    1: N_("Level 1"),
    2: N_("Level 2, verified"),
}

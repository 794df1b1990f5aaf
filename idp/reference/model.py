"""What a country's reference data answers, in words that hold for any country.

Owns the neutral types and the `Country` protocol. Must not know which country is behind it: names of places,
lengths of numbers and check digits live in the country's own package.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, Protocol, runtime_checkable

from idp.kernel.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from zoneinfo import ZoneInfo


class UnknownCountry(Refusal):
    """No rules are shipped for the country that was named."""

    code = "reference.unknown_country"


class Sex(StrEnum):
    """Sex as registered; the values are those of the `gender` claim (OIDC Core §5.1)."""

    MALE = "male"
    FEMALE = "female"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say of one number. `reason_code` is stable and language-neutral; pages translate it.

    `format_valid`: the text is a number of this kind. `policy_valid`: it is also believable on the day and
    with the declared facts; never true without `format_valid`.
    """

    format_valid: bool
    policy_valid: bool
    reason_code: str

    @classmethod
    def accepted(cls, reason_code: str = "ok") -> Verdict:
        """Return the verdict on a good number."""
        return cls(format_valid=True, policy_valid=True, reason_code=reason_code)

    @classmethod
    def doubtful(cls, reason_code: str) -> Verdict:
        """Return the verdict on a well-formed number that cannot be this holder's, or not on this day."""
        return cls(format_valid=True, policy_valid=False, reason_code=reason_code)

    @classmethod
    def malformed(cls, reason_code: str) -> Verdict:
        """Return the verdict on a text that is no such number at all."""
        return cls(format_valid=False, policy_valid=False, reason_code=reason_code)


@dataclass(frozen=True, slots=True)
class Province:
    """A first-level unit, named so from `valid_from` to the day before `valid_until` (None: not bounded)."""

    code: str
    name: str
    valid_from: date | None
    valid_until: date | None
    successor_code: str | None

    def is_valid(self, on: date) -> bool:
        """Say whether the unit existed on that day."""
        starts = self.valid_from is None or self.valid_from <= on
        return starts and (self.valid_until is None or on < self.valid_until)


@dataclass(frozen=True, slots=True)
class BirthRegistration:
    """Where a birth may have been registered, by the code within a personal number.

    `names` holds every unit that ever bore the code, oldest first. Where `is_ambiguous`, they are different
    places and the code alone does not say which.
    """

    code: str
    kind: Literal["province", "country"]
    names: tuple[str, ...]
    is_ambiguous: bool


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency code, the name it goes by, and how sure the pairing is (`strong`, `moderate`, `unproved`)."""

    code: str
    name: str
    confidence: str


@runtime_checkable
class NumberRule(Protocol):
    """The rule of one kind of number."""

    def normalise(self, text: str) -> str:
        """Return `text` without the separators people write, ready for `check`; never an exception."""
        ...

    def check(self, text: str, *, on: date) -> Verdict:
        """Return the verdict on `text` exactly as given, for the day `on`; never an exception."""
        ...


@runtime_checkable
class PersonalNumberRule(Protocol):
    """The rule of the number that identifies a person for life."""

    def normalise(self, text: str) -> str:
        """Return `text` without the separators people write, ready for `check`; never an exception."""
        ...

    def is_written(self, text: str) -> bool:
        """Say whether `text` has the digits that such a number has, and nothing else; whose it could be is `check`'s question."""
        ...

    def check(self, text: str, *, on: date, sex: Sex | None = None, birth_date: date | str | None = None) -> Verdict:
        """Return the verdict on `text` for the day `on`, against the declared facts that are given.

        A `birth_date` in text form is ISO `yyyy-mm-dd` as typed; one that is no date is malformed.
        """
        ...

    def synthetic(self, *, birth_registration_code: str, sex: Sex, birth_year: int, ordinal: int) -> str:
        """Return a well-formed number that is plainly nobody's, for demonstrations and tests.

        Raises:
            ValueError: the code, the year or the ordinal (0 to 99) is outside what the rule can write.
        """
        ...


class Country(Protocol):
    """The reference data and number rules of one country."""

    @property
    def code(self) -> str:
        """ISO 3166-1 alpha-2, upper case."""
        ...

    @property
    def locale(self) -> str:
        """The language people are spoken to in who did not choose another: two letters of ISO 639-1."""
        ...

    @property
    def zone(self) -> ZoneInfo:
        """Where its days begin: a rule that depends on the day asks for the day there."""
        ...

    @property
    def common_passwords(self) -> frozenset[str]:
        """What is guessed first in this country, in the form in which `authenticators` compares."""
        ...

    @property
    def service_names(self) -> tuple[str, ...]:
        """What people call the services they sign in to: words of no password."""
        ...

    @property
    def reasons(self) -> Mapping[str, str]:
        """What the codes of its rules say of a number to whoever enters it: the ends of English sentences."""
        ...

    @property
    def personal_number(self) -> PersonalNumberRule:
        """The number for life."""
        ...

    @property
    def former_number(self) -> NumberRule:
        """The identity number that people had before it, still found in old files."""
        ...

    @property
    def tax_code(self) -> NumberRule:
        """The number of a taxpayer, which is also that of an enterprise."""
        ...

    @property
    def agency_code(self) -> NumberRule:
        """The code of a public body."""
        ...

    @property
    def agencies(self) -> Mapping[str, Agency]:
        """Known agencies by code: editable reference data, on whose names no rule depends."""
        ...

    def provinces(self, *, on: date) -> Sequence[Province]:
        """Return the first-level units of that day, ordered by code."""
        ...

    def find_province(self, code: str, *, on: date) -> Province | None:
        """Return the unit that bore `code` on that day; a code alone is not enough, since codes move."""
        ...

    def find_birth_registration(self, code: str) -> BirthRegistration | None:
        """Return what the birth-registration code of a personal number may stand for."""
        ...


ASCII_DIGITS: Final = frozenset("0123456789")


def is_digits(text: str) -> bool:
    """Say whether `text` is one or more of 0-9: other scripts' digits, which `str.isdigit` takes, are not."""
    return bool(text) and ASCII_DIGITS.issuperset(text)

"""The personal number, the old identity number and the tax code: one class a rule.

Owns format and plausibility. Says nothing about whom a number belongs to: that is evidence, which comes
from a register. Digits are 0-9 only; other scripts' digits, which Python calls digits too, are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from idp.reference.model import Sex, Verdict, is_digits
from idp.reference.vn.tables import birth_registrations

OLDEST_YEARS: Final = 125
"""A birth year further back than this many years is not believed."""

_SEPARATORS: Final = str.maketrans("", "", " -.\t\N{NO-BREAK SPACE}\N{THIN SPACE}\N{NON-BREAKING HYPHEN}")
_ISO_DATE_LENGTH: Final = 10
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2399
_SYNTHETIC_SERIAL: Final = "9999"
_SYNTHETIC_ORDINALS: Final = 100


class PersonalNumber:
    """`CCC G YY NNNNNN`: 12 digits, no check digit (Decree 137/2015 Art. 13; Circular 07/2016/TT-BCA Art. 7).

    CCC: where the birth was registered, a province or a country. G: sex and century. YY: year. N: random.
    """

    length: Final = 12

    def normalise(self, text: str) -> str:
        """Return `text` without spaces, dots and hyphens."""
        return text.translate(_SEPARATORS)

    def is_written(self, text: str) -> bool:
        """Say whether `text` is twelve digits."""
        return is_digits(text) and len(text) == self.length

    def check(self, text: str, *, on: date, sex: Sex | None = None, birth_date: date | str | None = None) -> Verdict:
        """Return the verdict for the day `on`, against the declared facts that are given."""
        fault = self._fault(text)
        if fault is not None:
            return Verdict.malformed(fault)
        try:
            born = _read_birth_date(birth_date)
        except ValueError:
            return Verdict.malformed("bad_date")
        said = _take_apart(text)
        doubt = _implausible(said, on=on) or _contradiction(said, sex=sex, born=born, on=on)
        return Verdict.doubtful(doubt) if doubt else Verdict.accepted()

    def synthetic(self, *, birth_registration_code: str, sex: Sex, birth_year: int, ordinal: int) -> str:
        """Return a well-formed number whose serial begins with 9999: plainly synthetic, one per `ordinal`.

        Raises:
            ValueError: the code is not assigned, the year is outside 1900-2399, or the ordinal outside 0-99.
        """
        if birth_registration_code not in birth_registrations():
            raise ValueError(f"birth-registration code {birth_registration_code!r} is not assigned")
        if not _FIRST_YEAR <= birth_year <= _LAST_YEAR:
            raise ValueError(f"birth year {birth_year} is outside {_FIRST_YEAR} to {_LAST_YEAR}")
        if not 0 <= ordinal < _SYNTHETIC_ORDINALS:
            raise ValueError(f"ordinal {ordinal} is outside 0 to {_SYNTHETIC_ORDINALS - 1}")
        century, year = divmod(birth_year - _FIRST_YEAR, 100)
        digit = 2 * century + (sex is Sex.FEMALE)
        return f"{birth_registration_code}{digit}{year:02}{_SYNTHETIC_SERIAL}{ordinal:02}"

    def _fault(self, text: str) -> str | None:
        if not is_digits(text):
            return "not_digits"
        if len(text) != self.length:
            return "length"
        if text[:3] not in birth_registrations():
            return "unknown_birth_registration_code"
        return None


@dataclass(frozen=True, slots=True)
class _Said:
    """What a well-formed personal number says of its holder."""

    sex: Sex
    birth_year: int


def _take_apart(text: str) -> _Said:
    century, is_female = divmod(int(text[3]), 2)
    return _Said(sex=Sex.FEMALE if is_female else Sex.MALE, birth_year=_FIRST_YEAR + 100 * century + int(text[4:6]))


def _read_birth_date(birth_date: date | str | None) -> date | None:
    """Read `yyyy-mm-dd` alone; `fromisoformat` by itself also takes `19990517` and week dates."""
    if not isinstance(birth_date, str):
        return birth_date
    if len(birth_date) != _ISO_DATE_LENGTH or not is_digits(birth_date.replace("-", "")):
        raise ValueError("not in the form yyyy-mm-dd")
    return date.fromisoformat(birth_date)


def _implausible(said: _Said, *, on: date) -> str | None:
    if said.birth_year > on.year:
        return "birth_year_in_future"
    if on.year - said.birth_year > OLDEST_YEARS:
        return "birth_year_too_old"
    return None


def _contradiction(said: _Said, *, sex: Sex | None, born: date | None, on: date) -> str | None:
    if sex is not None and sex is not said.sex:
        return "sex_mismatch"
    if born is None:
        return None
    if born.year % 100 != said.birth_year % 100:
        return "year_mismatch"
    if born.year != said.birth_year:
        return "century_mismatch"
    return "birth_date_in_future" if born > on else None


class FormerNumber:
    """The number of the paper identity card issued before: nine digits, no structure, no check digit."""

    length: Final = 9

    def normalise(self, text: str) -> str:
        """Return `text` without spaces, dots and hyphens."""
        return text.translate(_SEPARATORS)

    def check(self, text: str, *, on: date) -> Verdict:  # noqa: ARG002 - old files are read on any day
        """Return the verdict; the day makes no difference."""
        if not is_digits(text):
            return Verdict.malformed("not_digits")
        return Verdict.accepted() if len(text) == self.length else Verdict.malformed("length")


class TaxCode:
    """The tax code, which is also the enterprise code (Circulars 105/2020/TT-BTC Art. 5, 86/2024/TT-BTC).

    Ten digits, the tenth a check digit, and a branch 001-999 with or without a hyphen; or, since
    `PERSONAL_NUMBERS_FROM`, the twelve digits of a personal number.
    """

    PERSONAL_NUMBERS_FROM: Final = date(2025, 7, 1)
    _WEIGHTS: Final = (31, 29, 23, 19, 17, 13, 7, 5, 3)
    _ENTERPRISE: Final = 10
    _WITH_BRANCH: Final = 13

    def __init__(self, personal_number: PersonalNumber) -> None:
        """Read twelve digits by the rule of `personal_number`."""
        self._personal_number = personal_number

    def normalise(self, text: str) -> str:
        """Return `text` without spaces and dots; the hyphen before a branch stays."""
        bare = text.replace("\N{NON-BREAKING HYPHEN}", "-").replace("\N{EN DASH}", "-")
        return "-".join(part.translate(_SEPARATORS) for part in bare.split("-"))

    def check(self, text: str, *, on: date) -> Verdict:
        """Return the verdict for the day `on`."""
        digits = text.replace("-", "")
        if not is_digits(digits):
            return Verdict.malformed("not_digits")
        if "-" in text:
            if len(digits) != self._WITH_BRANCH or text != f"{digits[:10]}-{digits[10:]}":
                return Verdict.malformed("hyphen_position")
        elif len(digits) == self._personal_number.length:
            return self._check_personal(digits, on=on)
        elif len(digits) not in {self._ENTERPRISE, self._WITH_BRANCH}:
            return Verdict.malformed("length")
        fault = self._fault(digits)
        return Verdict.malformed(fault) if fault else Verdict.accepted()

    def _check_personal(self, digits: str, *, on: date) -> Verdict:
        verdict = self._personal_number.check(digits, on=on)
        if not verdict.policy_valid:
            return verdict
        if on < self.PERSONAL_NUMBERS_FROM:
            return Verdict.doubtful("personal_id_not_yet_tax_code")
        return Verdict.accepted("ok_personal_id_as_tax_code")

    def _fault(self, digits: str) -> str | None:
        if digits[2:9] == "0000000":
            return "serial_zero"
        expected = self.check_digit(digits[:9])
        if expected is None:
            return "no_check_digit_exists"
        if digits[9] != expected:
            return "check_digit"
        return "branch_zero" if digits[10:] == "000" else None

    def check_digit(self, nine_digits: str) -> str | None:
        """Return the tenth digit that belongs to the first nine, None where the series skips the number.

        With a remainder of 0 the formula gives 10, which is no digit: such a number was never issued.
        Reducing once more, as is often done, would accept it.
        """
        remainder = sum(w * int(digit) for w, digit in zip(self._WEIGHTS, nine_digits, strict=True)) % 11
        return str(10 - remainder) if remainder else None

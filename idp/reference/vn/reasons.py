"""What the codes of reasons say of a number, to an operator: `numbers.py` and `agency_codes.py` say which are theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REASONS: Final[Mapping[str, str]] = {
    "bad_date": "cannot be compared with a birth date that is none",
    "birth_date_in_future": "contradicts a birth date in the future",
    "birth_year_in_future": "says a year of birth in the future",
    "birth_year_too_old": "says a year of birth too long ago",
    "case": "has small letters where capitals stand",
    "century_mismatch": "contradicts the declared year of birth",
    "length": "has too few or too many digits",
    "not_digits": "is not of digits alone",
    "pattern": "is not written as one",
    "sex_mismatch": "contradicts the declared sex",
    "unknown_birth_registration_code": "begins with the code of no place",
    "unknown_province": "names no province",
    "year_mismatch": "contradicts the declared year of birth",
}

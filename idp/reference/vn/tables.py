"""The data files of the country, read once and checked as they are read.

Owns the reading of `data/*.csv`. A file that contradicts itself stops the start with file and row; nothing
here repairs data.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from idp.reference.model import Agency, BirthRegistration, Province

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONFIDENCES: Final = frozenset({"strong", "moderate", "unproved"})


class ReferenceFileError(ValueError):
    """A data file in the package contradicts itself; the message names the file and the row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a data file, which remembers where it stood."""

    file: str
    line: int
    cells: Mapping[str, str]

    def broken(self, what: str) -> ReferenceFileError:
        """Return the error that says what is wrong with this row."""
        return ReferenceFileError(f"{self.file}, line {self.line}: {what}")


def _read(file: str, columns: tuple[str, ...]) -> Iterator[Row]:
    text = (files(__package__) / "data" / file).read_text(encoding="utf-8")
    reader = csv.DictReader(text.splitlines(), strict=True)
    if tuple(reader.fieldnames or ()) != columns:
        raise ReferenceFileError(f"{file}, line 1: the columns are to be {', '.join(columns)}")
    for cells in reader:
        row = Row(file, reader.line_num, cells)
        if None in cells or None in cells.values():
            raise row.broken("the number of cells differs from that of the heading")
        yield row


@cache
def common_passwords() -> frozenset[str]:
    """Return what is guessed first here: whole passwords, and words that people put digits and signs around."""
    lines = (files(__package__) / "data" / "common_passwords.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def _read_day(row: Row, column: str) -> date | None:
    text = row.cells[column]
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise row.broken(f"{column} {text!r} is not a date yyyy-mm-dd") from error


@cache
def all_provinces() -> tuple[Province, ...]:
    """Return every unit that ever bore a code, ordered by code and then by time."""
    found: list[Province] = []
    for row in _read("provinces.csv", ("code", "name", "valid_from", "valid_until", "successor_code")):
        province = Province(
            code=row.cells["code"],
            name=row.cells["name"],
            valid_from=_read_day(row, "valid_from"),
            valid_until=_read_day(row, "valid_until"),
            successor_code=row.cells["successor_code"] or None,
        )
        if any(_overlap(province, other) for other in found if other.code == province.code):
            raise row.broken(f"code {province.code} is borne by two units on one day")
        found.append(province)
    return tuple(sorted(found, key=lambda each: (each.code, each.valid_from or date.min)))


def _overlap(one: Province, other: Province) -> bool:
    starts_before_the_end = (one.valid_from or date.min) < (other.valid_until or date.max)
    return starts_before_the_end and (other.valid_from or date.min) < (one.valid_until or date.max)


@cache
def birth_registrations() -> Mapping[str, BirthRegistration]:
    """Return what each birth-registration code of the personal number is for (Circular 07/2016/TT-BCA)."""
    found: dict[str, BirthRegistration] = {}
    for province in all_provinces():
        code = f"0{province.code}"
        earlier = found.get(code)
        found[code] = BirthRegistration(
            code=code,
            kind="province",
            names=tuple(dict.fromkeys([*(earlier.names if earlier else ()), province.name])),
            is_ambiguous=bool(earlier and earlier.is_ambiguous) or _took_the_code_of_another(province),
        )
    for row in _read("birth_countries.csv", ("code", "name")):
        code, name = row.cells["code"], row.cells["name"]
        if code in found:
            raise row.broken(f"code {code} is there twice")
        found[code] = BirthRegistration(code=code, kind="country", names=(name,), is_ambiguous=False)
    return MappingProxyType(found)


def _took_the_code_of_another(province: Province) -> bool:
    """Say whether the code was, before, that of a unit with another name that is only a part of this one.

    A unit that was renamed and nothing else (046) stays the same place.
    """
    change = province.valid_from
    before = [each for each in all_provinces() if change is not None and each.valid_until == change]
    made_of = [each for each in before if each.successor_code == province.code]
    bearer = [each for each in before if each.code == province.code]
    return len(made_of) > 1 and any(each.name != province.name for each in bearer)


@cache
def agencies() -> Mapping[str, Agency]:
    """Return the agency codes on file, each with the confidence of its name."""
    found: dict[str, Agency] = {}
    for row in _read("agency_codes.csv", ("code", "name", "confidence", "evidence")):
        agency = Agency(row.cells["code"], row.cells["name"], row.cells["confidence"])
        if agency.code in found:
            raise row.broken(f"code {agency.code} is there twice")
        if agency.confidence not in CONFIDENCES:
            raise row.broken(f"confidence is one of {', '.join(sorted(CONFIDENCES))}")
        found[agency.code] = agency
    return MappingProxyType(found)

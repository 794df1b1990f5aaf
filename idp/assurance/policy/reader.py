"""Read a policy file strictly: every key known, every level consistent with the others, or no policy at all."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta, timezone
from functools import cache
from importlib.resources import files
from itertools import combinations
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from idp.accounts.model import PersonType
from idp.assurance.model import Level, Policy, Requirement
from idp.kernel.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST_AGE: Final = 150
IALS: Final = (1, 2)

_VERSION: Final = re.compile(r"[a-z]{2}-[0-9]{4}-[0-9]{1,3}")
_KIND: Final = re.compile(r"[a-z][a-z0-9_]{2,63}")
_OFFSET: Final = re.compile(r"([+-])([0-9]{2}):([0-9]{2})")
_TOP_KEYS: Final = frozenset({"version", "utc_offset", "evidence", "levels"})
_LEVEL_KEYS: Final = frozenset({"person_type", "ial", "all_of", "clause"})
_AGE_KEYS: Final = frozenset({"from_age", "below_age"})


class UnusablePolicy(Refusal):
    """A policy file cannot be used; `detail` is a sentence with the file and the line or key."""

    code = "assurance.unusable_policy"


@cache
def find_versions() -> tuple[str, ...]:
    """Return the versions that ship with the package, in the order of their names."""
    stems = (entry.name.removesuffix(".toml") for entry in files(__package__).iterdir() if entry.name.endswith(".toml"))
    return tuple(sorted(stems))


@cache
def load_policy(version: str) -> Policy:
    """Return the policy `version` (for example `vn-2026-1`), read once a process.

    Raises:
        UnusablePolicy: there is no such file, or it is not right.
    """
    if version not in find_versions():
        raise UnusablePolicy(f"There is no policy {version!r}; known are {', '.join(find_versions())}.")
    text = (files(__package__) / f"{version}.toml").read_text(encoding="utf-8")
    return read_policy(text, file=f"{version}.toml")


def read_policy(text: str, *, file: str) -> Policy:
    """Return the policy that `text` says; `file` is its name, whose stem is the version.

    Raises:
        UnusablePolicy: with a sentence that names the file and the line or key.
    """
    try:
        return _Reader(tomllib.loads(text)).read(expected_version=file.removesuffix(".toml"))
    except tomllib.TOMLDecodeError as error:
        raise UnusablePolicy(f"{file} is not TOML: {error}.") from error
    except _Fault as fault:
        raise UnusablePolicy(f"{file}, {fault.key}: {fault.sentence}.") from fault


class _Fault(Exception):
    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(f"{key}: {sentence}")
        self.key = key
        self.sentence = sentence


class _Reader:
    """One reading of one file. Each method reads the key it names or raises `_Fault`."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._kinds: Mapping[str, str] = {}

    def read(self, *, expected_version: str) -> Policy:
        _require_keys(self._document, "the file", needed=_TOP_KEYS)
        version = _text(self._document, "version", "version")
        if _VERSION.fullmatch(version) is None:
            raise _Fault("version", f"{version!r} is not of the form xx-yyyy-n")
        if version != expected_version:
            raise _Fault("version", f"{version!r} is not the name of the file")
        zone = self._read_zone()
        self._kinds = self._read_kinds()
        levels = self._read_levels()
        _require_no_overlap(levels)
        _require_each_level_to_hold_the_lower(levels)
        return Policy(version=version, zone=zone, kinds=self._kinds, levels=levels)

    def _read_zone(self) -> timezone:
        text = _text(self._document, "utc_offset", "utc_offset")
        found = _OFFSET.fullmatch(text)
        if found is None or int(found[2]) > 14 or int(found[3]) > 59:  # noqa: PLR2004 - the widest offset is +14:00
            raise _Fault("utc_offset", f"{text!r} is not an offset such as +07:00")
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(offset if found[1] == "+" else -offset)

    def _read_kinds(self) -> Mapping[str, str]:
        table = self._document["evidence"]
        if not isinstance(table, dict) or not table:
            raise _Fault("evidence", "must be a table of at least one kind of evidence")
        for kind in table:
            if _KIND.fullmatch(kind) is None:
                raise _Fault(f"evidence.{kind}", "a kind is lower-case letters, digits and underscores")
            _text(table, kind, f"evidence.{kind}")
        return MappingProxyType(dict(table))

    def _read_levels(self) -> tuple[Level, ...]:
        tables = self._document["levels"]
        if not isinstance(tables, list) or not tables:
            raise _Fault("levels", "must be one or more [[levels]] tables")
        return tuple(self._read_level(table, f"levels[{at}]") for at, table in enumerate(tables))

    def _read_level(self, table: Any, key: str) -> Level:
        if not isinstance(table, dict):
            raise _Fault(key, "must be a table")
        _require_keys(table, key, needed=_LEVEL_KEYS, allowed=_AGE_KEYS)
        ial = _whole(table, "ial", key)
        if ial not in IALS:
            raise _Fault(f"{key}.ial", f"{ial} is not one of {', '.join(map(str, IALS))}")
        from_age = _whole(table, "from_age", key) if "from_age" in table else 0
        below_age = _whole(table, "below_age", key) if "below_age" in table else None
        for name, age in (("from_age", from_age), ("below_age", below_age)):
            if age is not None and not 0 <= age <= OLDEST_AGE:
                raise _Fault(f"{key}.{name}", f"{age} is not an age from 0 to {OLDEST_AGE}")
        if below_age is not None and below_age <= from_age:
            raise _Fault(f"{key}.below_age", f"{below_age} is not above from_age {from_age}")
        return Level(
            ial=ial,
            person_type=_person_type(table, key),
            from_age=from_age,
            below_age=below_age,
            requirements=self._read_requirements(table["all_of"], f"{key}.all_of"),
            clause=_text(table, "clause", f"{key}.clause"),
        )

    def _read_requirements(self, wanted: Any, key: str) -> tuple[Requirement, ...]:
        if not isinstance(wanted, list) or not wanted:
            raise _Fault(key, "must be a list of at least one kind of evidence; nothing carries no level")
        requirements = tuple(self._read_requirement(each, f"{key}[{at}]") for at, each in enumerate(wanted))
        if len(set(requirements)) != len(requirements):
            raise _Fault(key, "asks for the same evidence twice")
        return requirements

    def _read_requirement(self, wanted: Any, key: str) -> Requirement:
        alternatives = wanted if isinstance(wanted, list) else [wanted]
        if not alternatives:
            raise _Fault(key, "is an empty list of alternatives, which nothing could meet")
        for kind in alternatives:
            if not isinstance(kind, str) or kind not in self._kinds:
                raise _Fault(key, f"{kind!r} is not a kind of evidence named under [evidence]")
        if len(set(alternatives)) != len(alternatives):
            raise _Fault(key, "names an alternative twice")
        return Requirement(frozenset(alternatives))


def _require_keys(table: dict[str, Any], where: str, *, needed: frozenset[str], allowed: frozenset[str] = frozenset()) -> None:
    for key in sorted(needed - table.keys()):
        raise _Fault(where, f"the key {key!r} is missing")
    for key in table:
        if key not in needed | allowed:
            raise _Fault(where, f"the key {key!r} is unknown")


def _text(table: dict[str, Any], name: str, key: str) -> str:
    value = table[name]
    if not isinstance(value, str) or not value.strip():
        raise _Fault(key, "must be a text that is not empty")
    return value


def _whole(table: dict[str, Any], name: str, key: str) -> int:
    value = table[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Fault(f"{key}.{name}", "must be a whole number")
    return value


def _person_type(table: dict[str, Any], key: str) -> PersonType:
    value = _text(table, "person_type", f"{key}.person_type")
    try:
        return PersonType(value)
    except ValueError:
        known = ", ".join(PersonType)
        raise _Fault(f"{key}.person_type", f"{value!r} is not one of {known}; organizations have no level") from None


def _require_no_overlap(levels: tuple[Level, ...]) -> None:
    """Refuse two answers to one question: the same person, level and age twice."""
    for (_, one), (at, other) in combinations(enumerate(levels), 2):
        if (one.person_type, one.ial) == (other.person_type, other.ial) and _shared_ages(one, other):
            raise _Fault(f"levels[{at}]", "covers ages that an earlier table covers for this person and level")


def _require_each_level_to_hold_the_lower(levels: tuple[Level, ...]) -> None:
    """Refuse a higher level that somebody could have without the lower one (A6)."""
    for at, high in enumerate(levels):
        if high.ial == min(IALS):
            continue
        below = [each for each in levels if each.person_type is high.person_type and each.ial == high.ial - 1]
        covered = {age for low in below for age in _shared_ages(high, low)}
        if covered != _ages(high):
            raise _Fault(f"levels[{at}]", f"is open at ages at which level {high.ial - 1} is not")
        for low in below:
            if _shared_ages(high, low) and not all(_is_implied(each, high) for each in low.requirements):
                raise _Fault(f"levels[{at}].all_of", f"does not ask for all that level {low.ial} asks for")


def _is_implied(wanted: Requirement, high: Level) -> bool:
    return any(each.any_of <= wanted.any_of for each in high.requirements)


def _ages(level: Level) -> set[int]:
    return set(range(level.from_age, OLDEST_AGE + 1 if level.below_age is None else level.below_age))


def _shared_ages(one: Level, other: Level) -> set[int]:
    return _ages(one) & _ages(other)

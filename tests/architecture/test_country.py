"""One country's knowledge lies in one place: its package of reference data, policy files and translations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from idp.accounts.model import AccountState, PersonType
from idp.reference.model import Sex

ROOT = Path(__file__).parents[2]
SCHEMA = (ROOT / "migrations/versions/0001_first_house.sql").read_text(encoding="utf-8")

MAY_KNOW = {
    "reference/vn": "its package",
    "assurance/policy": "policy files",
    "web/pages/translations": "translations",
    "demo": "the embedded run and its synthetic people are of one country",
    "settings.py": "what an operator sets has this country's defaults",
}
KNOWS = {
    "its name": r"viet ?nam\b(?![ -]pro)|việt nam",  # but for the typeface, Be Vietnam Pro
    "its code": r"""["']vn["']|\[VN\]""",
    "its telephone code": r"\+84",
    "its numbers": r"\[0-9\]\{(?:9|10|12|13)\}|\\d\{(?:9|10|12|13)\}|national_digits",
    "its zone": r"asia/",
    "its portals": r"dich ?vu ?cong|vneid",
}


@pytest.mark.parametrize("what", KNOWS)
def test_nothing_else_knows_the_country(what: str) -> None:
    pattern = re.compile(KNOWS[what], re.IGNORECASE)
    found = []
    for path in sorted((ROOT / "idp").rglob("*")):
        place = path.relative_to(ROOT / "idp").as_posix()
        if path.suffix not in {".py", ".txt", ".toml", ".html"} or any(place.startswith(each) for each in MAY_KNOW):
            continue
        found += [f"{place}: {line.strip()}" for line in path.read_text(encoding="utf-8").splitlines() if pattern.search(line)]
    assert found == []


def test_digits_are_those_of_ascii_by_one_rule() -> None:
    """`str.isdigit` and its like take digits of every script, which no number of ours is written in: `reference.model.is_digits`."""
    lenient = re.compile(r"\.is(?:digit|decimal|numeric)\(")
    assert [path for path in sorted((ROOT / "idp").rglob("*.py")) if lenient.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(("column", "words"), [("sex", Sex), ("person_type", PersonType), ("state", AccountState)])
def test_a_column_takes_the_words_that_the_code_knows(column: str, words: type[Sex | PersonType | AccountState]) -> None:
    """A row that no reader understands is a fault that comes years later."""
    taken = re.findall(rf"^    {column} .*CHECK \({column} IN \(([^)]*)\)\)", SCHEMA, re.MULTILINE)
    assert [set(re.findall(r"'(\w+)'", each)) for each in taken] == [{each.value for each in words}]

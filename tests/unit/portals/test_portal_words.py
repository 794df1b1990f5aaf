"""Every sentence that a page of a portal asks for exists, in both languages."""

from __future__ import annotations

import re
import string
from pathlib import Path

from clients.portal.troubles import SAME_PAGE_AS, STATUS_OF_ERROR
from clients.portal.words import WORDS

PORTAL = Path(__file__).parents[3] / "clients" / "portal"
SOURCES = "\n".join(
    path.read_text(encoding="utf-8") for path in [*PORTAL.glob("templates/*.html"), *PORTAL.glob("*.py")]
)


def test_every_sentence_that_a_template_names_exists() -> None:
    named = set(re.findall(r"\bt\(\s*\"([a-z_.]+)\"\s*[,)]", SOURCES))
    assert len(named) > 20
    assert named - set(WORDS) == set()


def test_every_trouble_has_a_title_a_text_and_a_next_step() -> None:
    kinds = set(re.findall(r"\b(?:trouble|notice)\(\"([a-z_]+)\"", SOURCES))
    kinds |= {SAME_PAGE_AS.get(error, error) for error in STATUS_OF_ERROR}
    assert len(kinds) > 12
    assert {f"{kind}.{part}" for kind in kinds for part in ("title", "text", "next")} - set(WORDS) == set()


def test_both_languages_say_something_with_the_same_values() -> None:
    for key, (vietnamese, english) in WORDS.items():
        assert vietnamese.strip(), key
        assert english.strip(), key
        values = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (vietnamese, english)]
        assert values[0] == values[1], key

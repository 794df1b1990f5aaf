"""What a run found: results of modules with their warnings and failures, and the files that keep them.

The raw results are committed, so nothing enters them but names, counts and the suite's sentences about conditions:
no address of a person, no secret, no protocol message.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
RESULTS = HERE / "results"

GOOD = ("PASSED", "WARNING", "REVIEW", "SKIPPED")
"""Results that do not fail a run. REVIEW counts only with every picture in place."""

COUNTED = ("SUCCESS", "REVIEW", "WARNING", "FAILURE", "INTERRUPTED")
"""Results of conditions that are counted; entries of other kinds only tell what happened."""


@dataclass(frozen=True)
class Finding:
    """A condition that did not simply succeed."""

    condition: str
    message: str
    requirements: list[str]


@dataclass(frozen=True)
class ModuleOutcome:
    """How one module ended."""

    module: str
    variant: dict[str, str]
    result: str
    seconds: float
    conditions: dict[str, int]
    warnings: list[Finding]
    failures: list[Finding]
    pictures: int
    missing_pictures: int
    skipped_because: str = ""
    note: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the module stands as passed: REVIEW only when no picture is missing."""
        return self.result in GOOD and not self.missing_pictures


@dataclass(frozen=True)
class PlanOutcome:
    """How one plan ended, with which suite and when."""

    plan: str
    variant: dict[str, str]
    suite: dict[str, Any]
    date: str
    issuer: str
    modules: list[ModuleOutcome]

    @property
    def is_good(self) -> bool:
        """Whether every module stands as passed."""
        return all(module.is_good for module in self.modules)

    def results(self) -> Counter[str]:
        """Modules by result."""
        return Counter(module.result for module in self.modules)

    def conditions(self) -> Counter[str]:
        """Conditions by result, over all modules."""
        total: Counter[str] = Counter()
        for module in self.modules:
            total.update(module.conditions)
        return total

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a raw result."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["modules"] = [_module(entry) for entry in raw["modules"]]
        return cls(**raw)

    def save(self, folder: Path = RESULTS) -> Path:
        """Write the raw result beside the others; the path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.plan}.json"
        path.write_text(json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        return path


def _module(entry: Mapping[str, Any]) -> ModuleOutcome:
    findings = {kind: [Finding(**finding) for finding in entry[kind]] for kind in ("warnings", "failures")}
    return ModuleOutcome(**{**entry, **findings})


def judge(
    module: str,
    variant: dict[str, str],
    info: Mapping[str, Any],
    log: Iterable[Mapping[str, Any]],
    *,
    seconds: float,
    note: str = "",
) -> ModuleOutcome:
    """Judge a module from its info and its log.

    A module that was interrupted or still ran at the limit is FAILED, whatever it found before.
    """
    entries = list(log)
    counts = Counter(str(entry["result"]) for entry in entries if entry.get("result") in COUNTED)
    result = str(info.get("result") or "UNKNOWN")
    if note or info.get("status") != "FINISHED":
        result = "FAILED"
    pictures = sum(1 for entry in entries if "matched_regexp" in entry or "img" in entry)
    return ModuleOutcome(
        module=module,
        variant=variant,
        result=result,
        seconds=round(seconds, 1),
        conditions={kind: counts[kind] for kind in COUNTED if counts[kind]},
        warnings=_findings(entries, ("WARNING",)),
        failures=_findings(entries, ("FAILURE", "INTERRUPTED")),
        pictures=pictures,
        missing_pictures=_missing_pictures(entries, pictures) if result == "REVIEW" else 0,
        skipped_because=next((_sentence(entry) for entry in entries if entry.get("result") == "SKIPPED"), ""),
        note=note,
    )


def _missing_pictures(entries: Iterable[Mapping[str, Any]], pictures: int) -> int:
    """Places that still wait for a picture; a module in review that never had a place lacks one too."""
    waiting = sum(1 for entry in entries if "upload" in entry)
    return waiting or int(not pictures)


def _findings(entries: Iterable[Mapping[str, Any]], results: tuple[str, ...]) -> list[Finding]:
    return [
        Finding(
            condition=str(entry.get("src", "")),
            message=_sentence(entry),
            requirements=[str(requirement) for requirement in entry.get("requirements") or []],
        )
        for entry in entries
        if entry.get("result") in results
    ]


def _sentence(entry: Mapping[str, Any]) -> str:
    message = " ".join(str(entry.get("msg") or entry.get("error") or "").split())[:400]
    place = str(entry.get("url") or "").split("?")[0]  # where the suite's browser stood, without what was sent
    return f"{message} (at {place})" if place else message

"""What a run leaves behind: one JSON file with the machine, the versions, the date and every figure."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.bench.measure import Measured, Settings

RESULTS_FOLDER = Path(__file__).parent / "results"


def describe_machine(cores: frozenset[int] | None, load_before: float) -> dict[str, Any]:
    """Return what a reader must know about the machine: processor, cores, memory, kernel, and where the subjects ran."""
    information = Path("/proc/cpuinfo").read_text()
    models = {line.partition(":")[2].strip() for line in information.splitlines() if line.startswith("model name")}
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return {
        "processor": ", ".join(sorted(models)) or platform.processor(),
        "avx2": " avx2 " in information,
        "cores": os.cpu_count(),
        "cores_of_subjects": sorted(cores) if cores else None,
        "memory_mib": int(memory.split()[1]) // 1024,
        "kernel": platform.release(),
        "load_before": round(load_before, 2),
        "python": platform.python_version(),
    }


def as_document(runs: Sequence[Measured], settings: Settings, cores: frozenset[int] | None, load_before: float) -> dict[str, Any]:
    """Return a run as one JSON document; `table.py` needs nothing else."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(cores, load_before),
        "settings": {
            "sessions_at_a_time": settings.visits,
            "repetitions": settings.repetitions,
            "warm_seconds": settings.warm_seconds,
            "operations_per_measurement": {name: settings.count(name) for name in settings.operations},
        },
        "subjects": [
            {
                "name": each.subject.name,
                "versions": dict(each.subject.versions()),
                "memory": {name: round(value, 1) for name, value in each.memory.items()},
                "id_tokens_verified": each.id_tokens_verified,
                "operations": {
                    name: {
                        "median": each.median(name).as_json(),
                        "repetitions": [figures.as_json() for figures in each.repetitions[name]],
                    }
                    for name in settings.operations
                },
            }
            for each in runs
        ],
    }


def write(document: dict[str, Any], folder: Path = RESULTS_FOLDER) -> Path:
    """Write a run under its date and its subjects, and return where."""
    names = "+".join(subject["name"] for subject in document["subjects"])
    stamp = document["at"].split("+")[0].replace(":", "").replace("T", "-")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stamp}-{names}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path


def read_newest(name: str, folder: Path = RESULTS_FOLDER) -> dict[str, Any]:
    """Return the newest run that holds the subject `name` beside another; a FileNotFoundError where there is none."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        document: dict[str, Any] = json.loads(path.read_text())
        names = [subject["name"] for subject in document["subjects"]]
        if name in names and len(names) > 1:
            return document
    message = f"no committed results hold {name} beside a peer: make bench PEER=1"
    raise FileNotFoundError(message)

"""What the kernel says about processes: processor time, memory, parents.

Owns the reading of /proc. Processor time is the sum over every living process of a tree of what it used itself and
of what its ended and waited-for children used, so that nothing is lost when a child ends in the middle.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One line of /proc/PID/stat: who, whose child, and processor time in clock ticks."""

    pid: int
    name: str
    parent: int
    ticks: int


def parse_stat(line: str) -> ProcessFacts:
    """Read a line of /proc/PID/stat; the name may itself hold blanks and brackets (proc(5))."""
    opening, closing = line.index("("), line.rindex(")")
    fields = line[closing + 2 :].split()
    # After the name: state, ppid, ... with utime, stime, cutime, cstime as the 14th to 17th of the whole line.
    return ProcessFacts(
        pid=int(line[:opening]),
        name=line[opening + 1 : closing],
        parent=int(fields[1]),
        ticks=sum(int(each) for each in fields[11:15]),
    )


def parse_pss(text: str) -> int:
    """Read the proportional set size in KiB from the text of /proc/PID/smaps_rollup."""
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    message = "no Pss line in smaps_rollup"
    raise ValueError(message)


def list_processes(proc: Path = PROC) -> dict[int, ProcessFacts]:
    """Return every living process by its id; what ends while we read is left out."""
    found: dict[int, ProcessFacts] = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                facts = parse_stat((entry / "stat").read_text(errors="replace"))
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[facts.pid] = facts
    return found


def find_tree(processes: dict[int, ProcessFacts], roots: Iterable[int], without: frozenset[int] = frozenset()) -> set[int]:
    """Return `roots` and all that descends from them, not entering the processes of `without`."""
    children: dict[int, list[int]] = {}
    for facts in processes.values():
        children.setdefault(facts.parent, []).append(facts.pid)
    tree: set[int] = set()
    pending = [pid for pid in roots if pid in processes]
    while pending:
        pid = pending.pop()
        if pid not in tree and pid not in without:
            tree.add(pid)
            pending.extend(children.get(pid, ()))
    return tree


def find_working_under(processes: dict[int, ProcessFacts], names: Iterable[str], folder: Path) -> set[int]:
    """Return the processes of those names whose working directory is `folder` or inside it.

    So a store is found that its starter detached from itself (`pg_ctl`, a session of its own).
    """
    wanted, base = set(names), folder.resolve()
    found: set[int] = set()
    for facts in processes.values():
        if facts.name in wanted:
            try:
                directory = (PROC / str(facts.pid) / "cwd").readlink()
            except OSError:
                continue
            if directory.is_relative_to(base):
                found.add(facts.pid)
    return found


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time in milliseconds so far: of the server's processes, and of its stores'."""

    server: float
    stores: float

    def since(self, earlier: Usage) -> Usage:
        """Return what was used between two readings."""
        return Usage(self.server - earlier.server, self.stores - earlier.stores)


def processor_ms(processes: dict[int, ProcessFacts], pids: Iterable[int]) -> float:
    """Return the processor time of `pids` and of their ended children, in milliseconds."""
    return sum(processes[pid].ticks for pid in pids if pid in processes) * 1000 / TICKS_PER_SECOND


def memory_mib(pids: Iterable[int]) -> float:
    """Return the proportional set size of `pids` together, in MiB."""
    total = 0
    for pid in pids:
        try:
            total += parse_pss((PROC / str(pid) / "smaps_rollup").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / 1024

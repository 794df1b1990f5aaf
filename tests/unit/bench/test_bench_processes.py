from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.processes import (
    ProcessFacts,
    Usage,
    find_tree,
    find_working_under,
    list_processes,
    memory_mib,
    parse_pss,
    parse_stat,
    processor_ms,
)

TREE = {
    1: ProcessFacts(1, "init", 0, 900),
    10: ProcessFacts(10, "launcher", 1, 10),
    11: ProcessFacts(11, "worker", 10, 20),
    12: ProcessFacts(12, "postgres", 10, 40),
    13: ProcessFacts(13, "postgres", 12, 80),
    20: ProcessFacts(20, "stranger", 1, 160),
}


def test_a_stat_line_gives_parent_and_the_time_of_the_process_and_its_ended_children() -> None:
    """proc(5): ppid is the 4th field; utime, stime, cutime and cstime are the 14th to 17th."""
    line = "4242 (granian) S 4200 4242 4242 0 -1 4194304 101 0 0 0 30 12 5 3 20 0 1 0 81831 3133440 394"
    assert parse_stat(line) == ProcessFacts(pid=4242, name="granian", parent=4200, ticks=50)


def test_a_process_whose_name_holds_blanks_and_brackets_is_read_rightly() -> None:
    line = "7 (a (b) c) 9 0) R 3 7 7 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 5 6 7"
    assert parse_stat(line) == ProcessFacts(pid=7, name="a (b) c) 9 0", parent=3, ticks=10)


def test_the_proportional_set_size_is_not_taken_for_one_of_its_parts() -> None:
    assert parse_pss("00400000-7ffd [rollup]\nRss:  1772 kB\nPss:   275 kB\nPss_Dirty:  112 kB\n") == 275


def test_a_rollup_without_a_proportional_set_size_is_refused() -> None:
    with pytest.raises(ValueError, match="no Pss line"):
        parse_pss("Rss: 1 kB\n")


def test_a_tree_holds_all_descendants_and_no_stranger() -> None:
    assert find_tree(TREE, [10]) == {10, 11, 12, 13}


def test_a_tree_is_not_entered_where_a_store_begins() -> None:
    assert find_tree(TREE, [10], without=frozenset({12})) == {10, 11}


def test_a_root_that_has_ended_has_no_tree() -> None:
    assert find_tree(TREE, [999]) == set()


def test_processor_time_is_summed_in_milliseconds_and_differences_keep_groups_apart() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    assert processor_ms(TREE, [10, 11]) == 30 * 1000 / ticks
    assert Usage(50.0, 9.0).since(Usage(20.0, 4.0)) == Usage(30.0, 5.0)


def test_the_time_of_a_child_that_has_ended_is_not_lost() -> None:
    """The child's time moves to its parent when it is waited for: the sum over the tree never falls."""
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    before = processor_ms(list_processes(), [os.getpid()])
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert processor_ms(list_processes(), [os.getpid()]) - before >= 180


def test_a_detached_store_is_found_by_where_it_works(tmp_path: Path) -> None:
    inside = tmp_path / "postgres"
    inside.mkdir()
    waiting = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", waiting], cwd=inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        processes = list_processes()
        name = processes[child.pid].name
        assert find_working_under(processes, [name], tmp_path) == {child.pid}
        assert find_working_under(processes, ["another name"], tmp_path) == set()
        assert memory_mib([child.pid]) > 0.5
        child.communicate()

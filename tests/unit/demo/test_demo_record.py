"""What a demo leaves in its folder (law 11: secrets made at run time, 0600)."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from idp.demo.children import take_lock
from idp.demo.data import new_password
from idp.demo.record import Running, changed_kept, find_running, read_kept, write_running


def test_numbers_of_people_are_given_out_once_even_when_their_making_fails(tmp_path: Path) -> None:
    with changed_kept(tmp_path) as kept:
        first = kept.next_person
        kept.next_person += 5
    assert (first, read_kept(tmp_path).next_person) == (0, 5)


def test_a_change_that_fails_leaves_what_was_kept(tmp_path: Path) -> None:
    try:
        with changed_kept(tmp_path) as kept:
            kept.secrets["client"] = "mcs_half"
            raise OSError
    except OSError:
        pass
    assert read_kept(tmp_path).secrets == {}


def test_what_is_kept_is_closed_to_others(tmp_path: Path) -> None:
    with changed_kept(tmp_path) as kept:
        kept.secrets["client"] = "mcs_whole"
    assert stat.S_IMODE((tmp_path / "demo.json").stat().st_mode) == 0o600


def test_a_demo_runs_only_while_its_launcher_holds_the_folder(tmp_path: Path) -> None:
    write_running(tmp_path, Running(os.getpid(), {}, {}, {"issuer": "http://localhost:8000"}))
    assert find_running(tmp_path) is None
    lock = take_lock(tmp_path / "launcher.lock")
    assert lock is not None
    try:
        running = find_running(tmp_path)
        assert running is not None
        assert running.document == {"issuer": "http://localhost:8000"}
    finally:
        os.close(lock)
    assert find_running(tmp_path) is None


def test_passwords_can_be_typed_and_differ() -> None:
    made = {new_password() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(r"[a-z]{4}(-[a-z]{4}){3}", each) for each in made)

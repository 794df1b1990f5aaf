"""The log of requests delays nobody, and says what it lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO

import pytest

from idp.kernel.clock import FixedClock
from idp.web import logs
from idp.web.door import Request
from idp.web.logs import RequestLog

REQUEST = Request("GET", "/token", (), (), {}, {}, "", "R1")


class Disk(StringIO):
    """Takes what is written, unless it is full."""

    full = False

    def write(self, text: str) -> int:
        if self.full:
            raise OSError("no space left")
        return super().write(text)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no thread write in between: the tests do."""
    monkeypatch.setattr(RequestLog, "_run", lambda _: None)
    monkeypatch.setattr(logs, "_MOST_WAITING", 2)


@pytest.mark.usefixtures("still")
def test_lines_that_could_not_be_written_are_counted_in_the_next_with_those_that_did_not_fit() -> None:
    disk = Disk()
    log = RequestLog(FixedClock(datetime(2026, 3, 2, tzinfo=UTC)), disk)
    for _ in range(5):
        log(REQUEST, 200)
    disk.full = True
    log.write()
    log(REQUEST, 200)
    log.write()
    disk.full = False
    for _ in range(2):
        log(REQUEST, 200)
    log.write()
    first, second = [json.loads(line) for line in disk.getvalue().splitlines()]
    assert first["dropped"] == 6
    assert "dropped" not in second

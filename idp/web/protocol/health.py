"""Whether this process lives, and whether it is ready to serve: for the proxy and the operator, without details for strangers."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

from idp.kernel.clock import MAX_SKEW, SystemClock
from idp.kernel.refusals import Refusal
from idp.web.door import Answer, Request
from idp.web.protocol.answers import json_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from idp.rooms import Rooms

_ASK = "SELECT clock_timestamp() AS now"


class Health:
    """The two questions."""

    def __init__(self, rooms: Rooms, is_draining: Callable[[], bool]) -> None:
        self._rooms = rooms
        self._is_draining = is_draining

    def live(self, _request: Request) -> Answer:
        """Answer as long as the process can."""
        return json_answer(200, {"status": "live"})

    def ready(self, _request: Request) -> Answer:
        """Answer 200 when everything a sign-in needs is there, 503 with what is missing otherwise."""
        missing = [name for name, check in self._checks().items() if not _passes(check)]
        if self._is_draining():
            missing.append("draining")
        if missing:
            return json_answer(503, {"status": "not ready", "missing": missing}, ("Retry-After", "5"))
        return json_answer(200, {"status": "ready"})

    def _checks(self) -> dict[str, Callable[[], None]]:
        return {"database": self._database, "redis": self._rooms.ephemeral.ping, "keys": self._rooms.keys.check}

    def _database(self) -> None:
        asked_at = time.monotonic()
        row = self._rooms.database.step(_ASK, {})
        clock = self._rooms.clock
        if row is not None and isinstance(clock, SystemClock):
            now: datetime = row.now
            skew = clock.learn(now, asked_at=asked_at, answered_at=time.monotonic())
            if abs(skew) > MAX_SKEW:
                raise ClockOff(f"{skew.total_seconds():.1f} s")


class ClockOff(Refusal):
    """The wall clock of this machine is too far from the database's."""

    code = "web.clock_off"


def _passes(check: Callable[[], object]) -> bool:
    try:
        check()
    except Refusal:
        return False
    return True

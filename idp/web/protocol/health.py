"""Whether this process lives, and whether it is ready to serve: for the proxy and the operator, without details for strangers."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from idp.kernel.clock import MAX_SKEW, SystemClock
from idp.kernel.refusals import Refusal
from idp.web.door import Answer, Request
from idp.web.protocol.answers import json_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from idp.rooms import Rooms

log = structlog.get_logger("idp")

_ASK = "SELECT clock_timestamp() AS now"


class Health:
    """The two questions."""

    def __init__(self, rooms: Rooms, is_draining: Callable[[], bool], is_fitting: Callable[[], object] = lambda: None) -> None:
        """`is_fitting` refuses when the database is another deployment's: it may have been away when this process started."""
        self._rooms = rooms
        self._is_draining = is_draining
        self._is_fitting = is_fitting
        self._said: dict[str, str] = {}

    def live(self, _request: Request) -> Answer:
        """Answer as long as the process can."""
        return json_answer(200, {"status": "live"})

    def ready(self, _request: Request) -> Answer:
        """Answer 200 when everything a sign-in needs is there, 503 with what is missing otherwise."""
        reasons = {name: reason for name, check in self._checks().items() if (reason := _reason(check)) is not None}
        if self._is_draining():
            reasons["draining"] = "told to stop"
        self._say(reasons)
        missing = list(reasons)
        if missing:
            return json_answer(503, {"status": "not ready", "missing": missing}, ("Retry-After", "5"))
        return json_answer(200, {"status": "ready"})

    def _checks(self) -> dict[str, Callable[[], object]]:
        return {
            "database": self._database,
            "deployment": self._is_fitting,
            "redis": self._rooms.ephemeral.ping,
            "keys": self._rooms.keys.check,
        }

    def _say(self, reasons: dict[str, str]) -> None:
        """Write to the log what is wrong, and when that changes: the answer itself tells strangers no more than a word."""
        if reasons != self._said:
            if reasons:
                log.error("not_ready", **reasons)
            else:
                log.info("ready_again")
            self._said = reasons

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


def _reason(check: Callable[[], object]) -> str | None:
    """Return why a check does not pass, or None when it does."""
    try:
        check()
    except Refusal as refusal:
        return f"{refusal.code}: {refusal.detail}" if refusal.detail else refusal.code
    except (psycopg.Error, SQLAlchemyError) as error:  # a schema of another version, or none
        return f"{type(error).__name__}: is the database migrated?"
    return None

"""Structured logs: one JSON object a line, a request id in each, and neither a person nor a secret in any (ASVS 16.2).

Requests are logged by a thread of their own from a bounded queue: a log that cannot be written delays nobody, and what was dropped
is counted. What happened, for the record, is the audit's business and is written in the database with the step itself.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import warnings
from collections import deque
from datetime import UTC, datetime
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any, Final, TextIO

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from idp.kernel.clock import Clock
    from idp.web.door import Request

_MOST_WAITING: Final = 10_000
_EVERY: Final = 0.2
_MOST_TEXT: Final = 1024
_OURS: Final = frozenset({"idp", "_granian"})
_QUIET: Final = frozenset({"/health/live", "/health/ready"})


def configure_logs(level: str) -> None:
    """Have every logger of the process write JSON lines to standard error: ours, and those of libraries."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_JsonLine())
    logging.basicConfig(level=level, handlers=[lines], force=True)
    for name in list(logging.Logger.manager.loggerDict):  # what a library arranged for itself, the server among them
        known = logging.getLogger(name)
        known.handlers.clear()
        known.propagate = True
    for noisy in ("alembic", "procrastinate"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    warnings.showwarning = lambda message, category, filename, lineno, file=None, line=None: _warned(category, filename, lineno)  # noqa: ARG005 - as it is called
    sys.unraisablehook = lambda caught: _uncaught(caught.exc_value)
    sys.excepthook = lambda _kind, error, _trace: _uncaught(error)
    threading.excepthook = lambda caught: _uncaught(caught.exc_value)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _only_our_trace,
            _bounded,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _warned(kind: type[Warning], file: str, line: int) -> None:
    """Say what kind of warning came from where, not in its words."""
    logging.getLogger("idp").warning("%s at %s:%d", kind.__name__, file, line)


def _uncaught(error: BaseException | None) -> None:
    logging.getLogger("idp").critical("uncaught", exc_info=error)


class _JsonLine(logging.Formatter):
    """Writes a record of the standard logging module as ours are written.

    A library's sentence is left as it stands in its source: what it would fill in may be somebody's. The server fills in numbers
    of processes and addresses it listens on; what we fill in ourselves is chosen where it is written.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        if not isinstance(record.msg, str):
            event = type(record.msg).__name__
        elif record.name.partition(".")[0] in _OURS:
            event = record.getMessage()
        else:
            event = record.msg
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        entry: dict[str, Any] = {"event": event, "logger": record.name, "level": record.levelname.lower(), "at": at}
        if record.exc_info:
            entry["exc_info"] = record.exc_info[1]
        return json.dumps(_bounded(None, "", _only_our_trace(None, "", entry)), ensure_ascii=True)


def _only_our_trace(_logger: Any, _name: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put where an exception came from into the line, not its words: they may quote what a person typed."""
    error = entry.pop("exc_info", None)
    if isinstance(error, BaseException):
        entry["error"] = f"{type(error).__module__}.{type(error).__qualname__}"
        trace, frames = error.__traceback__, []
        while trace is not None:
            frames.append(f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}")
            trace = trace.tb_next
        entry["trace"] = frames[-12:]
    return entry


def _bounded(_logger: Any, _name: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: value[:_MOST_TEXT] if isinstance(value, str) else value for name, value in entry.items()}


class RequestLog:
    """Writes a line for each answered request."""

    def __init__(self, clock: Clock, out: TextIO | None = None) -> None:
        self._clock = clock
        self._out = out or sys.stderr
        self._waiting: deque[tuple[float, str, str, str, int]] = deque()
        self._dropped = 0
        self._writing = threading.Lock()
        threading.Thread(target=self._run, name="request-log", daemon=True).start()
        Finalize(None, self.write, exitpriority=0)  # also in a worker process, which runs nothing of `atexit`

    def __call__(self, request: Request, status: int) -> None:
        """Have the request logged: method, path without what opens anything, status; never query, form, cookie or address."""
        if request.path in _QUIET:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append((self._clock.now().timestamp(), request.request_id, request.method, request.path, status))

    def _run(self) -> None:
        """Write what has gathered, a few times a second: waking a thread for each request would cost more than the line."""
        while True:
            time.sleep(_EVERY)
            self.write()

    def write(self) -> None:
        """Write what waits."""
        with self._writing:
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if not waiting:
                return
            dropped, self._dropped = self._dropped, 0
            lines = [self._line(*each, 0 if number else dropped) for number, each in enumerate(waiting)]
            try:
                self._out.write("".join(lines))
                self._out.flush()
            except (OSError, ValueError):
                self._dropped += dropped + len(lines)

    def _line(self, at: float, request_id: str, method: str, path: str, status: int, dropped: int) -> str:
        when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        told = f', "dropped": {dropped}' if dropped else ""
        return (
            f'{{"at": "{when}", "event": "request", "request": "{request_id}", "method": "{method}", '
            f'"path": {json.dumps(shown_path(path))}, "status": {status}{told}}}\n'
        )


def shown_path(path: str) -> str:
    """Return a path as logs may hold it: without the part that opens an interaction, an activation or a sign-out page."""
    parts = path[:200].split("/")
    if len(parts) > 2 and parts[1] in {"i", "activate", "signed-out"}:  # noqa: PLR2004 - "", "i", the secret part
        parts[2] = "-"
    return "/".join(parts)

"""PostgreSQL: one door for hot steps, one for transactions.

A hot step is one data-modifying statement on a connection that its thread keeps, in autocommit, prepared by the server
(docs/decisions/0002). Everything else runs in a transaction on a pooled connection. Both write `%(name)s` parameters and name
their columns. A statement once sent is never sent again: the caller gets `EngineAway` and answers 503.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import psycopg
import sqlalchemy
from psycopg.rows import namedtuple_row
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from idp.storage.breaker import Breaker, EngineAway

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Row = Any
"""A row with its columns as attributes: a named tuple."""

_CALL_LIMIT: Final = 3.0
_KEEP_FOR: Final = 600.0
_CONNECT: Final = {
    "connect_timeout": 2,
    "tcp_user_timeout": 3000,
    "keepalives_idle": 5,
    "target_session_attrs": "read-write",
}
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction, OSError)


class Database:
    """The database as one role sees it. Threads may share it; processes may not."""

    def __init__(self, url: str, *, name: str = "idp", pool: int = 4, call_limit: float = _CALL_LIMIT) -> None:
        """Reach the database at libpq `url`, several hosts allowed. Nothing is connected yet."""
        self.breaker = Breaker("database")
        self._url = url
        self._name = name
        self._kept = threading.local()
        self._watchdog = _Watchdog(call_limit)
        self._engine = sqlalchemy.create_engine(
            "postgresql+psycopg://", creator=self._connect, pool_size=pool, max_overflow=2 * pool, pool_timeout=1, pool_recycle=600
        )

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._url, application_name=self._name, **_CONNECT)  # type: ignore[arg-type]  # libpq options

    # hot steps -------------------------------------------------------------------------------------------------------------------

    def step(self, statement: str, parameters: Mapping[str, object]) -> Row | None:
        """Run one hot statement by itself and return its first row, or None.

        Raises:
            EngineAway: the database did not answer in time; whether the step happened is unknown.
        """
        breaker = self.breaker
        if breaker.is_open:
            raise EngineAway("database: breaker open", retry_after=3)
        try:
            kept = self._keep()
            kept.call.begin()
            try:
                kept.cursor.execute(statement, parameters, prepare=True)
                row = kept.cursor.fetchone()
            finally:
                kept.call.end()
        except _AWAY as error:
            self._drop()
            breaker.failed()
            raise EngineAway(f"database: {type(error).__name__}") from error
        if breaker._failures:  # noqa: SLF001 - spares a lock on the hot path
            breaker.succeeded()
        return row

    def _keep(self) -> _Kept:
        kept: _Kept | None = getattr(self._kept, "connection", None)
        if kept is not None and kept.is_usable():
            return kept
        self._drop()
        connection = self._connect()
        connection.autocommit = True
        connection.prepare_threshold = 0
        kept = _Kept(connection, self._watchdog.watch(connection.fileno()))
        self._kept.connection = kept
        return kept

    def _drop(self) -> None:
        kept: _Kept | None = getattr(self._kept, "connection", None)
        if kept is not None:
            self._kept.connection = None
            self._watchdog.forget(kept.call)
            with contextlib.suppress(Exception):
                kept.connection.close()

    # transactions ----------------------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run a transaction: committed when the block ends, rolled back when it raises.

        Raises:
            EngineAway: the database did not answer in time.
        """
        if self.breaker.is_open:
            raise EngineAway("database: breaker open", retry_after=3)
        try:
            with self._engine.begin() as connection:
                call = self._watchdog.watch(_driver(connection).fileno())
                try:
                    yield Transaction(connection, call)
                finally:
                    self._watchdog.forget(call)
        except (OperationalError, InterfaceError, PoolTimeoutError, *_AWAY) as error:
            self.breaker.failed()
            raise EngineAway(f"database: {type(error).__name__}") from error
        except DBAPIError as error:
            if isinstance(error.orig, psycopg.errors.ReadOnlySqlTransaction):
                self.breaker.failed()
                raise EngineAway("database: read only") from error
            raise
        self.breaker.succeeded()

    def close(self) -> None:
        """Close what this thread and the pool hold."""
        self._drop()
        self._engine.dispose()


class Transaction:
    """One open transaction."""

    def __init__(self, connection: sqlalchemy.Connection, call: _Call) -> None:
        """Made by `Database.transaction` only."""
        self._connection = connection
        self._call = call

    def all(self, statement: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Return every row of `statement`."""
        self._call.begin()
        try:
            return list(self._connection.exec_driver_sql(statement, dict(parameters or {})))
        finally:
            self._call.end()

    def one(self, statement: str, parameters: Mapping[str, object] | None = None) -> Row | None:
        """Return the first row of `statement`, or None."""
        rows = self.all(statement, parameters)
        return rows[0] if rows else None

    def run(self, statement: str, parameters: Mapping[str, object] | None = None) -> int:
        """Run `statement` and return how many rows it touched."""
        self._call.begin()
        try:
            return self._connection.exec_driver_sql(statement, dict(parameters or {})).rowcount
        finally:
            self._call.end()

    @property
    def driver(self) -> psycopg.Connection[Any]:
        """The driver's connection of this transaction, for a library that joins it (the job queue)."""
        return _driver(self._connection)


def _driver(connection: sqlalchemy.Connection) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


class _Kept:
    """A connection that one thread keeps."""

    def __init__(self, connection: psycopg.Connection[Any], call: _Call) -> None:
        self.connection = connection
        self.cursor = connection.cursor(row_factory=namedtuple_row)
        self.call = call
        self._old_at = time.monotonic() + _KEEP_FOR
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)

    def __del__(self) -> None:
        """Close with the thread that kept it."""
        with contextlib.suppress(Exception):
            self.connection.close()

    def is_usable(self) -> bool:
        """Neither old, nor closed, nor with anything to read: an idle connection that can be read has been closed by the server."""
        return not self.connection.closed and time.monotonic() < self._old_at and not self._poll.poll(0)


class _Call:
    """Whether a call is under way on one connection, and since when."""

    __slots__ = ("fd", "since")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.since = 0.0

    def begin(self) -> None:
        self.since = time.monotonic()

    def end(self) -> None:
        self.since = 0.0


class _Watchdog:
    """Shuts the socket of a call that lasts too long: a frozen server holds a call past every setting of the driver."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._calls: set[_Call] = set()
        self._lock = threading.Lock()
        self._pid = 0

    def watch(self, fd: int) -> _Call:
        call = _Call(fd)
        with self._lock:
            self._calls.add(call)
            if self._pid != os.getpid():  # threads do not survive a fork
                self._pid = os.getpid()
                threading.Thread(target=self._run, name="database-watchdog", daemon=True).start()
        return call

    def forget(self, call: _Call) -> None:
        with self._lock:
            self._calls.discard(call)

    def _run(self) -> None:
        while True:
            time.sleep(0.25)
            latest = time.monotonic() - self._limit
            with self._lock:
                late = [call for call in self._calls if 0.0 < call.since < latest]
                for call in late:
                    self._calls.discard(call)
                    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(call.fd)) as shut:
                        shut.shutdown(socket.SHUT_RDWR)

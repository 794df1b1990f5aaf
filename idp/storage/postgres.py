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
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from idp.storage.breaker import Breaker, EngineAway
from idp.storage.prepared import Prepared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

Row = Any
"""A row with its columns as attributes: a named tuple."""

_CALL_LIMIT: Final = 3.0
_WATCH_EVERY: Final = 0.25
_KEEP_FOR: Final = 600.0
CONNECT_FOR: Final = 2
"""Seconds until a server that takes connections and says nothing is given up."""
_READABLE: Final = select.POLLIN | select.POLLHUP | select.POLLERR
_CONNECT: Final = {
    "connect_timeout": CONNECT_FOR,
    "tcp_user_timeout": 3000,
    "keepalives_idle": 5,
    "target_session_attrs": "read-write",
}
_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
    OSError,
)
_BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
"""The server answers, only not this: somebody else holds the row. That says nothing about the next call."""


class Database:
    """The database as one role sees it. Threads may share it; processes may not."""

    def __init__(self, url: str, *, name: str = "idp", pool: int = 4, call_limit: float = _CALL_LIMIT) -> None:
        """Reach the database at libpq `url`, several hosts allowed. Nothing is connected yet."""
        self.breaker = Breaker("database")
        self._url = url
        self._name = name
        self._kept = threading.local()
        self._allowance = _Allowance(self._kept)
        self._call_limit = call_limit
        self._watchdog = _Watchdog(call_limit)
        self._engine = sqlalchemy.create_engine(
            "postgresql+psycopg://", creator=self._connect, pool_size=pool, max_overflow=2 * pool, pool_timeout=1, pool_recycle=600
        )
        sqlalchemy.event.listen(self._engine, "checkout", _replace_closed)

    def allowance(self) -> AbstractContextManager[object]:
        """Let the calls that this thread makes in the block take together no longer than one alone may.

        A page makes a dozen calls or more: of a server that answers each, but late, nobody should have to wait for all of them.
        Waiting for a pooled connection and connecting count too. Neither is cut off, but a connection is not begun when less is
        left than a host may take to answer: what may go beyond is a second's wait for the pool, and the hosts after the first.
        """
        return self._allowance

    def _admit(self) -> _Spent | None:
        """Let a call through, unless the breaker is open or the allowance of its block is used up; return what was used of it."""
        self.breaker.admit()
        spent: _Spent | None = getattr(self._kept, "spent", None)
        if spent is not None:
            self._require(spent, self._call_limit)
        return spent

    def _require(self, spent: _Spent, limit: float) -> None:
        if spent.seconds > limit:
            self.breaker.failed(spent.seconds)
            raise EngineAway("database: too slow for all that was asked of it")

    def _connect(self) -> psycopg.Connection[Any]:
        spent: _Spent | None = getattr(self._kept, "spent", None)
        if spent is None:
            return self._open()
        self._require(spent, max(0.0, self._call_limit - CONNECT_FOR))
        began = time.monotonic()
        try:
            return self._open()
        finally:
            spent.seconds += time.monotonic() - began

    def _open(self) -> psycopg.Connection[Any]:
        connection = _Connection.connect(self._url, application_name=self._name, **_CONNECT)  # type: ignore[arg-type]  # libpq options
        connection.prepare_threshold = 0  # statements are constants: planned once on each connection, which costs more than running them
        return connection

    # hot steps -------------------------------------------------------------------------------------------------------------------

    def step(self, statement: str, parameters: Mapping[str, object]) -> Row | None:
        """Run one hot statement by itself and return its first row, or None.

        Raises:
            EngineAway: the database did not answer in time; whether the step happened is unknown.
        """
        breaker, spent = self.breaker, self._admit()
        began = time.monotonic()
        try:
            kept = self._keep()
            kept.call.spent = spent
            kept.call.begin()
            try:
                row = kept.prepared.first(statement, parameters)
            finally:
                kept.call.end()
        except _AWAY as error:
            self._gave_up(error, self._took(began, spent))
            if not _is_connected(error):
                self._drop()
            raise EngineAway(f"database: {type(error).__name__}") from error
        except psycopg.Error:
            breaker.succeeded()
            raise
        except BaseException:
            breaker.undecided()
            raise
        if breaker.is_troubled:  # spares a lock on the hot path
            breaker.succeeded()
        return row

    def _gave_up(self, error: BaseException, took: float) -> None:
        """Tell the breaker of a failure. What the server itself reported is no sign that it hangs, however long it took."""
        if isinstance(error, _BUSY):
            self.breaker.succeeded()
        else:
            self.breaker.failed(0.0 if getattr(error, "sqlstate", None) else took)

    def _took(self, began: float, spent: _Spent | None) -> float:
        """Return how long a call took that failed: as long as the whole block, if that was why it was cut off."""
        took = time.monotonic() - began
        return took if spent is None or spent.seconds < self._call_limit else spent.seconds

    def _keep(self) -> _Kept:
        kept: _Kept | None = getattr(self._kept, "connection", None)
        if kept is not None and kept.is_usable():
            return kept
        self._drop()
        connection = self._connect()
        connection.autocommit = True
        kept = _Kept(connection, self._watchdog)
        self._kept.connection = kept
        return kept

    def _drop(self) -> None:
        kept: _Kept | None = getattr(self._kept, "connection", None)
        if kept is not None:
            self._kept.connection = None
            kept.close()

    # transactions ----------------------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run a transaction: committed when the block ends, rolled back when it raises.

        Raises:
            EngineAway: the database did not answer in time.
        """
        call = _Call()
        call.spent = self._admit()
        began = time.monotonic()
        try:
            with self._pooled(call.spent) as connection, self._watched(connection, call):
                yield Transaction(connection, call)
                with call:
                    connection.commit()
        except PoolTimeoutError as error:
            self.breaker.undecided()
            raise EngineAway("database: every connection is taken") from error
        except (DBAPIError, psycopg.Error) as error:
            away = getattr(error, "orig", error)
            if not isinstance(away, _AWAY):
                self.breaker.succeeded()
                raise
            self._gave_up(away, self._took(call.began or began, call.spent))
            raise EngineAway(f"database: {type(away).__name__}") from error
        except BaseException:
            self._decide(call)
            raise
        self.breaker.succeeded()

    def _pooled(self, spent: _Spent | None) -> sqlalchemy.Connection:
        """Return a connection of the pool, waited for or made."""
        if spent is None:
            return self._engine.connect()
        before, began = spent.seconds, time.monotonic()
        try:
            return self._engine.connect()
        finally:
            spent.seconds = before + time.monotonic() - began  # what was counted within, for connecting, is a part of it

    @contextmanager
    def _watched(self, connection: sqlalchemy.Connection, call: _Call) -> Iterator[None]:
        """Watch every call of a transaction, its end included, and leave the pool nothing that is of no use."""
        call.fd = _driver(connection).fileno()
        self._watchdog.add(call)
        try:
            yield
        except BaseException as error:
            if isinstance(getattr(error, "orig", error), psycopg.errors.ReadOnlySqlTransaction):
                connection.invalidate()  # a server that was demoted
            with contextlib.suppress(DBAPIError), call:
                connection.rollback()
            raise
        finally:
            self._watchdog.forget(call)

    def _decide(self, call: _Call) -> None:
        """Judge a transaction that its own block ended: the engine answered, or was not asked."""
        if call.answered:
            self.breaker.succeeded()
        else:
            self.breaker.undecided()

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
        with self._call:
            return list(self._connection.exec_driver_sql(statement, dict(parameters or {})))

    def one(self, statement: str, parameters: Mapping[str, object] | None = None) -> Row | None:
        """Return the first row of `statement`, or None."""
        rows = self.all(statement, parameters)
        return rows[0] if rows else None

    def run(self, statement: str, parameters: Mapping[str, object] | None = None) -> int:
        """Run `statement` and return how many rows it touched."""
        with self._call:
            return self._connection.exec_driver_sql(statement, dict(parameters or {})).rowcount


def _driver(connection: sqlalchemy.Connection) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def _replace_closed(connection: psycopg.Connection[Any], _record: object, _proxy: object) -> None:
    """Have the pool replace a connection that the server closed while nobody used it: looked at, without asking the server."""
    if connection.closed or not _is_silent(connection.fileno()):
        raise DisconnectionError


def _is_silent(fd: int) -> bool:
    """Whether there is nothing to read: an idle connection that can be read has been closed by the server."""
    poll = select.poll()
    poll.register(fd, _READABLE)
    return not poll.poll(0)


def _is_connected(error: BaseException) -> bool:
    """Whether the connection is as good as before: the statement alone was ended."""
    return isinstance(error, (*_BUSY, psycopg.errors.QueryCanceled))


class _Connection(psycopg.Connection[Any]):
    """Closes with whatever kept it, in whichever order the two are forgotten."""

    def __del__(self, *_: Any) -> None:
        """Close; the library would complain of it."""
        with contextlib.suppress(Exception):
            self.close()


class _Kept:
    """A connection that one thread keeps."""

    def __init__(self, connection: psycopg.Connection[Any], watchdog: _Watchdog) -> None:
        self.connection = connection
        self.prepared = Prepared(connection)
        self.call = _Call(connection.fileno())
        self._watchdog = watchdog
        self._watchdog.add(self.call)
        self._old_at = time.monotonic() + _KEEP_FOR
        self._poll = select.poll()
        self._poll.register(connection.fileno(), _READABLE)

    def close(self) -> None:
        """Let go of it."""
        self._watchdog.forget(self.call)  # first: its descriptor may be somebody else's a moment later
        with contextlib.suppress(Exception):
            self.connection.close()

    def __del__(self) -> None:
        """Close with the thread that kept it."""
        self.close()

    def is_usable(self) -> bool:
        """Neither old, nor closed, nor with anything to read."""
        return not self.connection.closed and time.monotonic() < self._old_at and not self._poll.poll(0)


class _Spent:
    """How long the calls of a block have taken, in seconds."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0


class _Allowance:
    """A block of the thread that enters it: one object for all, since what is spent is the thread's."""

    __slots__ = ("_kept",)

    def __init__(self, kept: threading.local) -> None:
        self._kept = kept

    def __enter__(self) -> None:
        self._kept.spent = _Spent()

    def __exit__(self, *_: object) -> None:
        self._kept.spent = None


class _Call:
    """Whether a call is under way on one connection, and since when; `with call:` is around each.

    What its block has spent already counts as if this call had lasted as much longer.
    """

    __slots__ = ("answered", "began", "fd", "since", "spent")

    def __init__(self, fd: int = -1) -> None:
        self.fd = fd
        self.since = 0.0
        self.began = 0.0
        self.answered = False
        self.spent: _Spent | None = None

    def begin(self) -> None:
        now = self.began = time.monotonic()
        self.since = now if self.spent is None else now - self.spent.seconds

    def end(self) -> None:
        self.since = 0.0
        if self.spent is not None:
            self.spent.seconds += time.monotonic() - self.began

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.end()
        self.answered = self.answered or error is None


class _Watchdog:
    """Shuts the socket of a call that lasts too long: a frozen server holds a call past every setting of the driver."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._calls: set[_Call] = set()
        self._lock = threading.Lock()
        self._pid = 0

    def add(self, call: _Call) -> None:
        """Watch the calls on a connection until it is forgotten."""
        with self._lock:
            self._calls.add(call)
            if self._pid != os.getpid():  # threads do not survive a fork
                self._pid = os.getpid()
                threading.Thread(target=self._run, name="database-watchdog", daemon=True).start()

    def forget(self, call: _Call) -> None:
        """Watch no more."""
        with self._lock:
            self._calls.discard(call)

    def _run(self) -> None:
        while True:
            time.sleep(_WATCH_EVERY)
            latest = time.monotonic() - self._limit
            with self._lock:
                for call in [call for call in self._calls if 0.0 < call.since < latest]:
                    self._calls.discard(call)
                    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(call.fd)) as shut:
                        shut.shutdown(socket.SHUT_RDWR)
                if not self._calls:
                    self._pid = 0
                    return

"""Statements prepared by the server on a kept connection, sent and read by libpq's own calls.

A constant text is compiled once in a process, prepared once on each connection, and from then on each use is one message there and
one back. The driver's cursor would adapt every value anew and take a coroutine round for each message: that costs twice as much
processor time as all the rest of a step (docs/decisions/0012).
"""

from __future__ import annotations

import re
from collections import namedtuple
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PARAMETER: Final = re.compile(r"%\((\w+)\)s")
_MICROSECOND_ZERO: Final = datetime(2000, 1, 1, tzinfo=UTC)
_READY: Final = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})
_TEXT: Final = 0
_BINARY: Final = 1


def _instant(value: datetime) -> bytes:
    """Return microseconds since the year 2000, as the wire has them."""
    since = value - _MICROSECOND_ZERO
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds).to_bytes(8, "big", signed=True)


def _number(value: int) -> bytes:
    return b"%d" % value


def _texts(values: Sequence[str]) -> bytes:
    """Return the literal of an array: every element quoted, so that none is read as anything but itself."""
    return ("{" + ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values) + "}").encode()


def _uuids(values: Sequence[UUID]) -> bytes:
    return ("{" + ",".join(map(str, values)) + "}").encode()


def _byteas(values: Sequence[bytes]) -> bytes:
    return ("{" + ",".join(f'"\\\\x{value.hex()}"' for value in values) + "}").encode()


def _json(value: str) -> bytes:
    """Return a JSON text behind the number of the wire format's version."""
    return b"\x01" + value.encode()


def _bytes(value: bytes) -> bytes:
    return value


def _uuid(value: UUID) -> bytes:
    return value.bytes


def _truth(value: bool) -> bytes:  # noqa: FBT001 - a value to be sent
    return b"t" if value else b"f"


_ENCODERS: Final[Mapping[str, tuple[Callable[[Any], bytes], int]]] = {
    "bool": (_truth, _TEXT),
    "bytea": (_bytes, _BINARY),
    "int2": (_number, _TEXT),
    "int4": (_number, _TEXT),
    "int8": (_number, _TEXT),
    "jsonb": (_json, _BINARY),
    "text": (str.encode, _BINARY),
    "timestamptz": (_instant, _BINARY),
    "uuid": (_uuid, _BINARY),
    "text[]": (_texts, _TEXT),
    "uuid[]": (_uuids, _TEXT),
    "bytea[]": (_byteas, _TEXT),
}
"""How values travel, by the type that the server found for a parameter: the statement says it, never the value.

Text travels in binary: a null character, which would end a value in the other form, is then the server's to refuse.
"""


class Compiled:
    """A statement as the server reads it: `%(name)s` numbered, each name once, and the named tuple of its rows."""

    __slots__ = ("encoders", "formats", "names", "row", "text")

    def __init__(self, statement: str) -> None:
        """Number the parameters of `statement`."""
        numbers: dict[str, int] = {}

        def number(found: re.Match[str]) -> str:
            return f"${numbers.setdefault(found[1], len(numbers) + 1)}"

        self.text = _PARAMETER.sub(number, statement).replace("%%", "%").encode()
        self.names = tuple(numbers)
        self.encoders: tuple[tuple[str, Callable[[Any], bytes]], ...] | None = None
        self.formats: tuple[int, ...] = ()
        self.row: Any = None

    def describe(self, described: pq.abc.PGresult) -> None:
        """Take in what the server says of the prepared statement: parameters and columns."""
        known = psycopg.adapters.types
        encoders, formats = [], []
        for number, name in enumerate(self.names):
            oid = described.param_type(number)
            info = known.get(oid)
            kind = "?" if info is None else info.name + ("[]" if info.array_oid == oid else "")
            if kind not in _ENCODERS:
                message = f"parameter {name} is of a type that no hot statement sends yet: {kind}"
                raise TypeError(message)
            encode, wire = _ENCODERS[kind]
            encoders.append((name, encode))
            formats.append(wire)
        columns = [(described.fname(number) or b"").decode() for number in range(described.nfields)]
        row: Any = namedtuple("Row", columns)  # type: ignore[misc]  # noqa: PYI024 - names are data
        self.row = row._make if columns else None
        self.formats = tuple(formats)
        self.encoders = tuple(encoders)  # last: it says that the rest is there


_COMPILED: dict[str, Compiled] = {}


class Prepared:
    """What is prepared on one connection. For one thread at a time."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Use `connection`, which is in autocommit and whose cursors nobody uses."""
        self._server = connection.pgconn
        self._reader = Transformer(connection)
        self._known: dict[str, tuple[bytes, Compiled]] = {}
        self._numbers = count()

    def first(self, statement: str, parameters: Mapping[str, object]) -> Any:
        """Run `statement` and return its first row as a named tuple, or None.

        Raises:
            psycopg.Error: as the server, or the library for a lost connection, reports it.
        """
        known = self._known.get(statement)
        if known is None:
            known = self._prepare(statement)
        name, compiled = known
        values: list[Any] = [  # None is NULL
            None if (value := parameters[parameter]) is None else encode(value)
            for parameter, encode in compiled.encoders  # type: ignore[union-attr]  # it was described when it was prepared
        ]
        result = self._server.exec_prepared(name, values, compiled.formats, _TEXT)
        if result.status not in _READY:
            raise _error(result)
        if compiled.row is None or not result.ntuples:
            return None
        reader = self._reader
        reader.set_pgresult(result)
        return reader.load_row(0, compiled.row)

    def _prepare(self, statement: str) -> tuple[bytes, Compiled]:
        compiled = _COMPILED.get(statement)
        if compiled is None:
            compiled = _COMPILED[statement] = Compiled(statement)
        name = b"step%d" % next(self._numbers)  # never twice: one that could not be described stays prepared
        prepared = self._server.prepare(name, compiled.text)
        if prepared.status not in _READY:
            raise _error(prepared)
        if compiled.encoders is None:
            described = self._server.describe_prepared(name)
            if described.status not in _READY:
                raise _error(described)
            compiled.describe(described)
        self._known[statement] = known = (name, compiled)
        return known


def _error(result: pq.abc.PGresult) -> psycopg.Error:
    """Return what the server reported as the exception of its class; without a class, the connection is gone."""
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    message = result.get_error_message()
    if not state:
        return psycopg.OperationalError(message)
    try:
        kind = psycopg.errors.lookup(state)
    except KeyError:
        kind = psycopg.DatabaseError
    return kind(message, info=result)

"""Values of a hot step travel as the server's types say, whatever is in them; errors come in their own classes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.storage.postgres import Database

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is beside them


def returned(database: Database, kind: str, value: object) -> object:
    row = database.step(f"SELECT %(value)s::{kind} AS value", {"value": value})
    assert row is not None
    return row.value


@given(value=TEXTS)
def test_text_comes_back(database: Database, value: str) -> None:
    assert returned(database, "text", value) == value


@given(value=st.lists(TEXTS, max_size=5))
def test_texts_come_back(database: Database, value: list[str]) -> None:
    assert returned(database, "text[]", value) == value


@given(value=st.binary(max_size=40))
def test_bytes_come_back(database: Database, value: bytes) -> None:
    assert returned(database, "bytea", value) == value


@given(value=st.lists(st.binary(max_size=10), max_size=4))
def test_lists_of_bytes_come_back(database: Database, value: list[bytes]) -> None:
    assert returned(database, "bytea[]", value) == value


@given(value=st.lists(st.uuids(), max_size=4))
def test_lists_of_ids_come_back(database: Database, value: list[UUID]) -> None:
    assert returned(database, "uuid[]", value) == value


@given(value=st.uuids())
def test_ids_come_back(database: Database, value: UUID) -> None:
    assert returned(database, "uuid", value) == value


@given(value=INSTANTS)
def test_instants_come_back(database: Database, value: datetime) -> None:
    assert returned(database, "timestamptz", value) == value


def test_an_instant_of_another_zone_is_the_same_instant(database: Database) -> None:
    value = datetime(2026, 6, 1, 9, 0, 0, 123456, tzinfo=timezone(timedelta(hours=7)))
    assert returned(database, "timestamptz", value) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [("bool", True), ("bool", False), ("int2", -3), ("int4", 7), ("int8", 2**40), ("jsonb", '{"a":1}'), ("text", None), ("uuid", None)],
)
def test_small_values_come_back(database: Database, kind: str, value: object) -> None:
    assert returned(database, kind, value) == ({"a": 1} if kind == "jsonb" else value)


def test_a_name_used_twice_is_one_parameter(database: Database) -> None:
    row = database.step("SELECT %(a)s::text AS first, %(b)s::text AS second, %(a)s::text AS third, '%%' AS sign", {"a": "x", "b": "y"})
    assert row == ("x", "y", "x", "%")


def test_a_statement_without_rows_returns_none(database: Database) -> None:
    assert database.step("SELECT 1 AS one WHERE %(no)s::boolean", {"no": False}) is None
    assert database.step("SET application_name = 'idp'", {}) is None


def test_a_missing_parameter_is_an_error(database: Database) -> None:
    with pytest.raises(KeyError):
        database.step("SELECT %(absent)s::text AS value", {})


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT 1 / 0 AS value", psycopg.errors.DivisionByZero),
        ("SELECT FROM nothing_of_that_name", psycopg.errors.UndefinedTable),
        ("SELECT 'x'::uuid AS value", psycopg.errors.InvalidTextRepresentation),
    ],
)
def test_errors_come_in_their_classes(database: Database, statement: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        database.step(statement, {})
    assert database.step("SELECT 1 AS one", {}) == (1,)


def test_a_type_without_an_encoder_is_named_and_the_connection_goes_on(database: Database) -> None:
    for _ in range(2):
        with pytest.raises(TypeError, match=r"parameter span is of a type .*: interval"):
            database.step("SELECT %(span)s::interval AS value", {"span": "1 day"})
    for number in range(3):
        assert database.step(f"SELECT {number} AS another", {}) == (number,)


@pytest.mark.parametrize(("kind", "value"), [("text", "a\0b"), ("text[]", ["a\0b"]), ("text[]", ["a", "\0"])])
def test_a_null_character_is_refused_never_the_end_of_a_value(database: Database, kind: str, value: object) -> None:
    with pytest.raises(psycopg.Error):
        returned(database, kind, value)

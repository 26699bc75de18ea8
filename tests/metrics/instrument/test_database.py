"""What is measured of database queries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connections
from psycopg import sql as composed

from metrics.instrument import database
from tests.metrics.instrument.figures import Figures
from tests.support.databases import other_database, sqlite

COUNT = "db_client_operation_duration_seconds_count"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", "SELECT"),
        ("select 1", "SELECT"),
        ("  \n(SELECT 1)", "SELECT"),
        ("SELECT\n1", "SELECT"),
        ("/* app=shop */ -- and more\n UPDATE x SET y = 1", "UPDATE"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "WITH"),
        ("SAVEPOINT s1", "SAVEPOINT"),
        ("COMMIT", "COMMIT"),
        ("BEGIN;", "BEGIN"),
        (b"INSERT INTO x VALUES (1)", "INSERT"),
        (composed.SQL("DELETE FROM {}").format(composed.Identifier("x")), "DELETE"),
        ("DROPTABLE x", "_OTHER"),
        ("SECRET1234", "_OTHER"),
        ("/* without an end", "_OTHER"),
        ("", "_OTHER"),
        (None, "_OTHER"),
        (object(), "_OTHER"),
    ],
)
def test_operations_are_a_statements_first_word(sql: Any, expected: str) -> None:
    """Of a fixed list: what a statement's text may hold makes no series."""
    assert database.operation(sql) == expected


@pytest.fixture
def connection(tmp_path: Path, django_db_blocker: Any) -> Any:
    """Return a connection to a database of its own."""
    with django_db_blocker.unblock(), other_database(sqlite(tmp_path / "db")):
        connection = connections["other"]
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t (a integer UNIQUE)")
        yield connection


def test_each_query_counts_once(connection: Any) -> None:
    """By alias, system and operation, and an error by its class, after a reconnection too."""
    counted, opened = Figures(COUNT), Figures("db_client_connections_opened_total")
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute("SELECT 1")
        cursor.execute("SELECT\n\t2")
        cursor.executemany("INSERT INTO t VALUES (%s)", [(1,), (2,), (3,)])
        with pytest.raises(IntegrityError):
            cursor.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(OperationalError):
            cursor.execute("SELECT nothing")
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    labels = {"alias": "other", "db_system_name": "sqlite"}
    errors = "django.db.utils."
    select, insert = {"db_operation_name": "SELECT"}, {"db_operation_name": "INSERT"}
    expected = [
        labels | insert | {"n": 1.0},
        labels | insert | {"error_type": f"{errors}IntegrityError", "n": 1.0},
        labels | select | {"n": 4.0},
        labels | select | {"error_type": f"{errors}OperationalError", "n": 1.0},
    ]
    found = counted.new()
    assert len(found) == len(expected)
    assert all(one in found for one in expected)
    assert opened.new() == [labels | {"n": 1.0}]


def test_statements_without_number_cost_no_memory(connection: Any) -> None:
    """What observes a statement is kept by its first word, of which few are kept."""
    kept = database._observers["other", "sqlite"]
    with connection.cursor() as cursor:
        for number in range(1000):
            cursor.execute(f"SELECT/*{number}*/ {number}")
            word = "".join(chr(ord("a") + int(digit)) for digit in str(number))
            with pytest.raises(OperationalError):
                cursor.execute(f"{word} x")
    assert len(kept) < 10


def test_what_a_wrapper_sees_is_left_as_it_is(connection: Any) -> None:
    """The rows, and the wrappers that others put around a query."""
    seen: list[str] = []

    def spy(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(spy), connection.cursor() as cursor:
        cursor.execute("SELECT %s", [7])
        assert cursor.fetchall() == [(7,)]
    assert seen == ["SELECT %s"]
    assert len(connection.execute_wrappers) == 1

"""What is measured of database queries."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError, IntegrityError, OperationalError, connections, transaction
from django.db.backends.signals import connection_created
from psycopg import sql as composed

from metrics.instrument import database
from tests.metrics.instrument.figures import Figures
from tests.support.databases import Postgres, other_database, sqlite

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
        ("\ufeff\x0c\x0b\xa0select 1", "SELECT"),
        ("# MySQL's\n#\nSHOW TABLES", "SHOW"),
        (f"/*{'x' * 5000}*/ SELECT 1", "SELECT"),
        (f"/*{'x' * 20_000}*/ SELECT 1", "_OTHER"),
        ("SELECT" * 1_000_000, "_OTHER"),
        ("/**/" * 1_000_000, "_OTHER"),
        ("SELECTS", "_OTHER"),
        ("-- without an end", "_OTHER"),
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
    counted, opened = Figures(COUNT), Figures("db_client_connection_opened_total")
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


def test_wrappers_of_others_come_and_go(connection: Any) -> None:
    """One is gone when its block is left, though the connection was opened within it."""
    seen: list[str] = []

    def spy(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    counted = Figures(COUNT)
    fresh = connections.create_connection("other")
    with fresh.execute_wrapper(spy), fresh.cursor() as cursor:
        cursor.execute("SELECT 1")
    with fresh.cursor() as cursor:
        cursor.execute("SELECT 2")
    fresh.close()
    assert seen == ["SELECT 1"]
    assert [row["n"] for row in counted.new()] == [2.0]


def used() -> Figures:
    """Return the connections in use, as they change from now on."""
    return Figures("db_client_connection_count")


def test_connections_count_while_they_are_open(connection: Any) -> None:
    """One that is closed, in a transaction too, and one whose thread has ended, no longer."""
    labels = {"alias": "other", "db_system_name": "sqlite", "db_client_connection_state": "used"}
    open_ones = used()
    connection.close()
    assert open_ones.new() == [labels | {"n": -1.0}]
    connection.close()
    assert open_ones.new() == [labels | {"n": -1.0}]
    connection.ensure_connection()
    assert open_ones.new() == []

    def in_a_thread() -> None:
        connections["other"].ensure_connection()
        within.extend(open_ones.new())

    within: list[Any] = []
    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert within == [labels | {"n": 1.0}]
    gc.collect()
    assert open_ones.new() == []
    with transaction.atomic(using="other"):
        connection.close()
        assert open_ones.new() == [labels | {"n": -1.0}]
    connection.ensure_connection()


def test_what_is_open_though_a_call_failed(connection: Any) -> None:
    """Another thread's close that is refused, and a receiver that raises, change nothing."""
    labels = {"alias": "other", "db_system_name": "sqlite", "db_client_connection_state": "used"}
    open_ones, refused = used(), Figures("db_client_connection_errors_total")

    def close() -> None:
        with pytest.raises(DatabaseError, match="can only be used in that same thread"):
            connection.close()

    thread = threading.Thread(target=close)
    thread.start()
    thread.join()

    async def close_in_a_loop() -> None:
        with pytest.raises(SynchronousOnlyOperation):
            connection.close()

    asyncio.run(close_in_a_loop())
    assert open_ones.new() == []
    connection.close()

    def refuse(**kwargs: Any) -> None:
        raise LookupError

    connection_created.connect(refuse)
    try:
        with pytest.raises(LookupError):
            connection.ensure_connection()
    finally:
        connection_created.disconnect(refuse)
    assert open_ones.new() == refused.new() == []
    connection.close()
    assert open_ones.new() == [labels | {"n": -1.0}]
    connection.ensure_connection()


def test_nothing_is_kept_of_what_was_closed(connection: Any) -> None:
    """A connection that comes and goes costs no memory."""
    registered: Any = weakref.finalize._registry  # type: ignore[attr-defined]
    gc.collect()
    before = len(registered)
    for _ in range(10):
        connection.close()
        connection.ensure_connection()
    assert len(registered) <= before


def test_a_child_closes_what_its_parent_opened(connection: Any) -> None:
    """What is open in the parent is none of the child's."""
    open_ones = used()
    pid = os.fork()
    if pid == 0:
        try:
            connection.close()
            os._exit(len(open_ones.new()))
        finally:
            os._exit(9)
    assert os.waitpid(pid, 0)[1] == 0


def test_connections_that_are_refused(tmp_path: Path, django_db_blocker: Any) -> None:
    """They count under the driver's error, and are not open."""
    refused, open_ones = Figures("db_client_connection_errors_total"), used()
    settings = sqlite(tmp_path / "nowhere" / "db")
    with (
        django_db_blocker.unblock(),
        other_database(settings),
        pytest.raises(OperationalError),
    ):
        connections["other"].ensure_connection()
    labels = {"alias": "other", "db_system_name": "sqlite"}
    assert refused.new() == [labels | {"error_type": "sqlite3.OperationalError", "n": 1.0}]
    assert open_ones.new() == []


def test_a_pool_of_psycopg(django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in use, idle and waited for, and what the pool itself opened."""
    labels = {"alias": "other", "db_system_name": "postgresql"}
    state = "db_client_connection_state"
    with Postgres() as postgres:
        pool = {"min_size": 1, "max_size": 1, "timeout": 1}
        settings = {**postgres.settings, "OPTIONS": {"pool": pool}}
        opened = Figures("db_client_connection_opened_total")
        refused, open_ones = Figures("db_client_connection_errors_total"), used()
        with django_db_blocker.unblock(), other_database(settings):
            connection: Any = connections["other"]
            for _ in range(3):
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                assert open_ones.new() == [labels | {state: "used", "n": 1.0}]
                connection.close()
                assert open_ones.new() == [labels | {state: "idle", "n": 1.0}]
            assert opened.new() == [labels | {"n": 1.0}]
            connection.ensure_connection()
            errors: list[OperationalError] = []
            pending = Figures("db_client_connection_pending_requests")
            within: list[Any] = []
            getconn = connection.pool.getconn

            def asked() -> Any:
                within.append(pending.new())
                return getconn()

            monkeypatch.setattr(connection.pool, "getconn", asked)

            def wait_in_vain() -> None:
                try:
                    connections["other"].ensure_connection()
                except OperationalError as e:
                    errors.append(e)

            thread = threading.Thread(target=wait_in_vain)
            thread.start()
            thread.join()
            assert len(errors) == 1
            [row] = refused.new()
            assert row == labels | {"error_type": "psycopg_pool.PoolTimeout", "n": 1.0}
            assert within == [[labels | {"n": 1.0}]]
            assert pending.new() == []
            connection.close()
            connection.close_pool()


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

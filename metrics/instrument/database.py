"""Measures database queries of every connection, whatever its ENGINE.

Follows OpenTelemetry's semantic conventions for database client metrics (1.33, stable):
names, buckets and ``error.type``. The label ``alias`` is Django's, ``db_operation_name`` the
statement's first word, of a fixed list.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from time import perf_counter
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from metrics.instrument import connections as measured_connections
from metrics.instrument.connections import system_of
from metrics.instrument.durations import Observe, error_type, observer, seconds_histogram

logger = logging.getLogger(__name__)

BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
NAME = "db_client_operation_duration_seconds"
DURATION = seconds_histogram(
    NAME,
    "Duration of database operations in seconds",
    ["alias", "db_system_name", "db_operation_name", "error_type"],
    BUCKETS,
)
OPERATIONS = frozenset(
    {
        "ALTER",
        "ANALYZE",
        "BEGIN",
        "CALL",
        "CLOSE",
        "COMMIT",
        "COPY",
        "CREATE",
        "DECLARE",
        "DELETE",
        "DO",
        "DROP",
        "EXECUTE",
        "EXPLAIN",
        "FETCH",
        "GRANT",
        "INSERT",
        "LISTEN",
        "LOCK",
        "MERGE",
        "NOTIFY",
        "PRAGMA",
        "REFRESH",
        "RELEASE",
        "REPLACE",
        "REVOKE",
        "ROLLBACK",
        "SAVEPOINT",
        "SELECT",
        "SET",
        "SHOW",
        "START",
        "TRUNCATE",
        "UPDATE",
        "USE",
        "VACUUM",
        "VALUES",
        "WITH",
    }
)
OTHER = "_OTHER"
_FIRST_WORD = re.compile(r"(?:[\s(;\ufeff]+|(?:--|#)[^\n]*|/\*.*?\*/)*+(\w+)", re.DOTALL)
"""Behind blanks, brackets and comments; each character is looked at once."""

_FAR = 10_000
"""How many characters of a statement are looked at."""

_MOST_WORDS = 200
_MARK = "_sentinel_is_measured"
Execute = Callable[[Any, Any, bool, dict[str, Any]], Any]


def install() -> None:
    """Measure the queries of this process's connections, those that are open included."""
    connection_created.connect(_opened, dispatch_uid="metrics.instrument.database")
    measured_connections.install()
    for connection in connections.all(initialized_only=True):
        _measure(connection)


def _opened(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    try:
        _measure(connection)
        measured_connections.opened(connection)
    except Exception:
        logger.exception("the queries of connection %r are not measured", connection.alias)


def _measure(connection: BaseDatabaseWrapper) -> None:
    if not getattr(connection, _MARK, False):
        setattr(connection, _MARK, True)
        # Not at the end, of which Django's execute_wrapper() takes one away when it is left.
        connection.execute_wrappers.insert(0, _wrapper(connection.alias, system_of(connection)))


_observers: dict[tuple[str, str], dict[Any, Observe]] = {}
"""By alias and system: what observes a statement, by its text up to the first space."""


def _wrapper(alias: str, system: str) -> Callable[..., Any]:
    by_word = _observers.setdefault((alias, system), {})

    def measured(
        execute: Execute, sql: Any, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        began = perf_counter()
        try:
            result = execute(sql, params, many, context)
        except BaseException as e:
            _failed(alias, system, sql, e, perf_counter() - began)
            raise
        seconds = perf_counter() - began
        try:
            by_word[sql[: sql.find(" ")]](seconds)
        except (AttributeError, KeyError, TypeError):
            _new_word(alias, system, sql, by_word)(seconds)
        return result

    return measured


def _failed(alias: str, system: str, sql: Any, error: BaseException, seconds: float) -> None:
    DURATION.labels(alias, system, operation(sql), error_type(error)).observe(seconds)


def _new_word(alias: str, system: str, sql: Any, by_word: dict[Any, Observe]) -> Observe:
    """Return what observes ``sql``, and keep it where the text up to the first space tells all."""
    name = operation(sql)
    if name not in by_word:
        by_word[name] = observer(DURATION, alias, system, name, "")
    observe = by_word[name]
    if isinstance(sql, str) and len(by_word) < _MOST_WORDS:
        word = sql[: sql.find(" ")]  # without a space all but the last character: "COMMI"
        if word.strip().isalpha() and (" " in sql or name != OTHER):
            by_word[word] = observe
    return observe


def operation(sql: Any) -> str:
    """Return the first word of a statement, behind comments and brackets; else ``_OTHER``."""
    if isinstance(sql, bytes):
        text = sql[:_FAR].decode(errors="replace")
    else:
        text = sql if isinstance(sql, str) else _text_of(sql)
    found = _FIRST_WORD.match(text, 0, _FAR)
    word = found[1].upper() if found else ""
    return word if word in OPERATIONS else OTHER


def _text_of(sql: Any) -> str:
    """Return the text of psycopg's composed statements, which are no strings."""
    try:
        return str(sql.as_string(None))
    except Exception:  # noqa: BLE001 - what it is made of is the caller's
        return ""

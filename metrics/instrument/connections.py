"""Measures database connections: how many are open, opened and refused, and psycopg's pool.

Names and states are those of OpenTelemetry's conventions for connection pools; a connection
that Django holds open is ``used``, pool or not, and ``idle`` those that wait in a pool.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

from django.db.backends.base.base import BaseDatabaseWrapper
from prometheus_client import Counter, Gauge

from metrics.instrument.durations import error_type
from metrics.registries import REGISTRY

logger = logging.getLogger(__name__)

_LABELS = ("alias", "db_system_name")
SYSTEMS = {"oracle": "oracle.db"}
"""OpenTelemetry's names of systems that Django calls otherwise."""


def _counter(what: str, documentation: str, *more: str) -> Counter:
    name = f"db_client_connection_{what}_total"
    return Counter(name, documentation, [*_LABELS, *more], registry=REGISTRY)


def _gauge(what: str, documentation: str, *more: str) -> Gauge:
    mode: Literal["livesum"] = "livesum"
    return Gauge(
        f"db_client_connection_{what}",
        documentation,
        [*_LABELS, *more],
        registry=REGISTRY,
        multiprocess_mode=mode,
    )


OPENED = _counter("opened", "Total number of database connections that were opened")
ERRORS = _counter("errors", "Total number of database connections that were refused", "error_type")
COUNT = _gauge(
    "count",
    "Number of open database connections, in use or idle in a pool",
    "db_client_connection_state",
)
PENDING = _gauge("pending_requests", "Number of threads that wait for a connection of a pool")

_MARK = "_sentinel_is_measured"
_OPEN = "_sentinel_open"


class _Open:
    """A connection that is open, in the process that opened it, until it is said to be closed."""

    __slots__ = ("_pid", "_used")

    def __init__(self, used: Any) -> None:
        self._pid = os.getpid()
        self._used = used
        used.inc()

    def end(self) -> None:
        """Count it no longer."""
        if self._pid == os.getpid():  # a child closes its parent's too
            self._used.dec()


class _Pools:
    """What was seen of each pool: how many connections it has opened."""

    def __init__(self) -> None:
        self._opened: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def newly_opened(self, pool: Any, stats: dict[str, int]) -> int:
        """Return how many connections a pool has opened since this was asked last."""
        opened = stats.get("connections_num", 0) - stats.get("connections_errors", 0)
        with self._lock:
            more = opened - self._opened.get(pool, 0)
            self._opened[pool] = opened
        return max(0, more)

    def forget(self) -> None:
        """Begin anew in a child: what the parent's pools did, the parent has counted."""
        self._opened = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()


_pools = _Pools()
os.register_at_fork(after_in_child=_pools.forget)


def system_of(connection: BaseDatabaseWrapper) -> str:
    """Return OpenTelemetry's name of the database's system."""
    return SYSTEMS.get(connection.vendor, connection.vendor)


def install() -> None:
    """Note each connection that is closed, or cannot be opened."""
    if getattr(BaseDatabaseWrapper.close, _MARK, False):
        return
    for name, wrap in (("close", _noting_close), ("connect", _noting_errors)):
        method = getattr(BaseDatabaseWrapper, name)
        wrapped = functools.wraps(method)(wrap(method))
        setattr(wrapped, _MARK, True)
        setattr(BaseDatabaseWrapper, name, wrapped)


def opened(connection: BaseDatabaseWrapper) -> None:
    """Note that a connection was opened, or taken out of its pool."""
    labels = connection.alias, system_of(connection)
    if previous := connection.__dict__.get(_OPEN):
        previous()
    # It is called when the connection is closed, or has gone with a thread that closed nothing.
    end = connection.__dict__[_OPEN] = weakref.finalize(connection, _Open(_used(*labels)).end)
    end.atexit = False
    if not _note_pool(connection, labels):
        OPENED.labels(*labels).inc()


@functools.lru_cache(maxsize=100)
def _used(alias: str, system: str) -> Any:
    return COUNT.labels(alias, system, "used")


def _noting_close(close: Callable[[Any], None]) -> Callable[[Any], None]:
    def noting(self: BaseDatabaseWrapper) -> None:
        try:
            close(self)
        finally:
            _closed(self)

    return noting


def _closed(connection: BaseDatabaseWrapper) -> None:
    if connection.connection is not None and not connection.closed_in_transaction:
        return  # to close it was refused: it is another thread's, or this is an event loop
    try:
        end = connection.__dict__.pop(_OPEN, None)
        if end is not None:
            end()
            _note_pool(connection, (connection.alias, system_of(connection)))
    except Exception:
        logger.exception("connection %r is not measured", connection.alias)


def _noting_errors(connect: Callable[[Any], None]) -> Callable[[Any], None]:
    def noting(self: BaseDatabaseWrapper) -> None:
        try:
            with _pending(self):
                connect(self)
        except Exception as e:
            if _OPEN not in self.__dict__:  # else a receiver of Django's signal failed
                _refused(self, e)
            raise

    return noting


def _pending(connection: BaseDatabaseWrapper) -> AbstractContextManager[object]:
    """Count a thread as waiting for as long as it is in this, where there is a pool."""
    if not (connection.settings_dict.get("OPTIONS") or {}).get("pool"):
        return nullcontext()
    return PENDING.labels(connection.alias, system_of(connection)).track_inprogress()


def _refused(connection: BaseDatabaseWrapper, error: Exception) -> None:
    try:
        labels = connection.alias, system_of(connection)
        ERRORS.labels(*labels, error_type(error)).inc()
        _note_pool(connection, labels)
    except Exception:
        logger.exception("connection %r is not measured", connection.alias)


def _note_pool(connection: BaseDatabaseWrapper, labels: tuple[str, str]) -> bool:
    """Note how a connection's pool stands just now; return whether it has one."""
    pool: Any = getattr(connection, "pool", None)
    if not hasattr(pool, "get_stats"):  # it is none of psycopg's
        return False
    stats = pool.get_stats()
    COUNT.labels(*labels, "idle").set(stats.get("pool_available", 0))
    if more := _pools.newly_opened(pool, stats):
        OPENED.labels(*labels).inc(more)
    return True

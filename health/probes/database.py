"""Probes of a Django database: that it answers, and that its schema is the code's."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from django.apps import apps
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError, InterfaceError

from health.probes.base import Probe, ProbeError
from metrics.databases import DUMMY_ENGINE, belongs, fresh_connection, in_place, own_connection


@dataclass
class DatabaseProbe(Probe):
    """``SELECT 1`` on the database ``alias``, as its engine spells it.

    SQLite's file is read for it, and a database without SQL is asked for its version.

    By default each check opens a connection of its own and closes it, which proves
    that new ones can be had. With ``persistent`` one is kept, apart from those of
    requests; when it has gone stale it is opened again once, and only a second
    failure is the database's.
    """

    alias: str = "default"
    persistent: bool = False
    _idle: list[BaseDatabaseWrapper] = field(default_factory=list, init=False, repr=False)
    _lock: threading.Lock = field(
        default_factory=threading.Lock, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        _demand_alias(self.alias)

    def check(self, timeout: float) -> None:
        """Ask the database for a one."""
        if not self.persistent:
            with fresh_connection(self.alias, timeout) as connection:
                _select_one(connection)
            return
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        if kept is not None:
            try:
                _select_one(kept)
            except (DatabaseError, InterfaceError, OSError):
                kept.close()
                kept = None
        if kept is None:
            kept = own_connection(self.alias, timeout)
            kept.inc_thread_sharing()
            try:
                _select_one(kept)
            except BaseException:
                kept.close()
                raise
        with self._lock:
            if not self._idle:
                self._idle.append(kept)
                return
        kept.close()  # a check that had hung came back after the next one

    def close(self) -> None:
        """Close the connection that is kept."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _demand_alias(alias: str) -> None:
    if alias not in connections:
        raise ValueError(f"DATABASES has no {alias!r}; it has {', '.join(connections)}")
    if connections.settings[alias]["ENGINE"] == DUMMY_ENGINE:
        raise ValueError(f"DATABASES[{alias!r}] names no ENGINE: there is nothing to probe")


def _select_one(connection: BaseDatabaseWrapper) -> None:
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA schema_version")  # SELECT 1 would not look into the file
        return
    connection.ensure_connection()  # on Oracle the version says how to select
    sql = f"SELECT 1{connection.features.bare_select_suffix}"
    with connection.cursor() as cursor:
        if not hasattr(cursor, "execute"):  # no SQL: MongoDB's gives nothing at all
            connection.get_database_version()
            return
        cursor.execute(sql)
        row = cursor.fetchone()
    if row is None or row[0] != 1:
        raise ProbeError(f"{sql} gave {row!r}")


@dataclass
class MigrationsProbe(Probe):
    """That every migration of the code that belongs there is applied to the database ``alias``.

    Those of an app whose models DATABASE_ROUTERS keep out of ``alias`` do not belong there.
    """

    alias: str = "default"

    def __post_init__(self) -> None:
        _demand_alias(self.alias)
        if not any(belongs(app.label, self.alias) for app in apps.get_app_configs()):
            raise ValueError(f"DATABASE_ROUTERS let no app migrate {self.alias!r}")

    def check(self, timeout: float) -> None:
        """Compare the code's migrations with the database's table of them."""
        with fresh_connection(self.alias, timeout) as connection, in_place(connection):
            executor = MigrationExecutor(connection)
            leaves = executor.loader.graph.leaf_nodes()
            plan = executor.migration_plan([n for n in leaves if belongs(n[0], self.alias)])
            plan = [step for step in plan if belongs(step[0].app_label, self.alias)]
        if plan:
            missing = ", ".join(f"{m.app_label}.{m.name}" for m, _ in plan[:3])
            more = f" and {len(plan) - 3} more" if len(plan) > 3 else ""
            raise ProbeError(f"not applied: {missing}{more}")

"""Shows migrations that are not applied, as a fact of the moment of the scrape.

What is applied is read from each database by a connection of its own, by two queries a scrape;
what there is, from the code, again only when something has been applied.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection, Iterable
from errno import ENOENT
from itertools import cycle
from typing import Any
from urllib.parse import unquote, urlsplit

from django.apps import apps
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from metrics.conf import conf
from metrics.databases import DUMMY_ENGINE, belongs, fresh_connection, in_place
from metrics.registries import REGISTRY
from metrics.system.failure_log import FailureLog

UNAPPLIED = "django_migrations_unapplied", "Number of migrations that are not applied"
APPLIED = "django_migrations_applied", "Number of migrations that are applied"

CONNECT_SECONDS = 3
"""How long a PostgreSQL that does not answer is waited for."""

_failures = FailureLog(logging.getLogger(__name__))

Key = tuple[str, str]


class MigrationsCollector(Collector):
    """Counts the migrations of each database at each scrape."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Collection[Key], list[int]]] = {}

    def describe(self) -> Iterable[Metric]:
        """Name the families, so that no database is asked when this is registered."""
        return _families()

    def collect(self) -> Iterable[Metric]:
        """Ask the databases; one that does not answer has no sample, and the log says why."""
        families = _families()
        for alias in connections:
            try:
                figures = self._of(alias)
            except Exception as e:  # noqa: BLE001 - whatever a driver or a router raises
                _failures.failed("migrations of %s cannot be counted: %s", alias, e, key=alias)
                continue
            _failures.ended(alias)
            for family, figure in zip(families, cycle(figures), strict=False):
                family.add_metric([alias], figure)
        return families

    def _of(self, alias: str) -> list[int]:
        """Return how many are not applied, and how many are, or nothing where none can be."""
        if connections.settings[alias]["ENGINE"] == DUMMY_ENGINE:
            return []
        theirs = {app.label for app in apps.get_app_configs() if belongs(app.label, alias)}
        if not theirs:
            return []
        # Django's recorder looks for its connection under the alias.
        with fresh_connection(alias, CONNECT_SECONDS) as connection, in_place(connection):
            if connection.vendor == "sqlite" and not _is_there(connection):
                return []
            applied = set(MigrationRecorder(connection).applied_migrations())
            with self._lock:
                if alias not in self._known or self._known[alias][0] != applied:
                    self._known[alias] = applied, _compare(connection, theirs)
                return self._known[alias][1]


def _is_there(connection: Any) -> bool:
    """Whether an SQLite database is one that a second connection sees.

    Raises FileNotFoundError where the connection would create it.
    """
    name = str(connection.settings_dict["NAME"])
    if connection.is_in_memory_db():
        return "cache=shared" in name
    path = unquote(urlsplit(name).path) if name.startswith("file:") else name
    if not os.path.exists(path):
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), path)
    return True


def _compare(connection: BaseDatabaseWrapper, app_labels: Collection[str]) -> list[int]:
    loader = MigrationLoader(connection, ignore_no_migrations=True)
    there = {node for node in loader.graph.nodes if node[0] in app_labels}
    applied = there & set(loader.applied_migrations)
    return [len(there - applied), len(applied)]


def _families() -> list[GaugeMetricFamily]:
    named = [UNAPPLIED, APPLIED]
    if "django_prometheus" in conf.instrument:
        prefix = conf.django_prometheus_namespace and f"{conf.django_prometheus_namespace}_"
        named += [(f"{prefix}{name}_total", text) for name, text in named]
    return [GaugeMetricFamily(name, text, labels=["connection"]) for name, text in named]


_collector: Any = MigrationsCollector()


def install() -> None:
    """Count from the next scrape on."""
    if _collector not in REGISTRY._collector_to_names:
        REGISTRY.register(_collector)

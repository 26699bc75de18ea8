"""Shows migrations that are not applied, as a fact of the moment of the scrape.

What is applied is read from each database by a connection of its own, one query a scrape; what
there is, from the code, again only when something has been applied.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from metrics.conf import conf
from metrics.registries import REGISTRY
from metrics.system.failure_log import FailureLog

UNAPPLIED = "django_migrations_unapplied", "Number of migrations that are not applied"
APPLIED = "django_migrations_applied", "Number of migrations that are applied"

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
        for alias, values in settings.DATABASES.items():
            if values.get("ENGINE", "").endswith(".dummy"):
                continue
            try:
                figures = self._count(alias)
            except Exception as e:  # noqa: BLE001 - whatever a driver raises
                _failures.failed("migrations of %s cannot be counted: %s", alias, e, key=alias)
                continue
            _failures.ended(alias)
            for family, figure in zip(families, figures * 2, strict=False):
                family.add_metric([alias], figure)
        return families

    def _count(self, alias: str) -> list[int]:
        """Return how many are not applied, and how many are."""
        connection: BaseDatabaseWrapper = connections[alias].copy()
        try:
            applied = set(MigrationRecorder(connection).applied_migrations())
            with self._lock:
                if alias not in self._known or self._known[alias][0] != applied:
                    self._known[alias] = applied, _compare(connection)
                return self._known[alias][1]
        finally:
            connection.close()


def _compare(connection: BaseDatabaseWrapper) -> list[int]:
    loader = MigrationLoader(connection, ignore_no_migrations=True)
    there, applied = set(loader.graph.nodes), set(loader.applied_migrations)
    return [len(there - applied), len(there & applied)]


def _families() -> list[GaugeMetricFamily]:
    named = [UNAPPLIED, APPLIED]
    if "django_prometheus" in conf.instrument:
        named += [(f"{name}_total", text) for name, text in named]
    return [GaugeMetricFamily(name, text, labels=["connection"]) for name, text in named]


_collector: Any = MigrationsCollector()


def install() -> None:
    """Count from the next scrape on."""
    if _collector not in REGISTRY._collector_to_names:
        REGISTRY.register(_collector)

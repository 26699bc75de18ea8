"""The families that show a scrape what the application's processes are doing."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from metrics.collectors.quick import QuickCollector
from metrics.registries import REGISTRY


class WorkersCollector(QuickCollector):
    """The families that show a scrape what the application's workers are doing."""

    def describe(self) -> Iterable[Metric]:
        """Return the families without samples, so that a registry need not collect."""
        return self._families()

    def collect(self) -> Iterator[Metric]:
        """Return the families; none where the lanes do not tell."""
        from health.application.watch import observe  # not in each process that is never asked
        from health.application.workers import SHOWN

        if (application := observe()) is None or application.is_blind:
            return
        workers, in_progress, oldest = self._families()
        for condition in SHOWN:
            workers.add_metric([condition], application.count(condition))
        in_progress.add_metric([], application.requests_in_progress)
        oldest.add_metric([], application.oldest_request_seconds)
        yield from (workers, in_progress, oldest)

    def _families(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily(
                "sentinel_workers",
                "Application processes by what they are doing",
                labels=["state"],
            ),
            GaugeMetricFamily(
                "sentinel_requests_in_progress",
                "Requests that application processes are working on",
            ),
            GaugeMetricFamily(
                "sentinel_oldest_request_seconds",
                "Age of the oldest request in progress, 0 if there is none",
            ),
        )


@functools.cache
def register() -> None:
    """Put the families into `metrics.registry.REGISTRY`, once a process.

    Django makes the apps ready again where a test changes INSTALLED_APPS.
    """
    REGISTRY.register(WorkersCollector())

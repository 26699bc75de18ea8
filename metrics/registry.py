"""The gateway's five metric families on a registry of their own."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from math import inf
from typing import Any, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric

from metrics import shared
from metrics.histograms import SecondsHistogram
from metrics.registries import REGISTRY
from metrics.shared import share
from metrics.tool_calls import Call, Status

__all__ = ["ALL_PROCESSES", "METRICS", "REGISTRY", "Metrics", "Status", "share"]


_STATUSES = frozenset(map(str, Status))


_Recorder = tuple[shared.Store | None, Any, Any, tuple[float, ...], tuple[Any, ...], Any]
"""What a request of one tool and status writes to: the store, if it may be written to
directly, then the values of requests and seconds, the buckets' upper bounds and their values,
and that of errors, unless it succeeded."""


class Metrics:
    """The five ``sentinel_*`` families and the calls that record into them.

    ``METRICS`` is the service's own and shared by all its processes. Any other
    instance, as a test makes, keeps its figures to itself, unless its registry is one
    that `share` was told of; without a ``registry`` it gets a new one. Every method may
    be called from any thread, from sync and async code, before and after a fork.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._is_shared = shared.is_shared(self.registry)
        self.requests = Counter(
            "sentinel_requests_total",
            "Total number of tool requests, by tool and status",
            ["tool", "status"],
            registry=self.registry,
        )
        self.request_duration = SecondsHistogram(
            "sentinel_request_duration_seconds",
            "Duration of tool requests in seconds",
            ["tool"],
            registry=self.registry,
        )
        self.errors = Counter(
            "sentinel_errors_total",
            "Total number of tool requests that did not succeed, by tool and type of error",
            ["tool", "error_type"],
            registry=self.registry,
        )
        self.backend_healthy = Gauge(
            "sentinel_backend_healthy",
            "Whether a backend is healthy (1) or not (0)",
            ["backend"],
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self.rate_limit_hits = Counter(
            "sentinel_rate_limit_hits_total",
            "Total number of tool requests turned away by a rate limit",
            ["tool"],
            registry=self.registry,
        )
        self._recorders: dict[tuple[str, str], _Recorder] = {}

    def record_request(self, tool: str, status: str, duration_secs: float) -> None:
        """Count a request, observe how long it took, and count an error unless it succeeded.

        ``status`` is one of `Status`; ``duration_secs`` is in seconds, finite and not
        negative. Raises ValueError for anything else, and then counts nothing.
        """
        if not 0.0 <= duration_secs < inf:
            raise ValueError(
                f"duration_secs must be a finite number of seconds, 0 or more,"
                f" not {duration_secs!r}"
            )
        try:
            store, requests, seconds, bounds, buckets, errors = self._recorders[tool, status]
        except (KeyError, TypeError):
            store, requests, seconds, bounds, buckets, errors = self._recorder(tool, status)
        bucket = buckets[bisect_left(bounds, duration_secs)]
        if store is not None:
            # Not through the values' methods: four calls would double the time. All of
            # a process's series have room in its lane, or none; so the first write
            # raises, if any does. metrics.shared.values says why this needs no lock.
            try:
                cells = store.cells
                cells[seconds.cell] += duration_secs
                cells[bucket.cell] += 1.0
                cells[requests.cell] += 1.0
                if errors is not None:
                    cells[errors.cell] += 1.0
                return
            except IndexError:
                pass
        seconds.inc(duration_secs)
        bucket.inc(1.0)
        requests.inc(1.0)
        if errors is not None:
            errors.inc(1.0)

    def _recorder(self, tool: str, status: str) -> _Recorder:
        if not isinstance(status, str) or status not in _STATUSES:
            raise ValueError(f"status must be one of {', '.join(Status)}, not {status!r}")
        status = str(Status(status))
        requests = self.requests.labels(tool, status)
        duration = self.request_duration.labels(tool)
        errors = None if status == Status.SUCCESS else self.errors.labels(tool, status)
        store = shared.current() if self._is_shared else None
        # Without the store values may be exchanged for others, when it is installed.
        may_keep = store is not None or not self._is_shared
        recorder = (
            store if shared.ATOMIC else None,
            requests._value,
            duration._sum,
            tuple(duration._upper_bounds[:-1]),
            tuple(duration._buckets),
            None if errors is None else errors._value,
        )
        if store is None or not store.is_folded(requests._value):
            if may_keep:
                self._recorders[tool, status] = recorder
            return recorder
        # Too many tools: what prometheus_client and we would remember of each would
        # fill the memory of the process.
        for family, labels in (
            (self.requests, (tool, status)),
            (self.request_duration, (tool,)),
            (self.errors, (tool, status)),
        ):
            with family._lock:
                family._metrics.pop(tuple(map(str, labels)), None)
        return recorder

    def track(self, tool: str) -> Call:
        """Return what records a call of ``tool``, for ``with METRICS.track("name") as call:``.

        It succeeds unless an exception passes or ``call.status`` is set to one of `Status`.
        """
        return Call(self, tool)

    def record_rate_limit_hit(self, tool: str) -> None:
        """Count a call of ``tool`` that a rate limit turned away."""
        self.rate_limit_hits.labels(tool).inc()

    def set_backend_health(self, backend: str, healthy: bool) -> None:
        """Set the gauge of ``backend`` to 1.0 (healthy) or 0.0."""
        self.backend_healthy.labels(backend).set(1.0 if healthy else 0.0)

    def gather_text(self) -> str:
        """Return the figures in the text format 0.0.4, as GET /metrics does.

        ``METRICS`` gives those of all processes; another instance its own.
        """
        from metrics import exposition  # most processes that count are never asked
        from metrics.scraping.scraper import SCRAPER

        if self._is_shared:
            return SCRAPER.render().text
        own = exposition.convert(self.registry.collect())
        return exposition.template(own.families, exposition.TEXT_0_0_4).fill(own.values)


METRICS = Metrics(REGISTRY)


class _AllProcesses:
    """What GET /metrics shows, for functions that take a registry to read from it."""

    def collect(self) -> Iterator[Metric]:
        """Yield each family with the values of all processes; ``_total`` is in no name."""
        from metrics.scraping.scraper import SCRAPER

        for figures in SCRAPER.read().families:
            family = figures.family
            metric = Metric(family.name, family.help, family.type, family.unit)
            for key, value in figures.samples:
                metric.add_sample(key.name, dict(key.labels), value)
            yield metric


ALL_PROCESSES = cast(CollectorRegistry, _AllProcesses())
"""For ``generate_latest``, ``push_to_gateway`` and their kind: what all processes counted.

A registry itself shows what this process counted, as its metrics do: their objects are this
process's, and a test or a program that reads one back wants what it has put there.
"""

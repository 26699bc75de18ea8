"""Histograms whose series are found by their label values once, and then only written to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import Histogram

from metrics import shared
from metrics.histograms import SecondsHistogram
from metrics.registries import REGISTRY

Observe = Callable[[float], None]
TASK_BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    *(10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0),
)
"""Of what nobody waits for: tasks and commands."""


def seconds_histogram(
    name: str, documentation: str, labels: Sequence[str], buckets: Sequence[float]
) -> Histogram:
    """Make a histogram of seconds on the service's registry."""
    return SecondsHistogram(name, documentation, labels, buckets=buckets, registry=REGISTRY)


def observer(histogram: Histogram, *labels: str, and_count: Any = None) -> Observe:
    """Return what observes seconds in one series, in a third of the time of its own method.

    Each observation also adds 1 to ``and_count``, a series of a counter, if there is one.
    """
    series: Any = histogram.labels(*labels) if labels else histogram
    store = shared.current()
    total, buckets = series._sum, tuple(series._buckets)
    counted = buckets[0] if and_count is None else and_count._value
    bounds = tuple(series._upper_bounds[:-1])

    def observe_slowly(seconds: float) -> None:
        total.inc(seconds)
        buckets[bisect_left(bounds, seconds)].inc(1.0)
        if and_count is not None:
            counted.inc(1.0)

    if store is None or not shared.ATOMIC:
        return observe_slowly

    # All of a process's series have room in its lane, or none: the first write raises, if
    # any does. metrics.shared.values says why this needs no lock.
    def observe(seconds: float) -> None:
        bucket = buckets[bisect_left(bounds, seconds)]
        try:
            cells = store.cells
            cells[total.cell] += seconds
            cells[bucket.cell] += 1.0
        except IndexError:
            observe_slowly(seconds)

    def observe_and_count(seconds: float) -> None:
        bucket = buckets[bisect_left(bounds, seconds)]
        try:
            cells = store.cells
            cells[total.cell] += seconds
            cells[bucket.cell] += 1.0
            cells[counted.cell] += 1.0
        except IndexError:
            observe_slowly(seconds)

    return observe if and_count is None else observe_and_count


def error_type(error: BaseException) -> str:
    """Return an exception's class with its module, without the module for Python's own."""
    kind = type(error)
    name = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"

"""Processes that make metrics before the store is installed, or that meet it in other ways.

Django is set up inside of the functions, and what may only be imported then is imported there.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import django
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Metric,
    Summary,
    values,
)
from prometheus_client.registry import Collector


def shown(prefix: str = "t_") -> list[str]:
    """Return the sorted lines of a scrape that begin with ``prefix``."""
    from metrics.scraping.scraper import SCRAPER

    lines = SCRAPER.render().text.splitlines()
    return sorted(line for line in lines if line.startswith(prefix))


def check() -> list[str | None]:
    """Return the ids of what the system checks say."""
    from django.core import checks

    return [message.id for message in checks.run_checks()]


def count_before_and_after() -> list[Any]:
    """Count for each type before the store is there and after; return lines and messages."""
    counter = Counter("t_counter", "Early")
    gauge = Gauge("t_gauge", "Early", multiprocess_mode="sum")
    histogram = Histogram("t_histogram", "Early", ["l"], buckets=(1, 2))
    summary = Summary("t_summary", "Early")
    labelled = Counter("t_labelled", "Early", ["l"])
    Info("t_info", "Not shared")
    Enum("t_enum", "Not shared", states=["a", "b"])

    def count() -> None:
        counter.inc(2)
        gauge.inc(3)
        histogram.labels("a").observe(1.5)
        summary.observe(4)
        labelled.labels("a").inc(5)

    count()
    django.setup()
    early = labelled.labels("a")
    count()
    early.inc()
    labelled.labels("b").inc()
    names = ("t_counter", "t_gauge", "t_histogram", "t_labelled", "t_summary")
    return [[line for line in shown() if line.startswith(names)], check()]


def record_before_and_after() -> list[float]:
    """Record a request before the store is there and after; return what a snapshot counts."""
    from metrics.registry import METRICS

    METRICS.record_request("a", "success", 0.5)
    django.setup()
    METRICS.record_request("a", "success", 0.5)
    from metrics import shared

    store = shared.current()
    assert store is not None
    snapshot = store.snapshot()
    keys = [key for family in snapshot.layout.families for key in family.samples]
    return [
        value
        for key, value in zip(keys, snapshot.values, strict=True)
        if key.name == "sentinel_requests_total"
    ]


def refuse_to_move() -> list[Any]:
    """Count with a metric that cannot be made twice; return its value and what a check says."""

    class Odd(Counter):
        def _metric_init(self) -> None:
            if hasattr(self, "_value"):
                raise RuntimeError("not twice")
            super()._metric_init()

    odd = Odd("t_odd", "Odd")
    odd.inc()
    django.setup()
    odd.inc()
    from django.core import checks

    found = [m.msg for m in checks.run_checks() if m.id == "sentinel_metrics.W001"]
    return [odd._value.get(), found]


def count_in_the_clients_mode() -> list[Any]:
    """Count in a process with PROMETHEUS_MULTIPROC_DIR, before the store is there and after.

    Return two values, the ids of messages, whether no file was made, and the log.
    """
    log: list[str] = []

    class Log(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            log.append(record.getMessage())

    logging.getLogger("metrics.shared").addHandler(Log())
    place = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    early = Counter("t_early", "Early")
    early.inc(3)
    Counter("t_unused", "Early, but without a count", ["l"]).labels("a")
    django.setup()
    files = sorted(place.iterdir())
    early.inc(2)
    own = Counter("t_own", "Own", registry=CollectorRegistry())
    own.inc()
    return [early._value.get(), own._value.get(), check(), sorted(place.iterdir()) == files, log]


def observe_while_it_moves() -> list[float]:
    """Observe with a histogram at moments of its move; return its sum and its buckets."""
    from metrics import shared

    class Store(shared.Store):
        def adopt(self, *args: Any) -> None:
            early.observe(5)
            super().adopt(*args)
            early.observe(0.5)

    early = Histogram("t_early", "Early", buckets=(1, 2))
    early.observe(1.5)
    place = tempfile.mkdtemp()
    shared.install(Store(place))
    early.observe(5)
    found = [early._sum.get(), *(bucket.get() for bucket in early._buckets)]
    shutil.rmtree(place)
    return found


def forget_in_both_modes() -> list[int]:
    """Forget label sets with our values and with the client's own; return the warnings of each."""
    django.setup()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()
    heard = []
    own: Callable[[], Any] = values.get_value_class
    for kind in (values.ValueClass, own()):
        values.ValueClass = kind
        counter = Counter("t_c", "help", ["l"], registry=None)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            counter.labels("a").inc()
            counter.remove("a")
            counter.clear()
        heard.append(len(caught))
    return heard


def keep_something_lazy() -> list[Any]:
    """Register a collector with a lazy object; return messages, and how often it was built."""
    from django.utils.functional import SimpleLazyObject

    touched: list[int] = []

    def build() -> object:
        touched.append(1)
        raise RuntimeError("not yet")

    class Wrapped(Collector):
        def __init__(self) -> None:
            self.inner = SimpleLazyObject(build)

        def collect(self) -> Iterable[Metric]:
            return []

    REGISTRY.register(Wrapped())
    django.setup()
    return [check(), touched]

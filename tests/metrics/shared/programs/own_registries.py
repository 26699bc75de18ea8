"""Processes with registries of their own: what is shared, and what is not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from metrics.registry import ALL_PROCESSES, share
from metrics.scraping.scraper import SCRAPER


def shown(prefix: str = "t_") -> list[str]:
    """Return the sorted lines of a scrape that begin with ``prefix``."""
    lines = SCRAPER.render().text.splitlines()
    return sorted(line for line in lines if line.startswith(prefix))


def of(registry: Any, prefix: str = "t_") -> list[str]:
    """Return the same of a registry, as prometheus_client writes it."""
    lines = generate_latest(registry).decode().splitlines()
    lines = [line for line in lines if "_created" not in line]
    return sorted(line for line in lines if line.startswith(prefix))


def count_in_ones_own() -> list[Any]:
    """Count in two registries of one's own; return the lines of each, and those of a scrape."""
    found = []
    for amount in (5, 7):
        r = CollectorRegistry()
        Counter("t_rows", "", registry=r).inc(amount)
        Counter("t_labelled", "", ["l"], registry=r).labels("a").inc(amount)
        Gauge("t_gauge", "", ["l"], registry=r).labels("a").set(amount)
        h = Histogram("t_histogram", "", ["l"], registry=r, buckets=(1,))
        h.labels("a").observe(amount)
        Summary("t_summary", "", registry=r).observe(amount)
        found.append(of(r))
    return [found, shown()]


def share_later() -> list[list[str]]:
    """Share metrics that have counted; return the lines of a scrape before and after."""
    loose = Counter("t_loose", "", ["l"], registry=None)
    loose.labels("a").inc(2)
    own = CollectorRegistry()
    mine = Counter("t_mine", "", registry=own)
    mine.inc(3)
    before = shown()
    REGISTRY.register(loose)
    assert share(own) is own
    assert share(own) is own
    loose.labels("a").inc()
    loose.labels("b").inc()
    mine.inc()
    Counter("t_new", "", registry=own).inc()
    return [before, shown()]


def make_again() -> list[Any]:
    """Make metrics, count and take them out, twice; return what there was, and a scrape's lines."""
    seen: list[Any] = []
    for amount in (5, 7):
        c = Counter("t_c", "", ["l"])
        h = Histogram("t_h", "", buckets=(1,))
        s = Summary("t_s", "")
        seen.append([of(REGISTRY), REGISTRY.get_sample_value("t_s_count")])
        c.labels("a").inc(amount)
        h.observe(0.5)
        s.observe(amount)
        seen.append(of(REGISTRY))
        for one in (c, h, s):
            REGISTRY.unregister(one)
    return [seen, shown()]


def read_all_processes() -> list[Any]:
    """Count; return whether ALL_PROCESSES shows what a scrape does, and its first lines."""
    Counter("t_c", "Counted", ["l"]).labels("a").inc(2)
    Gauge("t_g", "", multiprocess_mode="sum").set(3)
    Histogram("t_h", "", buckets=(1,)).observe(0.5)
    return [of(ALL_PROCESSES) == shown(), of(ALL_PROCESSES)[:2]]


def answer(number: int) -> list[str]:
    """Answer a scrape as process ``number``, with values that are not shared."""

    class Custom(Collector):
        def collect(self) -> Iterable[Metric]:
            yield GaugeMetricFamily("t_custom", "Custom", value=number)

    REGISTRY.register(Custom())
    Counter("t_jobs", "Jobs").inc(number)
    Info("t_about", "About").info({"process": str(number)})
    Enum("t_state", "State", states=["one", "two"]).state(["one", "two"][number - 1])
    lines = SCRAPER.render().text.splitlines()
    return [line for line in lines if line.startswith("t_")]

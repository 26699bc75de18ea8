"""Stores with few series: what the tests of the limit run."""

from __future__ import annotations

import os
import time
from typing import Any

from metrics import shared
from metrics.registry import METRICS
from tests.support.store_process import StoreProcess


def fold_in_memory(process: StoreProcess) -> list[dict[str, float]]:
    """Count while a file is in the directory's place, and after; return a scrape of each."""
    process.reinstall(max_series=lambda: 10)
    c = process.counter("c", ["l"])
    for i in range(50):
        c.labels(str(i)).inc()
    found = process.scrape()
    os.unlink(process.directory)
    time.sleep(1.1)
    process.scrape()
    return [found, process.scrape()]


def exempt_some(process: StoreProcess) -> dict[str, float]:
    """Count three series of families that have no limit; return a scrape."""
    process.reinstall(max_series=lambda: 1)
    shared.exempt("few_total", "few_seconds")
    few = process.counter("few_total", ["l"])
    h = process.histogram("few_seconds", ["l"], buckets=(1,))
    for i in range(3):
        few.labels(str(i)).inc()
        h.labels(str(i)).observe(1)
    return process.scrape()


def record_many_tools(process: StoreProcess) -> list[Any]:
    """Record 200 tools twice; return a scrape, and how many of them METRICS remembers."""
    process.reinstall(max_series=lambda: 20)
    for _ in range(2):
        for i in range(200):
            METRICS.record_request(f"tool {i}", "success", 0.5)
    return [process.scrape(), len(METRICS._recorders), len(METRICS.requests._metrics)]

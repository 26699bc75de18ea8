"""Processes that fill a directory, or count on in a damaged one."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.store_process import StoreProcess


def fill(process: StoreProcess) -> None:
    """Count for 25 series of three types, and for one that is removed."""
    c = process.counter("c", ["l"])
    g = process.gauge("sum", "g", ["l"])
    h = process.histogram("h", ["l"], buckets=(1, 2))
    for i in range(25):
        c.labels(str(i)).inc(i + 1, exemplar={"trace": str(i)})
        g.labels(str(i)).set(i + 1)
        h.labels(str(i)).observe(1.5)
    c.labels("gone").inc()
    c.remove("gone")


def old_and_new(process: StoreProcess) -> Callable[[], None]:
    """Make the families and one more; return a function that counts for 40 series."""
    c = process.counter("c", ["l"])
    h = process.histogram("h", ["l"], buckets=(1, 2))
    new = process.counter("new", ["l"])

    def work() -> None:
        for i in range(40):
            c.labels(str(i)).inc()
            h.labels(str(i)).observe(1.5)
            new.labels(str(i)).inc(2)

    return work

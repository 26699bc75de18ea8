"""Processes whose store fails them: what the tests of faults run."""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import metrics as client_metrics

from metrics import shared
from metrics.shared.files import index
from metrics.system.run_dir import RunDir
from tests.support.store_process import StoreProcess


def metrics_of_three_types(process: StoreProcess) -> Callable[[int, int], None]:
    """Make three families; return a function that counts for the series of a range."""
    c = process.counter("c", ["l"])
    g = process.gauge("sum", "g", ["l"])
    h = process.histogram("h", ["l"])

    def work(begin: int, end: int) -> None:
        for i in range(begin, end):
            c.labels(str(i)).inc()
            g.labels(str(i)).set(i)
            h.labels(str(i)).observe(1)

    return work


def count_as_nobody(process: StoreProcess) -> list[Any]:
    """Give up root's rights and count; return a scrape, the log, and what is left out."""
    importlib.import_module("metrics.shared.reading.reader")  # Python may lie in root's home
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    c = process.counter("c", ["l"])
    for i in range(100):
        c.labels(str(i % 2)).inc()
    return [process.scrape(), process.log, list(process.store.snapshot().left_out)]


def count_strictly(process: StoreProcess) -> list[Any]:
    """Count in a directory that has to be this user's own; return a scrape and the log."""
    process.reinstall(RunDir(process.directory, is_guessable=True))
    process.counter().inc()
    return [process.scrape(), process.log]


class OwnShare:
    """A counter and a histogram, and what this process's own share of them is."""

    def __init__(self, process: StoreProcess) -> None:
        self._counter = process.counter()
        self._histogram = process.histogram(buckets=(1,))

    def count(self) -> None:
        """Count once."""
        self._counter.inc(7)
        self._histogram.observe(0.5)
        self._histogram.observe(3)

    def own(self) -> list[float]:
        """Return the counter's value, the sum and the buckets."""
        h = self._histogram
        return [self._counter._value.get(), h._sum.get(), *(b.get() for b in h._buckets)]


def count_a_share(process: StoreProcess) -> list[float]:
    """Count once; return this process's own share."""
    share = OwnShare(process)
    share.count()
    return share.own()


def die_in_an_append(process: StoreProcess, share: int) -> None:
    """Be killed when ``share`` bytes of a record of the index are written."""
    c = process.counter("c", ["l"])
    c.labels("whole").inc(3)
    write = os.pwrite

    def kill(fd: int, data: bytes, at: int) -> int:
        if b"half" not in data:
            return write(fd, data, at)
        write(fd, data[:share], at)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("it lives")

    module: Any = index
    module.os = type("os", (), {**vars(os), "pwrite": staticmethod(kill)})
    c.labels("half").inc(5)


def count_log_lines(process: StoreProcess) -> None:
    """Count log lines in four threads; print for each one whether it is still at it."""
    lines = process.counter("lines", ["level"])

    class Counting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            time.sleep(0.001)
            lines.labels(record.levelname + str(time.time())).inc()

    logging.getLogger().addHandler(Counting())
    logging.getLogger("metrics").propagate = True
    c = process.counter("c", ["l"])

    def work(name: int) -> None:
        for i in range(300):
            c.labels(f"{name} {i}").inc()
            if i % 20 == 0:
                logging.warning("busy")
                process.store._hold.try_at_once()
                process.store._hold._failures.all_ended()

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    print(json.dumps([thread.is_alive() for thread in threads]), flush=True)
    os._exit(0)


def lack_the_seam(directory: str) -> None:
    """Count in a client that is not as the store relies on; print the log, and what is counted."""
    client_metrics.Counter._metric_init = lambda self: None  # type: ignore[method-assign]
    process = StoreProcess(directory, installs=False)
    print(process.log[0])
    g = process.gauge("all")
    g.set(1)
    print(g._value.get(), shared.current())

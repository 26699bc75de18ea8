"""Writes that are interrupted by signals, finalisers and threads."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

from metrics.registry import METRICS
from metrics.shared.files import index
from metrics.system import flock
from tests.support.store_process import StoreProcess


def count_in_threads_and_handlers(process: StoreProcess) -> list[Any]:
    """Count in four threads and a handler for two seconds.

    Return the rounds of the threads and of the handler, and a scrape.
    """
    sys.setswitchinterval(1e-6)
    c, g, h = process.counter("c", ["l"]), process.gauge("sum"), process.histogram()
    child = c.labels("a")
    handled = 0
    inside: list[int] = []

    def handler(number: int, frame: object) -> None:
        nonlocal handled
        if inside:
            return
        inside.append(1)
        child.inc()
        g.inc(2)
        h.observe(1)
        METRICS.record_request("t", "error", 0.5)
        c.labels("handler" + str(handled % 50)).inc()
        handled += 1
        inside.pop()

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    end = time.monotonic() + 2
    done = [0] * 4

    def work(number: int) -> None:
        count = 0
        while time.monotonic() < end:
            for _ in range(50):
                child.inc()
                g.inc(1)
                g.dec(0.5)
                h.observe(1)
                METRICS.record_request("t", "error", 0.5)
                count += 1
            c.labels(str(count % 100)).inc(0)
        done[number] = count

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        child.inc(0)
    for thread in threads:
        thread.join()
    signal.setitimer(signal.ITIMER_REAL, 0)
    return [sum(done), handled, process.scrape()]


def wait_for_each_other(process: StoreProcess, kind: str) -> dict[str, float]:
    """Let a handler or a finaliser in the store want a lock whose owner wants the store's."""
    c = process.counter("c", ["l"])
    child = c.labels("a")
    h = process.histogram("h", ["l"])
    inside, at = threading.Event(), threading.Event()

    def other() -> None:
        inside.wait()
        at.set()
        c.labels("b").inc()
        h.labels("b").observe(1)

    thread = threading.Thread(target=other)
    thread.start()

    def intrude(*args: object) -> None:
        inside.set()
        at.wait()
        deadline = time.monotonic() + 30
        lock: Any = c._lock
        while lock._lock.acquire(blocking=False):  # until the thread has it, and waits for us
            lock._lock.release()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        c.labels("c").inc()
        c.labels("b").inc(2)
        h.labels("b").observe(1)

    class Finalised:
        def __del__(self) -> None:
            intrude()

    signal.signal(signal.SIGALRM, intrude)
    store: Any = process.store
    take = store._take_lane

    def slow() -> None:
        store._take_lane = take
        if kind == "handler":
            signal.raise_signal(signal.SIGALRM)
        else:
            Finalised()
        take()

    store._take_lane = slow
    child.inc()
    thread.join()
    c.labels("b").inc()
    h.labels("b").observe(1)
    return process.scrape()


def record_inside_the_slow_path(process: StoreProcess) -> list[Any]:
    """Record at each system call of the slow path.

    Return how often, a scrape, the series without a cell, whether writes are fast, and the log.
    """
    c, h = process.counter("c", ["l"]), process.histogram("h", ["l"])
    inside = depth = 0

    def intrude() -> None:
        nonlocal inside, depth
        if depth or inside == 100:
            return
        depth += 1
        inside += 1
        c.labels("a").inc()
        c.labels(f"new {inside}").inc()
        h.labels(f"new {inside}").observe(1)
        METRICS.record_request(f"tool {inside % 7}", "error", 0.5)
        process.store.snapshot()
        depth -= 1

    class OS:
        def __getattr__(self, name: str) -> Any:
            if name in ("pwrite", "fstat", "ftruncate", "pread", "stat"):
                intrude()
            return getattr(os, name)

    modules: tuple[Any, Any] = (index, flock)
    for module in modules:
        module.os = OS()
    for i in range(20):
        c.labels("a").inc()
        c.labels(str(i)).inc()
        h.labels(str(i)).observe(1)
    for module in modules:
        module.os = os
    store = process.store
    return [inside, process.scrape(), store._table.homeless, len(store.cells) > 0, process.log]

"""One side of a store benchmark, in a process of its own: prints its figure as JSON.

``python -m benchmarks.store_side ours|peer MEASUREMENT``. The peer is
prometheus_client's multi-process mode, given the same families and the same calls.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Generator
from contextlib import closing
from itertools import islice
from typing import Any, Self

STATUSES = (
    "success",
    "error",
    "killed",
    "rate_limited",
    "denied",
    "circuit_open",
    "invalid_args",
)
WORKERS = 8
ROUNDS = 21


class Ours:
    """The shared store, and the gateway's families on it."""

    def __init__(self, directory: str) -> None:
        from metrics import shared

        self.store = shared.Store(directory, max_series=lambda: 1_000_000)
        if not shared.install(self.store):
            raise SystemExit("the shared store could not be installed")
        from metrics.registry import METRICS

        self.record: Callable[[str, str, float], None] = METRICS.record_request
        self._prepared: tuple[Any, Any] | None = None

    def scrape(self) -> int:
        """Read all values and render them; return the text's length."""
        from metrics.exposition import TEXT_0_0_4, template

        snapshot = self.store.snapshot()
        if self._prepared is None or self._prepared[0] is not snapshot.layout:
            self._prepared = snapshot.layout, template(snapshot.layout.families, TEXT_0_0_4)
        return len(self._prepared[1].fill(snapshot.values, snapshot.exemplars))

    def scrape_as_newcomer(self) -> int:
        """Scrape as a process that has read nothing yet."""
        from metrics import shared

        self.store = shared.Store(self.store.directory)
        return self.scrape()


class Peer:
    """prometheus_client's multi-process mode with the same families."""

    def __init__(self, directory: str) -> None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        from prometheus_client import CollectorRegistry, Counter, Histogram

        registry = CollectorRegistry()
        requests = Counter("sentinel_requests", "h", ["tool", "status"], registry=registry)
        duration = Histogram("sentinel_request_duration_seconds", "h", ["tool"], registry=registry)
        errors = Counter("sentinel_errors", "h", ["tool", "error_type"], registry=registry)

        def record(tool: str, status: str, duration_secs: float) -> None:
            requests.labels(tool, status).inc()
            duration.labels(tool).observe(duration_secs)
            if status != "success":
                errors.labels(tool, status).inc()

        self.record = record

    def scrape(self) -> int:
        """Merge all files and render them; return the text's length."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        collector: Any = MultiProcessCollector  # it has no annotations
        collector(registry)
        return len(generate_latest(registry))

    scrape_as_newcomer = scrape


Side = Ours | Peer


def record(side: Side, status: str) -> float:
    """Return the seconds of one recorded request."""
    side.record("tool", status, 0.03)
    call = side.record
    number = 50_000
    timer = timeit.Timer("call('tool', status, 0.03)", globals={"call": call, "status": status})
    return statistics.median(timer.repeat(9, number)) / number


def inc(side: Side) -> float:
    """Return the seconds of one ``Counter.inc()``."""
    from prometheus_client import Counter

    counter = Counter("benchmark_inc", "h")
    number = 50_000
    timer = timeit.Timer("counter.inc()", globals={"counter": counter})
    return statistics.median(timer.repeat(9, number)) / number


def touch(side: Side) -> float:
    """Return the seconds of a label set's first ``inc()`` in a process."""
    from prometheus_client import Counter

    counter = Counter("benchmark_touch", "h", ["l"])
    counter.labels("warm").inc()
    times = []
    for number in range(2000):
        begun = time.perf_counter()
        counter.labels(str(number)).inc()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def memory(side: Side) -> float:
    """Return the MiB that 10,000 series of a counter take in one process."""
    import psutil
    from prometheus_client import Counter

    counter = Counter("benchmark_memory", "h", ["l"])
    counter.labels("warm").inc()
    before = psutil.Process().memory_info().rss
    for number in range(10_000):
        counter.labels(f"label value {number}").inc()
    return float(psutil.Process().memory_info().rss - before) / 2**20


def scrape(side: Side, tools: int, dead: int = 0) -> float:
    """Return the seconds of a scrape after every value has changed."""
    return statistics.median(islice(scrapes(side, tools, dead), ROUNDS if tools <= 100 else 7))


def scrapes(side: Side, tools: int, dead: int = 0) -> Generator[float]:
    """Yield the seconds of scrapes, before each of which every value changes."""
    _come_and_go(side, tools, dead)
    with _Workers(side, tools) as workers:
        side.scrape()
        while True:
            workers.touch()
            begun = time.perf_counter()
            side.scrape()
            yield time.perf_counter() - begun


def first(side: Side, tools: int) -> float:
    """Return the seconds of the first scrape of a process that has read nothing."""
    times = []
    with _Workers(side, tools):
        for _ in range(5):
            begun = time.perf_counter()
            side.scrape_as_newcomer()
            times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _come_and_go(side: Side, tools: int, dead: int) -> None:
    if dead:
        _use(side, tools)  # what the children inherit, as with gunicorn's --preload
    for _ in range(dead):
        pid = os.fork()
        if pid == 0:
            _use(side, tools)
            os._exit(0)
        os.waitpid(pid, 0)


def _use(side: Side, tools: int) -> None:
    for number in range(tools):
        for status in STATUSES:
            side.record(f"tool-{number}", status, 0.03)


class _Workers:
    """Live processes that change all their values when they are told to."""

    def __init__(self, side: Side, tools: int) -> None:
        self._pipes: list[tuple[int, int, int]] = []
        for _ in range(WORKERS):
            to_read, to_write = os.pipe()
            back_read, back_write = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(to_write)
                while os.read(to_read, 1):
                    _use(side, tools)
                    os.write(back_write, b".")
                os._exit(0)
            os.close(to_read)
            os.close(back_write)
            self._pipes.append((to_write, back_read, pid))
        self.touch()

    def touch(self) -> None:
        """Let all of them change their values, and wait until they have."""
        for to_write, _, _ in self._pipes:
            os.write(to_write, b".")
        for _, back_read, _ in self._pipes:
            os.read(back_read, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        for to_write, back_read, _ in self._pipes:
            os.close(to_write)
            os.close(back_read)
        for _, _, pid in self._pipes:
            os.kill(pid, 9)
            os.waitpid(pid, 0)


MEASUREMENTS: dict[str, Callable[[Side], float]] = {
    "record-success": lambda side: record(side, "success"),
    "record-error": lambda side: record(side, "error"),
    "inc": inc,
    "touch": touch,
    "memory": memory,
    "scrape-100": lambda side: scrape(side, 100),
    "scrape-1000": lambda side: scrape(side, 1000),
    "scrape-100-after-100": lambda side: scrape(side, 100, 100),
    "scrape-100-after-1000": lambda side: scrape(side, 100, 1000),
    "first-1000": lambda side: first(side, 1000),
}
STEPS: dict[str, Callable[[Side], Generator[float]]] = {
    "scrape-100": lambda side: scrapes(side, 100),
    "scrape-100-after-1000": lambda side: scrapes(side, 100, 1000),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store_side")
    parser.add_argument("side", choices=["ours", "peer"])
    parser.add_argument("measurement", choices=sorted(MEASUREMENTS))
    parser.add_argument("--steps", action="store_true", help="measure once a line of stdin")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        side = Ours(directory) if options.side == "ours" else Peer(directory)
        if options.steps:
            with closing(STEPS[options.measurement](side)) as steps:
                for _line, figure in zip(sys.stdin, steps, strict=False):
                    print(figure, flush=True)
        else:
            print(json.dumps(MEASUREMENTS[options.measurement](side)))


if __name__ == "__main__":
    main()

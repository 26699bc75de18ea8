"""Run other people's collectors so that none of them can spoil a scrape."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from django.db import connections
from prometheus_client import Metric

from metrics.system import forks
from metrics.system.failure_log import FailureLog

logger = logging.getLogger(__name__)

Collect = Callable[[], Iterable[Metric]]


@dataclass(slots=True)
class Collected:
    """What collectors gave; ``failed`` maps the name of each that did not to the reason."""

    asked: tuple[str, ...] = ()
    metrics: list[Metric] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


class _Run:
    """One collector at work in a thread of its own, which a time limit can leave behind."""

    def __init__(self, name: str, collect: Collect) -> None:
        self.metrics: list[Metric] = []
        self.error: BaseException | None = None
        self._collect = collect
        self.thread = threading.Thread(target=self._work, name=f"collect {name}", daemon=True)

    def _work(self) -> None:
        try:
            self.metrics = [_whole(metric) for metric in self._collect()]
        except BaseException as e:  # noqa: BLE001 - this thread is its own; the scrape goes on
            self.error = e
        finally:
            connections.close_all()  # this thread's own, should the collector have opened any


def _whole(metric: Metric) -> Metric:
    """Return ``metric`` with all its samples made: a lazy one may fail, or take its time."""
    samples = list(metric.samples)
    with suppress(AttributeError):  # no attribute but a property, which gives them each time
        metric.samples = samples
    return metric


class CollectorGuard:
    """Run collectors side by side; leave out, and name in the log, those that fail.

    A collector that does not end within the limit stays behind in its thread, and is
    not started again while it is still there, so that hung ones cannot pile up. May be
    used by several threads at once.
    """

    def __init__(self) -> None:
        self._running: dict[str, _Run] = {}
        self._failures = FailureLog(logger)
        self._lock = threading.Lock()
        forks.after_in_child(self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    def run_here(self, collectors: Sequence[tuple[str, Collect]]) -> Collected:
        """Return what ``collectors`` that cannot hang give, without a thread for each."""
        result = Collected()
        for name, collect in collectors:
            try:
                result.metrics += list(collect())
            except Exception as e:  # noqa: BLE001 - the scrape goes on without it
                self._fail(result, name, f"it raised {type(e).__name__}", e)
            else:
                self._failures.ended(name)
        return result

    def run(self, collectors: Sequence[tuple[str, Collect]], deadline: float) -> Collected:
        """Return what ``collectors`` (name and function) give until ``deadline``.

        ``deadline`` is in seconds of `time.monotonic`. Never raises an Exception.
        """
        result = Collected(tuple(name for name, _ in collectors))
        started: list[tuple[str, _Run]] = []
        for name, collect in collectors:
            try:
                run = self._start(name, collect)
            except RuntimeError as e:  # no more threads
                self._fail(result, name, str(e))
                continue
            if run is None:
                self._fail(result, name, "it is still busy with an earlier scrape")
            else:
                started.append((name, run))
        for name, run in started:
            run.thread.join(max(0.0, deadline - time.monotonic()))
            if run.thread.is_alive():
                self._fail(result, name, "it did not end within the scrape's time limit")
                continue
            self._forget(name, run)
            if run.error is not None:
                self._fail(result, name, f"it raised {type(run.error).__name__}", run.error)
            else:
                self._failures.ended(name)
                result.metrics += run.metrics
        return result

    def _start(self, name: str, collect: Collect) -> _Run | None:
        """Set a collector to work, or return None while it is at work for somebody else.

        Raises RuntimeError if there can be no more threads.
        """
        with self._lock:
            before = self._running.get(name)
            if before is not None and before.thread.is_alive():
                return None
            run = _Run(name, collect)
            run.thread.start()
            self._running[name] = run
            return run

    def _forget(self, name: str, run: _Run) -> None:
        with self._lock:
            if self._running.get(name) is run:
                del self._running[name]

    def _fail(
        self, result: Collected, name: str, reason: str, error: BaseException | None = None
    ) -> None:
        """Note a failure; into the log goes only the first of a row."""
        result.failed[name] = reason
        self._failures.failed(
            "Collector %s is left out of the scrape: %s", name, reason, key=name, cause=error
        )

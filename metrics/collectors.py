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
    not started again while it is still there, so that hung ones cannot pile up.
    """

    def __init__(self) -> None:
        self._running: dict[str, _Run] = {}
        self._logged: set[str] = set()

    def run_here(self, collectors: Sequence[tuple[str, Collect]]) -> Collected:
        """Return what ``collectors`` that cannot hang give, without a thread for each."""
        result = Collected()
        for name, collect in collectors:
            try:
                result.metrics += collect()
            except Exception as e:  # noqa: BLE001 - the scrape goes on without it
                self._fail(result, name, f"it raised {type(e).__name__}", e)
            else:
                self._logged.discard(name)
        return result

    def run(self, collectors: Sequence[tuple[str, Collect]], deadline: float) -> Collected:
        """Return what ``collectors`` (name and function) give until ``deadline``.

        ``deadline`` is in seconds of `time.monotonic`. Never raises an Exception.
        """
        result = Collected(tuple(name for name, _ in collectors))
        started: list[tuple[str, _Run]] = []
        for name, collect in collectors:
            before = self._running.get(name)
            if before is not None and before.thread.is_alive():
                self._fail(result, name, "it is still busy with an earlier scrape")
                continue
            run = self._running[name] = _Run(name, collect)
            try:
                run.thread.start()
            except RuntimeError as e:  # no more threads
                self._fail(result, name, str(e))
            else:
                started.append((name, run))
        for name, run in started:
            run.thread.join(max(0.0, deadline - time.monotonic()))
            if run.thread.is_alive():
                self._fail(result, name, "it did not end within the scrape's time limit")
                continue
            self._running.pop(name, None)
            if run.error is not None:
                self._fail(result, name, f"it raised {type(run.error).__name__}", run.error)
            else:
                self._logged.discard(name)
                result.metrics += run.metrics
        return result

    def _fail(
        self, result: Collected, name: str, reason: str, error: BaseException | None = None
    ) -> None:
        """Note a failure; into the log goes only the first of a row."""
        result.failed[name] = reason
        if name not in self._logged:
            self._logged.add(name)
            logger.error("Collector %s is left out of the scrape: %s", name, reason, exc_info=error)

"""The schedule of the elected prober: which backend to probe when, and how long to wait.

It only looks at the clock and passes messages: probes run in a pool, in which they may
hang, and results are written by the publisher.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import random
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from health.board.health_map import BackendHealthMap
from health.conf.backends import BackendConfig
from health.core.backend import Observation
from health.families import (
    ABANDONED_PROBES,
    FAULTS,
    HUNG_PROBES,
    LAST_PROBE,
    PROBE_DURATION,
    PROBER_LAG,
)
from health.prober.messages import Inbox, Lost, Published, Returned, Stop
from health.prober.outcome import describe
from health.prober.pool import ProbePool, Run
from health.prober.publisher import Publisher
from health.probes import Probe

logger = logging.getLogger(__name__)

MAX_HUNG = 2
"""How many hung checks of one backend may be left behind before no further one is started."""

JITTER = 0.1
"""By which part an interval may be shorter or longer, so that hosts do not march in step."""


@dataclass(eq=False)
class Target:
    """One backend in the schedule; ``due`` is on time.monotonic."""

    config: BackendConfig
    probe: Probe
    due: float
    hung: int = 0


class Round:
    """The loop of the elected prober, from its election to its end."""

    def __init__(
        self,
        board: BackendHealthMap,
        targets: Mapping[str, Target],
        pool: ProbePool,
        publisher: Publisher,
        inbox: Inbox,
        stopping: threading.Event,
    ) -> None:
        self._board = board
        self._targets = targets
        self._pool = pool
        self._publisher = publisher
        self._inbox = inbox
        self._stopping = stopping
        self._count = itertools.count()
        self._due = [(t.due, next(self._count), t) for t in targets.values()]
        self._deadlines: list[tuple[float, int, Run]] = []
        self._running: set[Run] = set()
        self._lag = 0.0
        self._lag_shown_at = 0.0

    def run(self) -> None:
        """Probe until told to stop, or until the election is lost."""
        heapq.heapify(self._due)
        while not self._stopping.is_set():
            now = time.monotonic()
            self._start_due(now)
            self._give_up_late(now)
            self._show_lag(now)
            try:
                message = self._inbox.get(timeout=max(0.0, self._next_at() - time.monotonic()))
            except queue.Empty:
                continue
            match message:
                case Returned(run):
                    self._returned(run)
                case Published(backends):
                    self._schedule(backends)
                case Lost() | Stop():
                    return

    def _next_at(self) -> float:
        heads = [heap[0][0] for heap in (self._due, self._deadlines) if heap]
        return min([*heads, time.monotonic() + 1.0])

    def _start_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            due, _, target = heapq.heappop(self._due)
            target.due = now
            self._lag = max(self._lag, now - due)
            name, timeout = target.config.name, target.config.timeout
            if target.hung >= MAX_HUNG:
                self._publish(name, f"{target.hung} checks have not returned yet", None)
                continue
            run = Run(name, target.probe, timeout)
            try:
                self._pool.start(run)
            except RuntimeError as e:
                FAULTS.labels("thread").inc()
                self._publish(name, f"no thread for the check: {e}", None)
                continue
            self._running.add(run)
            grace = min(0.25, timeout * 0.1)  # its own time limit tells more than ours
            heapq.heappush(self._deadlines, (now + timeout + grace, next(self._count), run))

    def _give_up_late(self, now: float) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, run = heapq.heappop(self._deadlines)
            if run not in self._running:
                continue
            self._running.remove(run)
            run.abandoned = True
            self._targets[run.backend].hung += 1
            HUNG_PROBES.inc()
            ABANDONED_PROBES.labels(run.backend).inc()
            PROBE_DURATION.labels(run.backend).observe(run.timeout)
            self._publish(run.backend, f"no answer within {run.timeout:g} s", run.timeout)

    def _returned(self, run: Run) -> None:
        if run.abandoned:
            self._targets[run.backend].hung -= 1
            HUNG_PROBES.dec()
            return
        self._running.discard(run)
        error = describe(run)
        PROBE_DURATION.labels(run.backend).observe(run.seconds)
        self._publish(run.backend, error, run.seconds)

    def _publish(self, backend: str, error: str | None, seconds: float | None) -> None:
        LAST_PROBE.labels(backend).set(time.time())
        self._publisher.put(backend, Observation(error is None, seconds, error))

    def _schedule(self, names: Collection[str]) -> None:
        """Set the next check of backends whose last one is on the board."""
        known = self._board.snapshot()
        for name in names:
            target = self._targets[name]
            doubtful = name in known and known[name].in_doubt
            c = target.config
            interval = min(c.interval, c.interval_in_doubt) if doubtful else c.interval
            interval *= 1 + random.uniform(-JITTER, JITTER)
            heapq.heappush(self._due, (target.due + interval, next(self._count), target))

    def _show_lag(self, now: float) -> None:
        if now >= self._lag_shown_at + 1.0:
            PROBER_LAG.set(self._lag)
            self._lag, self._lag_shown_at = 0.0, now

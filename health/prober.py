"""The background loop: when each backend is probed, and what counts as an answer.

One process of those that share a board probes; the others stand by. Three kinds of
thread do the work, so that none can hold up another: this loop, which only looks at
the clock; a pool, in which probes may hang; and the publisher, which writes.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import logging
import os
import queue
import random
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from health import election as elections
from health.board import BOARD, BackendHealthMap
from health.conf import FILE, conf
from health.config import BackendConfig
from health.config import declare as declared
from health.election import AloneElection, Election
from health.metrics import ABANDONED_PROBES, FAULTS, HUNG_PROBES, LAST_PROBE, PROBE_DURATION
from health.metrics import PROBER_LAG as LAG
from health.pool import ProbePool, Run
from health.probes import Probe, ProbeError, build
from health.publisher import Publisher
from health.recorder import Recorder
from health.scrub import scrub
from health.state import Observation

logger = logging.getLogger(__name__)

MAX_HUNG = 2
"""How many hung checks of one backend may be left behind before no further one is started."""

JITTER = 0.1
"""By which part an interval may be shorter or longer, so that hosts do not march in step."""


@dataclass(eq=False)
class _Target:
    """One backend in the schedule; ``due`` is on time.monotonic."""

    config: BackendConfig
    probe: Probe
    due: float
    hung: int = 0


class Prober:
    """Probes ``backends`` (those of the settings) and puts the results on ``board``.

    Runs in a thread between `start` and `stop`, or in the caller's with `run_forever`.
    Start it after a fork, never before.
    """

    def __init__(
        self,
        board: BackendHealthMap = BOARD,
        backends: Mapping[str, BackendConfig] | None = None,
        *,
        election: Election | None = None,
    ) -> None:
        self._board = board
        self._backends = conf.backends if backends is None else backends
        if election is None:
            election = elections.configured() if board is BOARD else AloneElection()
        self._election = election
        self._inbox: queue.SimpleQueue[Run | Iterable[str] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._leading = False

    @property
    def is_leading(self) -> bool:
        """Whether this is the one that probes, rather than standing by."""
        return self._leading

    def start(self) -> None:
        """Run in a daemon thread of this process."""
        self._thread = threading.Thread(
            target=self.run_forever, name="sentinel-prober", daemon=True
        )
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """End `run_forever`, from any thread, and wait for the thread of `start` so long."""
        self._stopping.set()
        self._inbox.put(None)
        if self._thread is not None:
            self._thread.join(seconds)

    def run_forever(self) -> None:
        """Stand by until it is this process's turn, then probe, until `stop`."""
        failing = False
        while not self._stopping.is_set():
            try:
                if self._election.win():
                    failing = False
                    self._lead()
            except Exception as e:
                FAULTS.labels("election").inc()
                if not failing:
                    logger.exception("the prober cannot do its work, will go on trying: %s", e)
                failing = True
            self._stopping.wait(self._standby_seconds)

    @property
    def _standby_seconds(self) -> float:
        """How often to see whether the holder is gone: twice in the shortest interval."""
        return min([1.0, *(c.interval / 2 for c in self._backends.values())])

    def _lead(self) -> None:
        logger.info("probing %d backend(s) from process %d", len(self._backends), os.getpid())
        inbox = self._inbox
        declare = functools.partial(declared, backends=self._backends)
        publisher = Publisher(
            self._board,
            self._election,
            renew_seconds=self._standby_seconds,
            published=inbox.put,
            lost=lambda: inbox.put(None),
            declare=declare,
        )
        pool = ProbePool(inbox.put)
        recorder = Recorder(self._board) if self._board is BOARD else None
        targets = {
            name: _Target(c, make_probe(c), time.monotonic()) for name, c in self._backends.items()
        }
        self._leading = True
        publisher.start()
        try:
            self._board.update(declare)
            if recorder is not None:
                recorder.start()
            _Round(self._board, targets, pool, publisher, inbox, self._stopping).run()
        finally:
            self._leading = False
            publisher.stop(2.0)  # before the resignation: it renews what that gives up
            if recorder is not None and recorder.is_alive:
                recorder.stop(2.0)
            pool.close()
            self._inbox = queue.SimpleQueue()  # late answers go to the old one
            self._election.resign()
            for target in targets.values():
                HUNG_PROBES.dec(target.hung)
                target.probe.close()


class _Round:
    """The loop of the elected prober, from its election to its end."""

    def __init__(
        self,
        board: BackendHealthMap,
        targets: Mapping[str, _Target],
        pool: ProbePool,
        publisher: Publisher,
        inbox: queue.SimpleQueue[Run | Iterable[str] | None],
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
            if message is None:
                return
            if isinstance(message, Run):
                self._returned(message)
            else:
                self._schedule(message)

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

    def _schedule(self, names: Iterable[str]) -> None:
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
            LAG.set(self._lag)
            self._lag, self._lag_shown_at = 0.0, now


def describe(run: Run) -> str | None:
    """Return in words, without secrets, why a check that returned was a failure, or None."""
    if run.error is None:
        if run.seconds <= run.timeout:
            return None
        return f"answered after {run.seconds:.3g} s, {run.timeout:g} s are allowed"
    text = str(run.error)
    if not isinstance(run.error, ProbeError):
        text = f"{type(run.error).__name__}: {text}" if text else type(run.error).__name__
    return scrub(text, run.probe.secrets())


class _Unbuildable(Probe):
    """Stands in for a probe that could not be made, and says why each time."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def check(self, timeout: float) -> None:
        raise ProbeError(f"the probe cannot be made: {self._error}")


def make_probe(config: BackendConfig) -> Probe:
    """Return the probe of ``config``; one that cannot be made fails each check and says why."""
    try:
        return build(config)
    except Exception as e:  # noqa: BLE001 - one wrong backend must not end the others' checks
        logger.error("backend %s cannot be probed: %s", config.name, e)
        return _Unbuildable(e)


_guard = threading.Lock()
_own: tuple[int, Prober | None] = (0, None)


def ensure_started() -> None:
    """Start the prober in this process, once, if there is anything to probe.

    For processes that serve requests; they call it after the fork. With
    ``SENTINEL_RUN_DIR = None`` nothing starts: what a test sees must be its own
    doing. Never raises.
    """
    global _own
    pid = os.getpid()
    if _own[0] == pid:
        return
    with _guard:
        if _own[0] == pid:
            return
        prober = None
        try:
            shared = conf.run_dir is not None or conf.health_store != FILE
            if shared and conf.backends:
                prober = Prober()
                prober.start()
        except Exception:
            FAULTS.labels("prober").inc()
            logger.exception("the prober could not be started")
        _own = (pid, prober)


os.register_at_fork(
    before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_guard.release
)

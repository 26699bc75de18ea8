"""What the application's processes are doing, as their lanes in the shared store tell.

Asked by the health server, which must know without a request to any of them, and by
every process that answers a scrape.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
from django.core.exceptions import ImproperlyConfigured
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from health.conf import WEB_SERVERS, conf
from health.supervisor import vitals
from metrics import shared
from metrics.collectors import QuickCollector
from metrics.kind import process_kind
from metrics.registry import REGISTRY
from metrics.shared import Worker

RESTART_SECONDS = 10.0
"""How long a server that lives may be without a worker before it is held for dead."""

NOT_STARTED = "application not started"
NONE_ALIVE = "no application worker alive"
ALL_STUCK = "all application workers stuck"


class Condition(StrEnum):
    """What a worker is doing."""

    IDLE = "idle"
    """No request in progress."""
    BUSY = "busy"
    """Requests in progress, and room for more."""
    SATURATED = "saturated"
    """As many requests in progress as it takes at once."""
    STUCK = "stuck"
    """Saturated, and no request of it ended or began for SENTINEL_STUCK_SECONDS."""
    DEAD = "dead"
    """Gone without a word, as if killed, and no other has taken its lane."""
    LEFT = "left"
    """Gone in order, as after gunicorn's TTOU, and no other has taken its lane."""


SHOWN = tuple(condition for condition in Condition if condition is not Condition.LEFT)
"""What people are told of; who has left in order is no news."""
_GONE = (Condition.DEAD, Condition.LEFT)


@dataclass(frozen=True)
class Application:
    """The application's workers at one moment: each with its condition."""

    workers: tuple[tuple[Worker, Condition], ...]
    now: float
    is_restarting: bool = False
    """Whether the server that starts the workers lives, and has had no time for new ones."""
    unseen_life: bool | None = False
    """Whether a worker lives that has no lane; None: that cannot be told."""
    had_unseen_life: bool = False
    """Whether there was such a worker earlier."""

    def count(self, condition: Condition) -> int:
        """Return how many workers are in ``condition``."""
        return sum(1 for _, c in self.workers if c is condition)

    @property
    def alive(self) -> list[Worker]:
        """The workers whose processes live."""
        return [w for w, condition in self.workers if condition not in _GONE]

    @property
    def requests_in_progress(self) -> int:
        """How many requests all of them are working on."""
        return sum(worker.in_progress for worker in self.alive)

    @property
    def oldest_request_seconds(self) -> float:
        """How long the oldest request in progress has been so; 0.0 if there is none."""
        began = [w.oldest_began for w in self.alive if w.in_progress and w.oldest_began]
        return max(0.0, self.now - min(began)) if began else 0.0

    @property
    def is_saturated(self) -> bool:
        """Whether a new request would have to wait for a worker."""
        full = self.count(Condition.SATURATED) + self.count(Condition.STUCK)
        return bool(self.alive) and full == len(self.alive)

    @property
    def is_blind(self) -> bool:
        """Whether the lanes do not tell what the application is doing."""
        return not self.alive and self.unseen_life is not False

    @property
    def has_started(self) -> bool:
        """Whether there was a worker, or may be one unseen."""
        return bool(self.workers) or self.had_unseen_life or self.is_blind

    @property
    def trouble(self) -> str | None:
        """Why the application is to be held for dead, or None while it lives.

        Being saturated is not death, nor is what cannot be told.
        """
        if self.is_blind:
            return None
        if self.alive:
            return ALL_STUCK if self.count(Condition.STUCK) == len(self.alive) else None
        if self.is_restarting:
            return None
        return NONE_ALIVE if self.has_started else NOT_STARTED


def condition_of(worker: Worker, now: float, stuck_seconds: float | None) -> Condition:
    """Return what ``worker`` is doing at ``now`` (unix seconds)."""
    if not worker.alive:
        return Condition.DEAD if worker.pid else Condition.LEFT
    if not worker.in_progress:
        return Condition.IDLE
    if not worker.capacity or worker.in_progress < worker.capacity:
        return Condition.BUSY
    if stuck_seconds is not None and now - worker.last_active > stuck_seconds:
        return Condition.STUCK
    return Condition.SATURATED


class _Memory:
    """What earlier looks at the lanes showed, which the present one may not."""

    def __init__(self) -> None:
        self.seen: Sequence[Worker] = ()
        self._pids: frozenset[int] = frozenset()
        self._parents: list[psutil.Process] = []
        self._alive_at = time.monotonic()
        self._was_alive = False

    def look(
        self, workers: Sequence[Worker], *, lives: bool = False, lived: bool = False
    ) -> Sequence[Worker]:
        """Return ``workers``, or what was seen last if there are none.

        Lanes do not go away. None at all, where there were some, means that they could
        not be read. ``lives`` and ``lived`` tell of workers without a lane.
        """
        self.seen = workers or self.seen
        self._was_alive = self._was_alive or lives or lived or bool(self.seen)
        if lives:
            self._alive_at = time.monotonic()
        if pids := frozenset(w.pid for w in self.seen if w.alive and w.pid):
            self._alive_at = time.monotonic()
            if pids != self._pids:
                self._pids = pids
                self._parents = _parents(w.pid for w in self.seen if w.alive and w.is_running)
        return self.seen

    def is_restarting(self) -> bool:
        """Whether new workers may be on their way, as after gunicorn's HUP.

        That ends the old ones before the new ones have loaded the application.
        """
        if not self._was_alive:
            return False
        if time.monotonic() - self._alive_at > RESTART_SECONDS:
            return False
        return not self._parents or any(parent.is_running() for parent in self._parents)


def _parents(pids: Iterable[int]) -> list[psutil.Process]:
    parents = {}
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(psutil.Process(pid).ppid())
            parents[parent.pid] = parent
    return list(parents.values())


_memory = _Memory()


def observe() -> Application | None:
    """Return what the application is doing now; None where nothing can be known of it.

    Its lanes tell. Under `serve` the application's processes show life beside them:
    with a run directory that is full, unwritable or gone no lane may tell of a worker
    that serves. Elsewhere a directory without any lane, this process's own included,
    proves no death.
    """
    store, life = shared.current(), vitals.current()
    if store is None and life is None:
        return None
    lanes = [] if store is None else store.workers()
    workers = [w for w in lanes if w.kind in conf.application_kinds]
    unseen: bool | None = False
    lived = life is not None and life.anyone_lived()
    if not any(w.alive for w in workers):
        if life is not None:
            unseen = life.anyone_lives()
        elif not lanes:
            unseen = None
    seen = _memory.look(workers, lives=unseen is True, lived=lived)
    now, stuck = time.time(), conf.stuck_seconds
    return Application(
        tuple((w, condition_of(w, now, stuck)) for w in (seen if life is None else workers)),
        now,
        _memory.is_restarting(),
        unseen,
        lived,
    )


class WorkersCollector(QuickCollector):
    """The families that show a scrape what the application's workers are doing."""

    def describe(self) -> Iterable[Metric]:
        """Return the families without samples, so that a registry need not collect."""
        return self._families()

    def collect(self) -> Iterator[Metric]:
        """Return the families; none where the lanes do not tell."""
        if (application := observe()) is None or application.is_blind:
            return
        workers, in_progress, oldest = self._families()
        for condition in SHOWN:
            workers.add_metric([condition], application.count(condition))
        in_progress.add_metric([], application.requests_in_progress)
        oldest.add_metric([], application.oldest_request_seconds)
        yield from (workers, in_progress, oldest)

    def _families(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily(
                "sentinel_workers",
                "Application processes by what they are doing",
                labels=["state"],
            ),
            GaugeMetricFamily(
                "sentinel_requests_in_progress",
                "Requests that application processes are working on",
            ),
            GaugeMetricFamily(
                "sentinel_oldest_request_seconds",
                "Age of the oldest request in progress, 0 if there is none",
            ),
        )


def show_process() -> None:
    """Take this process's lane now, if SENTINEL_APPLICATION_KINDS names its kind.

    A Celery worker may wait for days before it counts anything. A web server is seen from
    its first request on: here it may be the parent of those that will serve.
    """
    try:
        named = conf.application_kinds - WEB_SERVERS
    except ImproperlyConfigured:
        return  # the check says so
    if (store := shared.current()) is not None and process_kind() in named:
        store.claim()


@functools.cache
def register() -> None:
    """Put the families into `metrics.registry.REGISTRY`, once a process.

    Django makes the apps ready again where a test changes INSTALLED_APPS.
    """
    REGISTRY.register(WorkersCollector())

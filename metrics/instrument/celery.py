"""Measures Celery's tasks: how long they wait, how long they run, and how they end.

By Celery's own signals, in the processes that send tasks and in those that run them. The
moment of sending travels in a header of the message, ``sentinel_sent``. OpenTelemetry's
conventions for messaging are not stable yet; the names are Celery's own words.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from datetime import datetime
from time import perf_counter
from typing import Any

from prometheus_client import Counter, Gauge

from metrics import shared
from metrics.instrument.bounds import FirstOnes
from metrics.instrument.durations import TASK_BUCKETS, error_type, seconds_histogram
from metrics.registries import REGISTRY

QUEUED = seconds_histogram(
    "celery_task_queue_duration_seconds",
    "Duration from the moment at which a task could have run to its start, in seconds",
    ["task", "queue"],
    TASK_BUCKETS,
)
DURATION = seconds_histogram(
    "celery_task_duration_seconds",
    "Duration of runs of tasks in seconds",
    ["task", "state", "error_type"],
    TASK_BUCKETS,
)
SENT = Counter(
    "celery_tasks_sent_total",
    "Total number of tasks that were sent to a broker",
    ["task", "queue"],
    registry=REGISTRY,
)
ACTIVE = Gauge(
    "celery_tasks_active",
    "Number of tasks that run",
    ["task"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
LOST = Counter(
    "celery_tasks_lost_total",
    "Total number of tasks whose process was killed, or died, while it ran them",
    ["task", "error_type"],
    registry=REGISTRY,
)
REVOKED = Counter(
    "celery_tasks_revoked_total",
    "Total number of tasks that were revoked, had expired, or were terminated",
    ["task", "reason"],
    registry=REGISTRY,
)
REFUSED = Counter(
    "celery_messages_refused_total",
    "Total number of messages that a worker could not make a task of",
    ["reason"],
    registry=REGISTRY,
)
MOST_TASKS = 1000
MOST_QUEUES = 100

HEADER = "sentinel_sent"
_BEGAN = "_sentinel_began"

_task = FirstOnes(MOST_TASKS)
_queue = FirstOnes(MOST_QUEUES)
_lost: deque[str | None] = deque(maxlen=1000)
"""The runs that were lost last, by the id of their task."""


def install() -> None:
    """Listen to Celery in this process; without Celery do nothing, a system check says so."""
    try:
        from celery import signals
    except ImportError:
        return
    for signal, receiver in (
        (signals.worker_init, _shown),
        (signals.worker_process_init, _shown),
        (signals.before_task_publish, _sending),
        (signals.after_task_publish, _sent),
        (signals.task_prerun, _begins),
        (signals.task_postrun, _ended),
        (signals.task_failure, _failed),
        (signals.task_revoked, _revoked),
        (signals.task_rejected, _rejected),
        (signals.task_unknown, _unknown),
    ):  # Celery logs what a receiver raises, and goes on
        signal.connect(receiver, weak=False, dispatch_uid=f"{__name__}{receiver.__name__}")


def _shown(**kwargs: Any) -> None:
    """Take this process's lane: a worker may wait for days before it counts anything."""
    store = shared.current()
    if store is not None:
        store.claim()


def _sending(headers: Any = None, **kwargs: Any) -> None:
    """Put the moment of sending, or the one at which the task may run, into the message."""
    if headers is None or "id" not in headers:  # Celery's old protocol, which has no headers
        return
    due = time.time()
    if eta := headers.get("eta"):
        moment = eta if isinstance(eta, datetime) else datetime.fromisoformat(eta)
        due = max(due, moment.timestamp())
    headers[HEADER] = due


def _sent(sender: Any = None, routing_key: Any = None, **kwargs: Any) -> None:
    SENT.labels(_task(str(sender)), _queue(str(routing_key or ""))).inc()


def _begins(task: Any, **kwargs: Any) -> None:
    request = task.request
    name = _task(task.name)
    if not request.is_eager:
        due = getattr(request, HEADER, None)
        if isinstance(due, (int, float)):
            info = request.delivery_info or {}
            queue = _queue(str(info.get("routing_key") or ""))
            QUEUED.labels(name, queue).observe(max(0.0, time.time() - due))
    ACTIVE.labels(name).inc()
    setattr(request, _BEGAN, perf_counter())


def _ended(task: Any, retval: Any = None, state: str | None = None, **kwargs: Any) -> None:
    request = task.request
    began = getattr(request, _BEGAN, None)
    if began is None:  # the worker began to listen while the task ran
        return
    delattr(request, _BEGAN)
    seconds = perf_counter() - began
    name = _task(task.name)
    ACTIVE.labels(name).dec()
    error: Any = None
    if state is None:  # what is no Exception, as SystemExit, goes on while this is called
        state, error = "FAILURE", sys.exc_info()[1]
    elif state == "FAILURE":
        error = retval
    elif state == "RETRY":
        error = getattr(retval, "exc", None)
    said = error_type(error) if isinstance(error, BaseException) else ""
    DURATION.labels(name, state, said).observe(seconds)


def _failed(
    sender: Any = None, exception: Any = None, task_id: str | None = None, **kwargs: Any
) -> None:
    """Count what only a pool's parent knows of: the run's own process is gone.

    Celery may say so twice of one run: when the time is up, and when the process is gone.
    """
    from celery.exceptions import TimeLimitExceeded, WorkerLostError

    if isinstance(exception, (TimeLimitExceeded, WorkerLostError)) and task_id not in _lost:
        _lost.append(task_id)
        LOST.labels(_task(sender.name), type(exception).__name__).inc()


def _revoked(
    sender: Any = None, terminated: Any = None, expired: Any = None, **kwargs: Any
) -> None:
    reason = "terminated" if terminated else "expired" if expired else "revoked"
    REVOKED.labels(_task(sender.name), reason).inc()


def _rejected(**kwargs: Any) -> None:
    REFUSED.labels("invalid").inc()


def _unknown(**kwargs: Any) -> None:
    REFUSED.labels("unknown_task").inc()

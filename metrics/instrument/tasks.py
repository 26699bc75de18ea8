"""Measures tasks of Django's own framework (6.0): how long they wait and run, how they end.

By the signals that every backend sends. The times are those of the task's result, which the
backend's worker took. Before Django 6.0 there is nothing to measure.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from datetime import datetime
from importlib.util import find_spec
from typing import Any

from prometheus_client import Counter, Gauge

from metrics.instrument.bounds import FirstOnes
from metrics.instrument.durations import TASK_BUCKETS, seconds_histogram
from metrics.registries import REGISTRY

logger = logging.getLogger(__name__)

QUEUED = seconds_histogram(
    "django_task_queue_duration_seconds",
    "Duration from the moment at which a task could have run to its start, in seconds",
    ["task", "queue", "backend"],
    TASK_BUCKETS,
)
DURATION = seconds_histogram(
    "django_task_duration_seconds",
    "Duration of runs of tasks in seconds",
    ["task", "status", "error_type"],
    TASK_BUCKETS,
)
ENQUEUED = Counter(
    "django_tasks_enqueued_total",
    "Total number of tasks that were given to a backend",
    ["task", "queue", "backend"],
    registry=REGISTRY,
)
ACTIVE = Gauge(
    "django_tasks_active",
    "Number of tasks that run",
    ["task"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
MOST_TASKS = 1000
MOST_QUEUES = 100

_task = FirstOnes(MOST_TASKS)
_queue = FirstOnes(MOST_QUEUES)
_error = FirstOnes(MOST_TASKS)
_active: set[str] = set()
"""The tasks that this process runs, by the id of their result."""


def install() -> None:
    """Listen to the tasks of this process; before Django 6.0 a system check says why not."""
    if find_spec("django.tasks") is None:
        return
    from django.tasks import signals

    for signal, receiver in (
        (signals.task_enqueued, _enqueued),
        (signals.task_started, _started),
        (signals.task_finished, _finished),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=f"{__name__}{receiver.__name__}")


def _harmless(receiver: Callable[..., None]) -> Callable[..., None]:
    """Keep a fault of ours from the task: what a receiver raises would end it."""

    @functools.wraps(receiver)
    def receive(**kwargs: Any) -> None:
        try:
            receiver(**kwargs)
        except Exception:
            logger.exception("a task is not measured")

    return receive


@_harmless
def _enqueued(task_result: Any, **kwargs: Any) -> None:
    task = task_result.task
    queue = _queue(task.queue_name)
    ENQUEUED.labels(_task(task.module_path), queue, task_result.backend).inc()


@_harmless
def _started(task_result: Any, **kwargs: Any) -> None:
    task = task_result.task
    name = _task(task.module_path)
    if task_result.enqueued_at and task_result.started_at:
        due = max(filter(None, (task_result.enqueued_at, task.run_after)))
        QUEUED.labels(name, _queue(task.queue_name), task_result.backend).observe(
            _seconds(due, task_result.started_at)
        )
    _active.add(task_result.id)
    ACTIVE.labels(name).inc()


@_harmless
def _finished(task_result: Any, **kwargs: Any) -> None:
    name = _task(task_result.task.module_path)
    if task_result.id in _active:
        _active.discard(task_result.id)
        ACTIVE.labels(name).dec()
    error = ""
    if task_result.errors:
        error = _error(task_result.errors[-1].exception_class_path.removeprefix("builtins."))
    if task_result.started_at and task_result.finished_at:
        DURATION.labels(name, str(task_result.status), error).observe(
            _seconds(task_result.started_at, task_result.finished_at)
        )


def _seconds(begin: datetime, end: datetime) -> float:
    return max(0.0, (end - begin).total_seconds())

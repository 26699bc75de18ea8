"""What is measured of Django's own tasks, which came with Django 6.0."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import django
import pytest
from django.test import override_settings

from metrics.instrument import tasks as instrument
from metrics.instrument.bounds import FirstOnes
from tests.metrics.instrument.figures import Figures

RUNS, WAITED = "django_task_duration_seconds_count", "django_task_queue_duration_seconds_sum"
WORK = f"{__name__}.work"
pytestmark = pytest.mark.skipif(django.VERSION < (6, 0), reason="tasks came with Django 6.0")


def work(fails: bool = False) -> None:
    """Succeed or fail."""
    if fails:
        raise LookupError("broken")


def backend(name: str) -> Any:
    """Choose one of Django's backends."""
    return override_settings(TASKS={"default": {"BACKEND": f"django.tasks.backends.{name}"}})


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    instrument.install()
    instrument.install()


def test_each_task_counts_once() -> None:
    """With its end and its error."""
    from django.tasks import task

    runs, active = Figures(RUNS), Figures("django_tasks_active")
    enqueued = Figures("django_tasks_enqueued_total")
    waited = Figures("django_task_queue_duration_seconds_count")
    with backend("immediate.ImmediateBackend"):
        made = task(work)
        made.enqueue()
        made.enqueue()
        made.enqueue(fails=True)
    assert runs.new() == [
        {"task": WORK, "status": "FAILED", "error_type": "LookupError", "n": 1},
        {"task": WORK, "status": "SUCCESSFUL", "n": 2},
    ]
    each = {"task": WORK, "queue": "default", "backend": "default", "n": 3}
    assert enqueued.new() == waited.new() == [each]
    assert not active.new()


def test_what_only_waits() -> None:
    """It is enqueued, and did not run."""
    from django.tasks import task

    runs, enqueued = Figures(RUNS), Figures("django_tasks_enqueued_total")
    with backend("dummy.DummyBackend"):
        task(work).enqueue()
    assert not runs.new()
    assert [row["n"] for row in enqueued.new()] == [1]


def result(**changes: Any) -> Any:
    """Return what a worker has of a task that was enqueued two hours ago."""
    now = datetime.now(UTC)
    task = SimpleNamespace(module_path="later", queue_name="default", run_after=None)
    fields = {
        "id": "1",
        "task": task,
        "backend": "default",
        "enqueued_at": now - timedelta(hours=2),
        "started_at": now,
        "finished_at": now + timedelta(seconds=3),
        "errors": [],
        "status": "SUCCESSFUL",
    }
    return SimpleNamespace(**fields | changes)


def test_a_task_that_was_to_run_later() -> None:
    """It waited from the moment on at which it could have run."""
    waited = Figures(WAITED)
    done = result()
    instrument._started(task_result=done)
    done.task.run_after = done.started_at - timedelta(seconds=8)
    instrument._started(task_result=done)
    assert [row["n"] for row in waited.new()] == pytest.approx([7208])


def test_queues_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend may take any name, as one of each customer."""
    monkeypatch.setattr(instrument, "_queue", FirstOnes(2))
    waited, enqueued = (
        Figures(name)
        for name in ("django_task_queue_duration_seconds_count", "django_tasks_enqueued_total")
    )
    for number in range(5):
        done = result()
        done.task.queue_name = f"queue {number}"
        instrument._enqueued(task_result=done)
        instrument._started(task_result=done)
    for figures in (waited, enqueued):
        assert [(row["queue"], row["n"]) for row in figures.new()] == [
            ("_OTHER", 3),
            ("queue 0", 1),
            ("queue 1", 1),
        ]


def test_a_fault_of_ours_ends_no_task(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged."""
    with caplog.at_level(logging.ERROR):
        instrument._started(task_result=result(enqueued_at=datetime.now()))
    assert "a task is not measured" in caplog.text

"""What is measured of Celery's tasks that run where they are called, and of messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Retry

from metrics.instrument import celery as instrument
from metrics.instrument.bounds import FirstOnes
from tests.metrics.instrument.figures import Figures

RUNS = "celery_task_duration_seconds_count"
WAITED = "celery_task_queue_duration_seconds_sum"
app = Celery("eager", set_as_current=False)
app.conf.task_always_eager = True


@app.task(name="inner")
def inner(seconds: float = 0) -> None:
    """Take its time."""
    time.sleep(seconds)


@app.task(name="outer")
def outer() -> None:
    """Run two others inside."""
    inner.delay()
    inner.apply()


@app.task(name="leaves")
def leaves() -> None:
    """Raise what is no Exception."""
    raise SystemExit(3)


@app.task(name="retries", bind=True)
def retries(self: Any) -> None:
    """Retry for a reason."""
    raise Retry("later", exc=OSError("gone"))


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    instrument.install()
    instrument.install()


def test_runs_inside_runs() -> None:
    """Each counts once; what runs where it is called has waited in no queue."""
    runs, waited = Figures(RUNS), Figures("celery_task_queue_duration_seconds_count")
    outer.delay()
    assert runs.new() == [
        {"task": "inner", "state": "SUCCESS", "n": 2},
        {"task": "outer", "state": "SUCCESS", "n": 1},
    ]
    assert not waited.new()
    assert not Figures("celery_tasks_active").new()


def test_how_it_ended() -> None:
    """What is no Exception is a failure too; a retry has its cause."""
    runs, active = Figures(RUNS), Figures("celery_tasks_active")
    with pytest.raises(SystemExit):
        leaves.apply()
    retries.apply()
    assert runs.new() == [
        {"task": "retries", "state": "RETRY", "error_type": "OSError", "n": 1},
        {"task": "leaves", "state": "FAILURE", "error_type": "SystemExit", "n": 1},
    ]
    assert not active.new()


def test_a_run_that_began_before_we_listened() -> None:
    """It is left out, and nothing falls below 0."""
    runs, active = Figures(RUNS), Figures("celery_tasks_active")
    instrument._ended(task=SimpleNamespace(name="inner", request=object()), state="SUCCESS")
    assert not runs.new()
    assert not active.new()


@pytest.mark.parametrize(
    ("eta", "ahead"),
    [
        (lambda now: None, 0),
        (lambda now: (now + timedelta(hours=1)).isoformat(), 3600),
        (lambda now: now + timedelta(hours=1), 3600),
        (lambda now: (now - timedelta(hours=1)).isoformat(), 0),
    ],
    ids=["none", "text", "datetime", "past"],
)
def test_when_a_message_may_run(eta: Callable[[datetime], Any], ahead: float) -> None:
    """Now, or at its ETA, if that is later."""
    headers: dict[str, Any] = {"id": "1", "eta": eta(datetime.now(UTC))}
    before = time.time()
    instrument._sending(headers=headers)
    assert before + ahead - 60 < headers[instrument.HEADER] < time.time() + ahead + 60


@pytest.mark.parametrize("headers", [None, {}])
def test_messages_without_headers(headers: dict[str, Any] | None) -> None:
    """Those of Celery's old protocol carry no time."""
    instrument._sending(headers=headers)
    assert not headers


@pytest.mark.parametrize("sent", ["future", "yesterday", None])
def test_clocks_that_differ(sent: Any) -> None:
    """A task that was sent in the future waited 0 s; what is no time is left out."""
    number = 1 if sent == "future" else 0
    count = Figures("celery_task_queue_duration_seconds_count")
    waited = Figures(WAITED)
    request = SimpleNamespace(is_eager=False, delivery_info=None)
    setattr(request, instrument.HEADER, time.time() + 3600 if number else sent)
    task = SimpleNamespace(name="inner", request=request)
    instrument._begins(task=task)
    instrument._ended(task=task, state="SUCCESS")
    assert [row["n"] for row in count.new()] == [1.0] * number
    assert not waited.new()


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound they are `_OTHER`."""
    monkeypatch.setattr(instrument, "_task", FirstOnes(1))
    sent = Figures("celery_tasks_sent_total")
    for number in range(3):
        instrument._sent(sender=f"task-{number}", routing_key="work")
    assert sent.new() == [
        {"task": "_OTHER", "queue": "work", "n": 2},
        {"task": "task-0", "queue": "work", "n": 1},
    ]

"""What is made of the lanes: conditions, death, and the settings that decide."""

from __future__ import annotations

import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core.checks import run_checks
from django.test import Client, override_settings

from health.application import watch
from health.application.workers import Application, Condition, condition_of
from health.supervisor import environment, hooks
from metrics import shared
from metrics.shared import Worker
from metrics.system import process_identity

NOW = 1_000_000.0


def worker(**changes: Any) -> Worker:
    """Return a live gthread worker of four threads in our pid namespace, idle for ten seconds."""
    fields: dict[str, Any] = {
        "number": 0,
        "pid": 1,
        "kind": "gunicorn",
        "started": NOW - 100,
        "alive": True,
        "in_progress": 0,
        "oldest_began": 0.0,
        "last_active": NOW - 10,
        "capacity": 4,
        "pid_namespace": process_identity.pid_namespace(),
    }
    return Worker(**fields | changes)


@pytest.mark.parametrize(
    ("changes", "stuck_seconds", "expected"),
    [
        ({}, 300.0, Condition.IDLE),
        ({"alive": False}, 300.0, Condition.DEAD),
        ({"alive": False, "in_progress": 4}, 300.0, Condition.DEAD),
        ({"alive": False, "pid": 0}, 300.0, Condition.LEFT),
        ({"in_progress": 1}, 300.0, Condition.BUSY),
        ({"in_progress": 3, "last_active": NOW - 400}, 300.0, Condition.BUSY),
        ({"in_progress": 4}, 300.0, Condition.SATURATED),
        ({"in_progress": 9}, 300.0, Condition.SATURATED),
        ({"in_progress": 4, "last_active": NOW - 301}, 300.0, Condition.STUCK),
        ({"in_progress": 4, "last_active": NOW - 301}, None, Condition.SATURATED),
        # a file that the kernel sends: whether it does cannot be seen
        ({"in_progress": 4, "last_active": math.inf}, 300.0, Condition.SATURATED),
        # a process that no hook announced: how much it takes is not known
        ({"in_progress": 9, "capacity": 0, "last_active": NOW - 400}, 300.0, Condition.BUSY),
    ],
)
def test_condition_of_a_worker(
    changes: dict[str, Any], stuck_seconds: float | None, expected: Condition
) -> None:
    """Requests in progress against what it takes at once, and how long nothing moved."""
    assert condition_of(worker(**changes), NOW, stuck_seconds) is expected


def application(*conditions: Condition) -> Application:
    """Return an application of workers in these conditions, each one with one request."""
    return Application(
        tuple(
            (worker(alive=c is not Condition.DEAD, in_progress=1, oldest_began=NOW - 7), c)
            for c in conditions
        ),
        NOW,
    )


@pytest.mark.parametrize(
    ("conditions", "trouble", "saturated"),
    [
        ([], "application not started", False),
        ([Condition.DEAD, Condition.DEAD], "no application worker alive", False),
        ([Condition.DEAD, Condition.IDLE], None, False),
        ([Condition.SATURATED, Condition.BUSY], None, False),
        ([Condition.SATURATED, Condition.DEAD], None, True),
        ([Condition.STUCK, Condition.SATURATED], None, True),
        ([Condition.STUCK, Condition.STUCK, Condition.DEAD], "all application workers stuck", True),
    ],
)
def test_life_and_death_of_the_application(
    conditions: list[Condition], trouble: str | None, saturated: bool
) -> None:
    """One worker that is alive and not stuck is life; being saturated is not death."""
    observed = application(*conditions)
    assert (observed.trouble, observed.is_saturated) == (trouble, saturated)


def test_workers_on_their_way_are_no_death(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the server lives that had the last worker, and for a while, there is no death."""
    with subprocess.Popen(["sleep", "60"]) as server:
        monkeypatch.setattr(watch, "_parents", lambda pids: [psutil.Process(server.pid)])
        memory = watch._Memory()
        memory.look([worker()])
        memory.look([worker(alive=False)])
        assert memory.is_restarting()
        monkeypatch.setattr(watch, "RESTART_SECONDS", 0.0)
        assert not memory.is_restarting()
        monkeypatch.undo()
        assert memory.is_restarting()
        server.kill()
        server.wait()
        assert not memory.is_restarting()
    dead = application(Condition.DEAD)
    assert dead.trouble == "no application worker alive"
    assert replace(dead, is_restarting=True).trouble is None
    assert application(Condition.LEFT).trouble == "no application worker alive"


def test_dead_workers_have_no_requests() -> None:
    """What a killed worker was doing when it died is not in progress any more."""
    observed = application(Condition.DEAD, Condition.DEAD, Condition.BUSY)
    assert observed.requests_in_progress == 1
    assert observed.oldest_request_seconds == 7.0
    assert application(Condition.DEAD).oldest_request_seconds == 0.0


def test_lanes_that_cannot_be_read_are_no_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the lanes cannot be read what was read last counts; other kinds never do."""
    store = shared.Store(tmp_path / "run", kind=lambda: "gunicorn")
    monkeypatch.setattr(watch.shared, "current", lambda: store)
    monkeypatch.setattr(watch, "_memory", watch._Memory())
    monkeypatch.setattr(watch, "RESTART_SECONDS", 0.0)
    lanes = [[worker(kind="celery"), worker()], [], [worker(kind="celery"), worker(alive=False)]]
    monkeypatch.setattr(store, "workers", lambda: lanes.pop(0))
    troubles = []
    while lanes:
        observed = watch.observe()
        assert observed is not None
        assert len(observed.workers) == 1
        troubles.append(observed.trouble)
    assert troubles == [None, None, "no application worker alive"]


@override_settings(ROOT_URLCONF="health.server.urls", MIDDLEWARE=[])
def test_without_a_store_health_is_ok() -> None:
    """In memory nothing is known of other processes; that alone is no death."""
    assert watch.observe() is None
    for path in ("/health", "/health?verbose"):
        response = Client().get(path)
        assert (response.status_code, response.content) == (200, b'{"status": "ok"}')
        assert response["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "SENTINEL_STUCK_SECONDS",
            0,
            "SENTINEL_STUCK_SECONDS must be a number of seconds above 0, or None, not 0",
        ),
        (
            "SENTINEL_STUCK_SECONDS",
            True,
            "SENTINEL_STUCK_SECONDS must be a number of seconds above 0, or None, not True",
        ),
        (
            "SENTINEL_HEALTH_URLCONF",
            "no/module",
            "SENTINEL_HEALTH_URLCONF must be the dotted path of a module, not 'no/module'",
        ),
        *(
            (
                "SENTINEL_APPLICATION_KINDS",
                value,
                (
                    "SENTINEL_APPLICATION_KINDS must be None or a list of kinds of processes, as"
                    " 'celery' or 'manage.py db_worker', each of at most 32 ASCII characters,"
                    f" not {value!r}"
                ),
            )
            for value in ("celery", [], [""], ["größe"], ["a" * 33], [1], {"celery": 1})
        ),
    ],
)
def test_checks_name_the_setting(name: str, value: object, message: str) -> None:
    """A value that cannot be is told by ``manage.py check``."""
    with override_settings(**{name: value}):
        ids = {
            "SENTINEL_STUCK_SECONDS": "E020",
            "SENTINEL_HEALTH_URLCONF": "E021",
            "SENTINEL_APPLICATION_KINDS": "E023",
        }
        errors = [(e.id, e.msg) for e in run_checks() if e.msg.startswith(name)]
    assert errors == [(f"sentinel_health.{ids[name]}", message)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3", 3), ("", 2 * environment.cores() + 1), (None, 2 * environment.cores() + 1)],
)
def test_number_of_workers(
    monkeypatch: pytest.MonkeyPatch, text: str | None, expected: int
) -> None:
    """SENTINEL_WORKERS, or two a core and one more."""
    monkeypatch.delenv("SENTINEL_WORKERS", raising=False)
    if text is not None:
        monkeypatch.setenv("SENTINEL_WORKERS", text)
    assert environment.workers() == expected


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "²"])
def test_a_wrong_number_of_workers_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """It is said before anything starts."""
    monkeypatch.setenv("SENTINEL_WORKERS", text)
    with pytest.raises(ValueError, match="SENTINEL_WORKERS must be a whole number above 0"):
        environment.workers()


@pytest.mark.parametrize(
    ("worker_class", "threads", "expected"),
    [("sync", 1, 1), ("sync", 4, 4), ("gthread", 8, 8), ("gevent", 1, 1000), ("asgi", 1, 1000)],
)
def test_capacity_of_a_worker_class(worker_class: str, threads: int, expected: int) -> None:
    """Sync takes one request, gthread one a thread, the others one a connection."""
    from gunicorn.config import Config

    cfg = Config()
    cfg.set("worker_class", worker_class)
    cfg.set("threads", threads)
    assert hooks.capacity(cfg) == expected


def test_settings_that_cannot_be_read_leave_gunicorn_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without them TERM does not drain; that is said, and nothing else changes."""

    def broken(begin: bool) -> dict[str, Any]:
        raise ValueError("SENTINEL_DRAIN_SECONDS must be a number")

    monkeypatch.setattr(hooks, "_prepare", broken)
    monkeypatch.setattr(hooks, "_service", None)
    monkeypatch.setattr("metrics.system.process_kind._declared", None)
    hooks.on_starting(None)
    assert hooks._service is None
    assert caplog.records[-1].getMessage() == (
        "sentinel: TERM will not drain, the settings could not be read: see the traceback above"
    )

"""The probe of Celery's workers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from health.probes import CeleryProbe
from tests.support.harness import ROOT, Program, wait_until
from tests.support.misbehaving import Redis
from tests.support.probes import doubts, outcome, refusals


def test_celery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real worker over a real Redis answers; without it nobody does."""
    with Redis(tmp_path) as redis:
        module = tmp_path / "celery_of_the_test.py"
        module.write_text(f"from celery import Celery\napp = Celery('t', broker={redis.url!r})\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        probe = CeleryProbe("celery_of_the_test.app")
        assert outcome(probe, 1.0) == "0 of 1 worker(s) answered"
        argv = [sys.executable, "-m", "celery", "-A", "celery_of_the_test", "worker"]
        argv += ["--pool", "solo", "--without-gossip", "--without-mingle"]
        env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
        with Program(argv, log=tmp_path / "celery.log", env=env, cwd=tmp_path) as worker:
            worker.wait_ready(lambda: outcome(probe, 2.0) is None, "the worker")
            assert outcome(CeleryProbe("celery_of_the_test.app", 2), 1.0) == (
                "1 of 2 worker(s) answered"
            )
    wait_until(lambda: "refused" in str(outcome(probe, 1.0)), "a broker that is gone")


@pytest.mark.parametrize(
    ("broker", "conf", "expected"),
    [
        ("redis://", {}, None),
        ("amqp://", {}, None),
        ("filesystem://", {}, None),
        ("memory://", {}, "the broker is memory of this process: no worker hears a ping"),
        (
            "zookeeper://",
            {},
            (
                "the broker's transport, zookeeper, carries no ping: probe the workers by a"
                " callable, such as one that looks at the age of a task's result"
            ),
        ),
        ("zookeeper://", {"broker_transport_options": {"supports_fanout": True}}, None),
        (
            "redis://",
            {"worker_enable_remote_control": False},
            "worker_enable_remote_control is off: no worker answers a ping",
        ),
    ],
)
def test_brokers_that_carry_no_ping(
    monkeypatch: pytest.MonkeyPatch, broker: str, conf: dict[str, Any], expected: str | None
) -> None:
    """A broker that cannot tell all workers something is refused, and so are deaf workers."""
    from celery import Celery

    app = Celery("t", broker=broker, set_as_current=False)
    app.conf.update(conf)
    monkeypatch.setattr(f"{__name__}.celery_app", app, raising=False)
    found = refusals("health.probes.CeleryProbe", app=f"{__name__}.celery_app")
    assert found == ([] if expected is None else [f"['OPTIONS']: {expected}"])


def test_a_celery_application_that_is_not_there() -> None:
    """A dotted path that leads nowhere is refused, not tried for ever."""
    ((message),) = refusals("health.probes.CeleryProbe", app="no_such_module.app")
    assert message == "['OPTIONS']: No module named 'no_such_module'"


def test_tasks_that_no_worker_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """With task_always_eager the workers that are probed have no part in the tasks."""
    from celery import Celery

    app = Celery("t", broker="redis://", set_as_current=False)
    app.conf.task_always_eager = True
    monkeypatch.setattr(f"{__name__}.celery_app", app, raising=False)
    assert doubts("health.probes.CeleryProbe", app=f"{__name__}.celery_app") == [
        "task_always_eager is on: the tasks run here, and what is probed has no part"
    ]

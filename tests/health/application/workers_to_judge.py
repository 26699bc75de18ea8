"""Workers and applications as the store shows them."""

from __future__ import annotations

from typing import Any

from health.application.workers import Application, Condition
from metrics.samples import Worker
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


def application(*conditions: Condition) -> Application:
    """Return an application of workers in these conditions, each one with one request."""
    return Application(
        tuple(
            (worker(alive=c is not Condition.DEAD, in_progress=1, oldest_began=NOW - 7), c)
            for c in conditions
        ),
        NOW,
    )

"""A gunicorn configuration whose worker waits at its start for USR1; it tells in STOP_NOTES."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from health import gunicorn as hooks
from health.gunicorn import on_starting, pre_fork, when_ready

__all__ = ["on_starting", "pre_fork", "when_ready"]  # the hooks that stay ours

bind = os.environ["SENTINEL_BIND"]
control_socket_disable = True


def post_fork(server: Any, worker: Any) -> None:
    """Tell of the worker, and wait for the signal."""
    hooks.post_fork(server, worker)
    Path(os.environ["STOP_NOTES"]).touch()
    while signal.SIGUSR1 not in signal.sigpending():
        time.sleep(0.01)


def post_worker_init(worker: Any) -> None:
    """Say into the log that the worker has loaded."""
    hooks.post_worker_init(worker)
    worker.log.error("loaded")

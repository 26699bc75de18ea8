"""A gunicorn configuration whose second worker stops itself when its start is all but done.

The one that follows it waits before it loads the application, and so takes no lane.
"""

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
    """Let the worker that takes the second's place wait for its end."""
    hooks.post_fork(server, worker)
    if worker.age > 2:
        Path(os.environ["STOP_NOTES"]).touch()
        time.sleep(3600)


def post_worker_init(worker: Any) -> None:
    """End the start, and where the first worker has its lane too, end the second."""
    hooks.post_worker_init(worker)
    if worker.age == 2:
        while len(list(Path(os.environ["SENTINEL_RUN_DIR"]).glob("lane-*"))) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

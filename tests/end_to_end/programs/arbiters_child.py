"""A gunicorn configuration whose arbiter has a child; its process id is in STOP_NOTES."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from health import gunicorn as hooks
from health.gunicorn import on_starting, post_fork, post_worker_init, pre_fork

__all__ = ["on_starting", "post_fork", "post_worker_init", "pre_fork"]  # the hooks that stay ours

bind = os.environ["SENTINEL_BIND"]
control_socket_disable = True


def when_ready(server: Any) -> None:
    """Fork a child that waits for signals, and sets no handler."""
    hooks.when_ready(server)
    if (child := os.fork()) == 0:
        while True:
            signal.pause()
    Path(os.environ["STOP_NOTES"]).write_text(str(child))

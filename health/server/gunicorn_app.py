"""The gunicorn of the health server: one small worker, nothing configurable but the address."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication

from health.server.worker import HealthWorker
from health.supervisor import hooks, signal_masks
from health.supervisor.application_server import SCRIPT_NAME

HEALTH_THREADS = 24
"""Requests that the health server answers side by side: the 16 scrapes that a process takes
at once may all wait for a slow collector, and probes must not wait behind them."""


class HealthServer(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """A gunicorn of one small worker that serves the health endpoints and runs the prober."""

    def __init__(self, *, bind: str, load: Callable[[], Any], prober: Callable[[], None]) -> None:
        self._bind, self._load, self._prober = bind, load, prober
        self._prefix = ""
        super().__init__()

    def load_config(self) -> None:
        """Set what a health server is; nothing of it is configurable but the address."""
        configuration: dict[str, Any] = {
            "bind": self._bind,
            "workers": 1,
            "worker_class": HealthWorker,
            "threads": HEALTH_THREADS,
            "graceful_timeout": 2,
            "proc_name": "health_server",
            "control_socket_disable": True,
            "when_ready": lambda arbiter: signal_masks.let_through(),
            "pre_fork": hooks.pre_fork,
            "post_fork": self._post_fork,
            "post_worker_init": self._post_worker_init,
            "pre_request": self._pre_request,
            # no request is large or slow to send
            "limit_request_line": 2048,
            "limit_request_fields": 50,
        }
        for name, value in configuration.items():
            if name in self.cfg.settings:  # control_socket_disable came with gunicorn 25.1
                self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the WSGI application."""
        return self._load()

    def _post_fork(self, arbiter: Any, worker: Any) -> None:
        hooks.end_when_stopped(worker)
        hooks.tie_to_arbiter(worker)

    def _post_worker_init(self, worker: Any) -> None:
        hooks.tie_to_arbiter(worker)
        hooks.announce(worker)  # so that it can tell whether the store works
        # Gunicorn answers 500 to a path without it; the project's settings have seen it by now.
        self._prefix = os.environ.pop(SCRIPT_NAME, "")
        self._prober()
        gc.freeze()  # no scrape waits for a collection of all that is loaded, nor does the end
        hooks.finish_start(worker)

    def _pre_request(self, worker: Any, request: Any) -> None:
        """Take the application's prefix off a path that has it, so that both are answered.

        The prefix is SCRIPT_NAME, of the environment or of a header that a trusted proxy
        sends. Gunicorn would answer 500 to a path without it.
        """
        prefix = self._prefix
        others = []
        for name, value in request.headers:
            if name == SCRIPT_NAME:
                prefix = value
            else:
                others.append((name, value))
        request.headers = others
        head = prefix.rstrip("/") + "/"
        if request.path.startswith(head) and request.path != head:
            request.path = request.path[len(head) - 1 :]

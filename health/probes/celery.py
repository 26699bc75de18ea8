"""Probe of Celery's workers."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from health.conf.values import is_dotted_path
from health.probes.base import Probe, ProbeError


@dataclass
class CeleryProbe(Probe):
    """That at least ``min_workers`` workers of the Celery application ``app`` answer a ping.

    ``app`` is a dotted path. The answers come through the broker, so that is probed too.
    """

    app: str
    min_workers: int = 1

    def __post_init__(self) -> None:
        if importlib.util.find_spec("celery") is None:
            raise ImproperlyConfigured("CeleryProbe needs celery: pip install celery")
        if not is_dotted_path(self.app):
            raise ValueError("app must be a dotted path")
        if self.min_workers < 1:
            raise ValueError("min_workers must be 1 or more")
        app = import_string(self.app)
        if not app.conf.worker_enable_remote_control:
            raise ValueError("worker_enable_remote_control is off: no worker answers a ping")
        with app.connection_for_write() as connection:
            transport = connection.get_transport_cls()
            options = connection.transport_options
        if transport.driver_type == "memory":
            raise ValueError("the broker is memory of this process: no worker hears a ping")
        # Commands to all workers are a fanout; for SQS that is an option, off by default.
        offered = "fanout" in transport.implements.exchange_type
        if not offered and not options.get("supports_fanout"):
            raise ValueError(
                f"the broker's transport, {transport.driver_type}, carries no ping: probe the"
                " workers by a callable, such as one that looks at the age of a task's result"
            )

    def doubts(self) -> Iterator[str]:
        """Tell of tasks that no worker is asked to run."""
        if import_string(self.app).conf.task_always_eager:
            yield "task_always_eager is on: the tasks run here, and what is probed has no part"

    def check(self, timeout: float) -> None:
        """Ping all workers, and wait for as many answers as are wanted."""
        app = import_string(self.app)
        with app.connection_for_write(connect_timeout=timeout) as connection:
            connection.ensure_connection(max_retries=1, timeout=timeout)
            replies = app.control.ping(
                timeout=timeout * 0.9, limit=self.min_workers, connection=connection
            )
        if len(replies) < self.min_workers:
            raise ProbeError(f"{len(replies)} of {self.min_workers} worker(s) answered")

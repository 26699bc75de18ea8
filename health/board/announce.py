"""Tells the log, the metrics and the project's receivers what changed on the board."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from health.core.backend import BackendHealth
from health.core.document import Event
from health.families import TRANSITIONS
from health.signals import backend_health_changed
from metrics.registry import METRICS

logger = logging.getLogger("health")

WORDS = {True: "healthy", False: "unhealthy", None: "unknown"}


def announce(checked: Mapping[str, BackendHealth], events: Sequence[Event]) -> None:
    """Set the gauge of each backend that was ``checked``; log, count and send each event."""
    for name, backend in checked.items():
        if backend.healthy is not None:
            METRICS.set_backend_health(name, backend.healthy)
    for event in events:
        to = WORDS[event.to]
        TRANSITIONS.labels(event.backend, to).inc()
        logger.log(
            logging.INFO if event.to else logging.WARNING,
            "backend %s is %s (was %s)%s",
            event.backend,
            to,
            WORDS[event.was],
            f": {event.error}" if event.error else "",
        )
        _send(event)


def _send(event: Event) -> None:
    answers = backend_health_changed.send_robust(
        sender=type(event),
        backend=event.backend,
        healthy=event.to,
        was=event.was,
        event=event,
    )
    for receiver, answer in answers:
        if isinstance(answer, Exception):
            logger.error("receiver %r of backend_health_changed failed: %r", receiver, answer)

"""What happens in the run directory when a service starts, and what its settings say of a stop.

It reads Django's settings, but needs no ``django.setup()``.
"""

from __future__ import annotations

import logging
from typing import Any

from health import drain, lifecycle, marks
from health.conf import conf
from metrics import shared
from metrics.conf import conf as metrics_conf

logger = logging.getLogger(__name__)


def read() -> dict[str, Any]:
    """Return the fields of `health.gunicorn.Service`. Raises ImproperlyConfigured."""
    run_dir = metrics_conf.run_dir
    return {
        "drain_mark": "" if run_dir is None else str(run_dir / marks.DRAINING),
        "drain_seconds": conf.drain_seconds,
    }


def begin() -> None:
    """Start anew: no figures of a service that has ended, no drain of its stop.

    Figures stay where another process of the service lives. A fault is logged.
    """
    try:
        if (run_dir := metrics_conf.run_dir) is not None:
            shared.reset_if_idle(run_dir)
        lifecycle.begin_service()
    except OSError as e:
        logger.error("what an earlier run left stays: %s", e)


def mark_drain(draining: bool) -> None:
    """Mark this host as draining or not; a fault is logged."""
    try:
        if draining:
            drain.mark()
        else:
            drain.unmark()
    except OSError as e:
        logger.error("this host cannot be marked as draining: %s", e)

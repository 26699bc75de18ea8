"""What to do when a service starts anew, before its first process serves."""

from __future__ import annotations

from health.board import BOARD
from health.conf import FILE, conf
from health.readiness import drain


def begin_service() -> None:
    """Forget what the last run of the service left: its drain mark and its findings.

    A board that other hosts share is left alone. Raises OSError.
    """
    drain.unmark()
    if conf.health_store == FILE:
        BOARD.clear()

"""A change is told: by the signal, the log and the metrics."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from health.board import BOARD
from health.signals import backend_health_changed
from metrics.registry import REGISTRY


def test_a_change_is_signalled_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Receivers, the log and the metrics learn of a change; a broken receiver stops nothing."""
    seen: list[tuple[str, bool | None, bool]] = []

    def receive(backend: str, was: bool | None, healthy: bool, **_: Any) -> None:
        seen.append((backend, was, healthy))

    def broken(**_: Any) -> None:
        raise ZeroDivisionError

    backend_health_changed.connect(broken)
    backend_health_changed.connect(receive)
    caplog.set_level(logging.INFO, "health")
    try:
        for healthy in (True, True, False):
            BOARD.report("signalled", healthy, error=None if healthy else "refused")
    finally:
        backend_health_changed.disconnect(broken)
        backend_health_changed.disconnect(receive)
        BOARD.clear()
    assert seen == [("signalled", None, True), ("signalled", True, False)]
    assert "backend signalled is healthy (was unknown)" in caplog.messages
    assert "backend signalled is unhealthy (was healthy): refused" in caplog.messages

    def value(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"backend": "signalled", **labels})

    assert value("sentinel_backend_healthy") == 0.0
    assert value("sentinel_backend_transitions_total", to="healthy") == 1.0
    assert value("sentinel_backend_transitions_total", to="unhealthy") == 1.0

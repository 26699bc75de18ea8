"""A process that begins with a gauge."""

from __future__ import annotations

from metrics.registry import METRICS


def set_first() -> None:
    """Set a gauge before anything else is counted, and find it in a scrape."""
    METRICS.set_backend_health("db", True)
    assert 'sentinel_backend_healthy{backend="db"} 1.0' in METRICS.gather_text()

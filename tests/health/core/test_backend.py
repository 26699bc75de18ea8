"""The states of a backend."""

from __future__ import annotations

import pytest

from health.core.backend import BackendHealth


@pytest.mark.parametrize(
    ("backend", "word"),
    [
        (BackendHealth("b"), "unknown"),
        (BackendHealth("b", healthy=True, checked=100.0, max_age=5), "healthy"),
        (BackendHealth("b", healthy=False, checked=100.0, max_age=5), "unhealthy"),
        (BackendHealth("b", healthy=True, checked=94.9, max_age=5), "stale"),
        (BackendHealth("b", healthy=False, checked=94.9, max_age=5), "stale"),
        (BackendHealth("b", healthy=True, checked=0.0), "healthy"),
    ],
)
def test_states(backend: BackendHealth, word: str) -> None:
    """A state is healthy or unhealthy while it is fresh, and unknown before any check."""
    assert backend.state(100.0) == word

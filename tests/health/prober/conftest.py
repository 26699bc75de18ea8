"""What the tests of the prober share."""

from __future__ import annotations

import pytest

from health.board.health_map import BackendHealthMap


@pytest.fixture
def board() -> BackendHealthMap:
    """Give each test a board of its own."""
    return BackendHealthMap()

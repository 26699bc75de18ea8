"""What the tests of the health app share."""

from __future__ import annotations

from pathlib import Path

import pytest

from health.board.health_map import BackendHealthMap
from health.board.stores.file import FileStore


@pytest.fixture
def board(tmp_path: Path) -> BackendHealthMap:
    """Give each test the board of a run directory of its own."""
    return BackendHealthMap(FileStore(tmp_path / "run"))

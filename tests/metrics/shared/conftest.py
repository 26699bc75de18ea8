"""What the tests of the store share."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics.shared import Store


@pytest.fixture
def store_dir(tmp_path: Path) -> Path:
    """Name a directory for a store, which is not there yet."""
    return tmp_path / "run"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store under nobody's metrics."""
    return Store(tmp_path / "run")

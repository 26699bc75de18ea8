"""What the tests of the metrics app share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metrics.registry import REGISTRY


@pytest.fixture
def registered() -> Iterator[Any]:
    """Return a function that registers a collector until the test ends."""
    known: list[Any] = []

    def register(collector: Any) -> Any:
        REGISTRY.register(collector)
        known.append(collector)
        return collector

    yield register
    for collector in known:
        REGISTRY.unregister(collector)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 1 MiB; skip where that is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)

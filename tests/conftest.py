"""What all tests share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("search")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
"""The verdict on a commit is the same each time; HYPOTHESIS_PROFILE=search looks further."""

PROCESSES_PER_CORE = 2
"""Most tests wait for the processes that they start, so a core can run several."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Say what ``-n auto`` means: one process unless the whole suite, or a folder of it, is run.

    To start the others takes longer than a few tests do. PYTEST_XDIST_AUTO_NUM_WORKERS
    has the last word, as xdist documents it.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    narrowed = any(config.getoption(name, False) for name in ("keyword", "markexpr", "lf"))
    if narrowed or not all(Path(word).is_dir() for word in config.args):
        return 0
    return PROCESSES_PER_CORE * (os.cpu_count() or 1)


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

"""The drain mark's place in the run directory.

Only the standard library is imported here, so that ``sentinel-health`` starts quickly.
"""

from __future__ import annotations

import os

from health.record import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DRAINING = "draining"


def is_marked(run_dir: str | Path) -> bool:
    """Whether the host of ``run_dir`` is marked as draining; one system call."""
    # half of what os.path.exists takes, which raises and catches where nothing is
    return os.access(f"{run_dir}/{DRAINING}", os.F_OK)

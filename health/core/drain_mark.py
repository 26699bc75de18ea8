"""The drain mark's place in the run directory.

Only the standard library is imported here, so that ``sentinel-health`` starts quickly.
"""

from __future__ import annotations

import os

from health.core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DRAINING = "draining"


def mark(run_dir: str | Path) -> None:
    """Mark the host of ``run_dir`` as draining. Raises OSError.

    Root does it in a directory that may be another user's: it follows no link there.
    """
    flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    os.close(os.open(f"{run_dir}/{DRAINING}", flags, 0o600))


def is_marked(run_dir: str | Path) -> bool:
    """Whether the host of ``run_dir`` is marked as draining; one system call."""
    # half of what os.path.exists takes, which raises and catches where nothing is
    return os.access(f"{run_dir}/{DRAINING}", os.F_OK)

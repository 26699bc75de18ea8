"""A process that holds a lock, and whose child lives on."""

from __future__ import annotations

import os
import time
from pathlib import Path

from metrics.system.flock import FileLock


def hold(path: str) -> None:
    """Take the lock of a file, fork, and print the child's process id."""
    lock = FileLock(Path(path))
    assert lock.try_acquire()
    child = os.fork()
    if not child:
        assert not lock.is_held
        time.sleep(60)
    print(child, flush=True)
    time.sleep(60)

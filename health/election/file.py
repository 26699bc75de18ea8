"""The election of one prober for the processes of a host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from metrics.system.flock import FileLock


class FileElection:
    """One prober a host: a ``flock`` on ``path``, which the kernel frees.

    ``prepare`` makes the directory of ``path`` where it is missing; it raises OSError.
    """

    renew_seconds = 1.0

    def __init__(self, path: Path, *, prepare: Callable[[], object]) -> None:
        self._prepare = prepare
        self._lock = FileLock(path)

    def win(self) -> bool:
        """Take the lock, or keep it while its file is still the one that others see."""
        if self._lock.is_current:
            return True
        self._lock.release()  # the directory was removed under us: others lock another file
        self._prepare()
        return self._lock.try_acquire()

    def resign(self) -> None:
        """Free the lock."""
        self._lock.release()

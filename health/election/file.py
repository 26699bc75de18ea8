"""Which one process probes: a lock that is freed when its holder dies."""

from __future__ import annotations

from health.board.stores.file import FileStore
from metrics.system.file_lock import FileLock


class FileElection:
    """One prober a host: a ``flock`` beside the board, which the kernel frees."""

    renew_seconds = 1.0

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._lock = FileLock(store.directory / "prober.lock")

    def win(self) -> bool:
        """Take the lock, or keep it while its file is still the one that others see."""
        if self._lock.is_current:
            return True
        self._lock.release()  # the directory was removed under us: others lock another file
        self._store.prepare()
        return self._lock.try_acquire()

    def resign(self) -> None:
        """Free the lock."""
        self._lock.release()

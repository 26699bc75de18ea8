"""A lock between processes that the kernel frees when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from metrics.system.flock import open_file


class LockBusyError(OSError):
    """Somebody else held the lock for as long as we were willing to wait."""


_held: set[int] = set()
"""Descriptors of locks that this process holds."""


def _drop_inherited() -> None:
    """Close the parent's locks in a forked child: each would live on with the child.

    Closing frees nothing for the parent; LOCK_UN would.
    """
    for descriptor in list(_held):
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_drop_inherited)


class FileLock:
    """An exclusive ``flock`` on ``path``, between threads as well as between processes.

    As a context manager it waits up to ``patience`` seconds and raises `LockBusyError`
    then: a holder that was stopped (SIGSTOP) must not stop everybody else.
    """

    def __init__(self, path: Path, *, patience: float = 1.0) -> None:
        self.path = path
        self.patience = patience
        self._descriptor: int | None = None
        self._pid = 0

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock in this very process."""
        return self._descriptor is not None and self._pid == os.getpid()

    @property
    def is_current(self) -> bool:
        """Whether this object holds the lock, and on the file that others would open now."""
        if not self.is_held or self._descriptor is None:
            return False
        try:
            there = os.stat(self.path)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))

    def try_acquire(self) -> bool:
        """Take the lock if it is free; whether this object holds it now. Raises OSError."""
        if self.is_held:
            return True
        descriptor = open_file(str(self.path))
        _held.add(descriptor)  # before the lock: a fork in between must not keep it
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _held.discard(descriptor)
            os.close(descriptor)
            return False
        except BaseException:
            _held.discard(descriptor)
            os.close(descriptor)
            raise
        self._descriptor, self._pid = descriptor, os.getpid()
        return True

    def write(self, text: str) -> None:
        """Leave ``text`` in the file whose lock this object holds. Raises OSError."""
        if self.is_held and self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        """Give the lock back, if this object holds it."""
        if self.is_held and self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            _held.discard(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = None

    def __enter__(self) -> Self:
        deadline = time.monotonic() + self.patience
        pause = 0.0005
        while not self.try_acquire():
            if time.monotonic() > deadline:
                raise LockBusyError(f"{self.path} was held by another for {self.patience:g} s")
            time.sleep(pause)
            pause = min(pause * 2, 0.02)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

"""Locks between processes that the kernel frees when their holder dies.

All are ``flock``: they belong to an open file, so a file must be opened anew after
a fork, and never unlocked by a child that inherited it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from metrics.system import forks


class LockBusyError(OSError):
    """Another process held the lock for as long as the caller was willing to wait."""


FIRST_WAIT_SECONDS = 0.5
"""How long a lock may be waited for: long enough for a storm of processes that
start at once, short enough for the request that may be waiting behind it."""

STUCK_WAIT_SECONDS = 0.01
"""The same while the last attempt failed: a stopped holder must not slow us twice."""


def open_file(path: str) -> int:
    """Open ``path`` for reading and writing, creating it for the directory's owner.

    The owner matters when a root process is first and its workers run as another
    user. Raises OSError.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.geteuid() == 0:
            owner = os.stat(os.path.dirname(path))
            if owner.st_uid != 0 and os.fstat(fd).st_uid == 0:
                os.fchown(fd, owner.st_uid, owner.st_gid)
    except BaseException:
        os.close(fd)
        raise
    return fd


def try_lock(fd: int) -> bool:
    """Take the exclusive lock of ``fd`` if nobody has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(fd: int) -> bool:
    """Whether somebody has the lock of the file ``fd``, through another open file."""
    if not try_lock(fd):
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def same_file(fd: int, path: str | Path) -> bool:
    """Whether ``path`` still names the file that ``fd`` has open."""
    try:
        there = os.stat(path)
    except OSError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _wait_for(take: Callable[[], bool], seconds: float) -> bool:
    """Call ``take`` until it returns True, for ``seconds`` at most; return whether it did."""
    deadline = time.monotonic() + seconds
    pause = 0.00005
    while not take():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.005)
    return True


@contextmanager
def locked(fd: int, wait_seconds: float) -> Iterator[None]:
    """Hold the exclusive lock of ``fd``, waiting ``wait_seconds`` for it at most.

    Raises LockBusyError.
    """
    if not _wait_for(lambda: try_lock(fd), wait_seconds):
        raise LockBusyError(f"a lock stayed taken for {wait_seconds} s")
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def allocate(fd: int, start: int, length: int) -> None:
    """Reserve blocks for a part of a file, so that a full disk is an OSError here.

    Without it a write through a mapping would be a SIGBUS later. The file grows with
    zeros; what it holds already stays.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, start, length)
        return
    end = os.fstat(fd).st_size  # macOS
    for at in range(end, start + length, 65536):
        os.pwrite(fd, bytes(min(65536, start + length - at)), at)


_held: set[int] = set()
"""Descriptors of locks that this process holds."""


def _drop_inherited() -> None:
    """Close the parent's locks in a forked child: each would live on with the child.

    Closing frees nothing for the parent; LOCK_UN would.
    """
    for descriptor in list(_held):
        os.close(descriptor)
    _held.clear()


forks.after_in_child(_drop_inherited)


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
        return same_file(self._descriptor, self.path)

    def try_acquire(self) -> bool:
        """Take the lock if it is free; whether this object holds it now. Raises OSError."""
        if self.is_held:
            return True
        descriptor = open_file(str(self.path))
        _held.add(descriptor)  # before the lock: a fork in between must not keep it
        taken = False
        try:
            taken = try_lock(descriptor)
        finally:
            if not taken:
                _held.discard(descriptor)
                os.close(descriptor)
        if taken:
            self._descriptor, self._pid = descriptor, os.getpid()
        return taken

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
        if not _wait_for(self.try_acquire, self.patience):
            raise LockBusyError(f"{self.path} was held by another for {self.patience:g} s")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

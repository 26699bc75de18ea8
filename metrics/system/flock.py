"""Locks between processes that the kernel frees when their holder dies.

All are ``flock``: they belong to an open file, so a file must be opened anew after
a fork, and never unlocked by a child that inherited it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from metrics.shared.errors import LockTimeoutError

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


def same_file(fd: int, path: str) -> bool:
    """Whether ``path`` still names the file that ``fd`` has open."""
    try:
        there = os.stat(path)
    except OSError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


@contextmanager
def locked(fd: int, wait_seconds: float) -> Iterator[None]:
    """Hold the exclusive lock of ``fd``, waiting ``wait_seconds`` for it at most.

    Raises LockTimeoutError.
    """
    deadline = time.monotonic() + wait_seconds
    pause = 0.00005
    while not try_lock(fd):
        if time.monotonic() >= deadline:
            raise LockTimeoutError(f"a lock stayed taken for {wait_seconds} s")
        time.sleep(pause)
        pause = min(pause * 2, 0.005)
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

"""Locks on files, and who holds them after a fork."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from metrics.system.flock import FileLock
from tests.metrics.system.programs import lock_holder
from tests.support.harness import Program, calling, wait_until


def test_a_forked_child_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    """When the holder is killed its lock is free, though a child of its lives on."""
    path = tmp_path / "lock"
    argv = [sys.executable, *calling(lock_holder.hold, str(path), bare=True)]
    with Program(argv, log=tmp_path / "log") as holder:
        holder.wait_ready(lambda: holder.output.strip(), "the lock")
        assert not FileLock(path).try_acquire()
        holder.process.send_signal(signal.SIGKILL)
        holder.process.wait()
        lock = FileLock(path)
        wait_until(lock.try_acquire, "the lock of a dead holder")
        lock.release()
        holder.kill()

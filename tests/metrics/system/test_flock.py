"""Locks on files, and who holds them after a fork."""

from __future__ import annotations

import signal
import sys
import textwrap
from pathlib import Path

from metrics.system.flock import FileLock
from tests.support.harness import Program, wait_until


def test_a_forked_child_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    """When the holder is killed its lock is free, though a child of its lives on."""
    code = textwrap.dedent(
        """
        import os, sys, time
        from pathlib import Path
        from metrics.system.flock import FileLock
        lock = FileLock(Path(sys.argv[1]))
        assert lock.try_acquire()
        child = os.fork()
        if not child:
            assert not lock.is_held
            time.sleep(60)
        print(child, flush=True)
        time.sleep(60)
        """
    )
    path = tmp_path / "lock"
    with Program([sys.executable, "-c", code, str(path)], log=tmp_path / "log") as holder:
        holder.wait_ready(lambda: holder.output.strip(), "the lock")
        assert not FileLock(path).try_acquire()
        holder.process.send_signal(signal.SIGKILL)
        holder.process.wait()
        lock = FileLock(path)
        wait_until(lock.try_acquire, "the lock of a dead holder")
        lock.release()
        holder.kill()

"""Tie the life of a process to its parent's, and adopt orphans.

On Linux the kernel does both (prctl(2): PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER);
elsewhere a thread looks twice a second, and orphans go to init.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LOOK_EVERY_SECONDS = 0.5

_watched_by = 0
"""The process in which a thread looks."""


def die_with_parent(parent: int) -> None:
    """End this process by SIGKILL as soon as ``parent``, its parent's process id, has died.

    Call it from the main thread, and again after a change of user, which undoes it. A
    child of this process does not inherit it. If the parent is already dead, this
    process ends here.
    """
    global _watched_by
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    elif _watched_by != os.getpid():
        _watched_by = os.getpid()
        threading.Thread(target=_watch, args=(parent,), name="lifeline", daemon=True).start()
    if os.getppid() != parent:  # it died before the kernel knew that we care
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> None:
    """Make descendants whose parent died children of this process (Linux only)."""
    if sys.platform == "linux":
        _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, argument: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)

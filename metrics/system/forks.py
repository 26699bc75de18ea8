"""What has to happen to locks and threads of an object when its process forks.

Nothing here keeps an object alive. A fork by C code, uWSGI's for one, runs none of this:
see `metrics.system.uwsgi`.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from math import inf
from time import perf_counter
from types import MethodType


def after_in_child(act: Callable[[], None]) -> None:
    """Call ``act`` in each forked child.

    A method is called as long as its object lives. What it does is mostly to make locks
    anew: in the child no thread is left that could release one.
    """
    os.register_at_fork(after_in_child=_call_while_alive(act))


def hold(lock: threading.Lock | threading.RLock) -> None:
    """Let no thread hold ``lock`` while this process forks, so that what it guards is whole.

    For locks that live as long as the process, and are held for microseconds.
    """
    os.register_at_fork(
        before=lock.acquire,
        after_in_parent=lock.release,
        after_in_child=lock.release,
    )


def is_the_parents(began: float) -> bool:
    """Whether what began at that moment of `time.perf_counter` is of before this process.

    A child that a request, a call or a command has forked may leave through it; its end is
    to be counted in the process in which it began, and nowhere else.
    """
    return began < _forked_at


def _note_fork() -> None:
    global _forked_at
    _forked_at = perf_counter()


_forked_at = -inf
os.register_at_fork(after_in_child=_note_fork)


def _call_while_alive(act: Callable[[], None]) -> Callable[[], None]:
    if not isinstance(act, MethodType):
        return act
    method = weakref.WeakMethod(act)

    def call() -> None:
        if (alive := method()) is not None:
            alive()

    return call

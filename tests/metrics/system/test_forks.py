"""What happens to an object's locks when the process forks."""

from __future__ import annotations

import gc
import os
import threading
import weakref

from metrics.system import forks


class _Locked:
    def __init__(self) -> None:
        self.renewals = 0
        forks.after_in_child(self.renew)

    def renew(self) -> None:
        self.renewals += 1


def _in_child(status: object) -> int:
    """Return the exit status of a forked child that ends with what ``status`` gives there."""
    child = os.fork()
    if child == 0:
        os._exit(int(status()) if callable(status) else 99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_method_is_called_in_the_child_alone() -> None:
    """The child makes its locks anew; the parent keeps its own."""
    locked = _Locked()
    assert _in_child(lambda: locked.renewals) == 1
    assert locked.renewals == 0


def test_no_object_is_kept_alive() -> None:
    """What a fork is to do with an object ends with the object."""
    locked = _Locked()
    gone = weakref.ref(locked)
    del locked
    gc.collect()
    assert gone() is None
    assert _in_child(lambda: 0) == 0


def test_a_lock_is_held_by_no_thread_while_the_process_forks() -> None:
    """A thread that takes the lock again and again never leaves it taken in a child."""
    lock = threading.Lock()
    forks.hold(lock)
    ending = threading.Event()

    def take() -> None:
        while not ending.is_set():
            with lock:
                pass

    thread = threading.Thread(target=take)
    thread.start()
    try:
        assert [_in_child(lambda: lock.acquire(timeout=5)) for _ in range(20)] == [1] * 20
    finally:
        ending.set()
        thread.join()

"""What a process is doing now, told in its lane's header for anybody to read."""

from __future__ import annotations

import math
import threading
import time
from itertools import count

from metrics.shared.files.lanes import CAPACITY, IN_PROGRESS, LAST_ACTIVE, OLDEST_BEGAN

PROGRESS_SECONDS = 0.1
"""How much later than the last one a response's progress is noted; before that it costs nothing."""

_NOWHERE = memoryview(bytearray(8 * 16)).cast("d")


class Activity:
    """Requests in progress, when the oldest began, and when one last began, ended or sent."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may end a request inside of any call
        self._began: dict[int, float] = {}
        self._unwatched: set[int] = set()
        self._told_at = 0.0
        self._tokens = count(1)
        self._capacity = 0
        self._head = _NOWHERE

    def set_capacity(self, requests: int) -> None:
        """Tell how many requests this process takes at once; 0 means that it is not known."""
        with self._lock:
            self._capacity = requests
            self._tell(time.time())

    def attach(self, head: memoryview[float]) -> None:
        """Write to the header ``head`` of a lane from now on."""
        with self._lock:
            self._head = head
            self._tell(time.time())

    def detach(self) -> None:
        """Write nowhere until the next `attach`."""
        with self._lock:
            self._head = _NOWHERE

    def forget(self) -> None:
        """Start from nothing, as a child does after a fork."""
        self._lock = threading.RLock()
        self._began = {}
        self._unwatched = set()
        self._capacity = 0
        self._head = _NOWHERE

    def begin(self) -> int:
        """Note that a request begins; return what `end` wants."""
        token = next(self._tokens)
        now = time.time()
        with self._lock:
            self._began[token] = now
            self._tell(now)
        return token

    def end(self, token: int) -> None:
        """Note that the request ended. A token from before a fork is ignored."""
        with self._lock:
            self._began.pop(token, None)
            self._unwatched.discard(token)
            self._tell(time.time())

    @property
    def progress_is_due(self) -> bool:
        """Whether it is time to tell again that a response sends. Touches no file."""
        return not 0.0 <= time.time() - self._told_at < PROGRESS_SECONDS

    def progress(self) -> None:
        """Note that a response that is in progress sends."""
        with self._lock:
            self._tell(time.time())

    def leave_unwatched(self, token: int) -> None:
        """Note that nobody can see from now on whether the request's response sends.

        Until its `end` the last activity is infinite: the process cannot be counted
        as stuck.
        """
        with self._lock:
            if token in self._began:
                self._unwatched.add(token)
                self._tell(time.time())

    def _tell(self, now: float) -> None:
        self._told_at = now
        head, began = self._head, self._began
        head[LAST_ACTIVE] = math.inf if self._unwatched else now
        head[CAPACITY] = self._capacity
        told = -1
        while told != len(began):  # else a finalizer has ended a request in between
            told = len(began)
            try:
                head[OLDEST_BEGAN] = next(iter(began.values()), 0.0)
            except RuntimeError:
                continue
            head[IN_PROGRESS] = told

"""Threads for probes: as many as run at once, used again, and left behind when they hang."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from health.connections import close_connections
from health.probes.base import Probe
from metrics.own_calls import own_calls

IDLE_SECONDS = 60.0
"""How long a thread waits for work before it ends."""


@dataclass(eq=False)
class Run:
    """One call of a probe; ``timeout`` and ``seconds`` are in seconds.

    ``error`` is what it raised, None for a backend that is well. ``abandoned`` is
    set by the prober when it no longer waits.
    """

    backend: str
    probe: Probe
    timeout: float
    seconds: float = 0.0
    error: BaseException | None = None
    abandoned: bool = False


class ProbePool:
    """Runs probes side by side, each in a daemon thread.

    Each probe finds no connection of Django's open in its thread, and leaves none, as a
    request does: not even one that was given up, once it returns.

    ``done`` is called in that thread with each `Run` that came to its end.
    """

    def __init__(self, done: Callable[[Run], None]) -> None:
        self._done = done
        self._idle: list[queue.SimpleQueue[Run | None]] = []
        self._lock = threading.Lock()
        self._closed = False

    def start(self, run: Run) -> None:
        """Run a probe in an idle thread, or in a new one. Raises RuntimeError if none can start."""
        with self._lock:
            inbox = self._idle.pop() if self._idle else None
        if inbox is not None:
            inbox.put(run)
            return
        inbox = queue.SimpleQueue()
        inbox.put(run)
        threading.Thread(
            target=self._work, args=(inbox,), name=f"sentinel-probe-{run.backend}", daemon=True
        ).start()

    def close(self) -> None:
        """End the idle threads, and each other one when its probe returns."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for inbox in idle:
            inbox.put(None)

    def _work(self, inbox: queue.SimpleQueue[Run | None]) -> None:
        while run := self._next(inbox):
            started = time.monotonic()
            idle = False
            try:
                with own_calls():
                    run.probe.check(run.timeout)
            # Whatever a probe raises is its answer: sys.exit() in somebody's check, or a
            # cancelled coroutine, must not end a thread that others are to use.
            except BaseException as e:  # noqa: BLE001
                run.error = e
            run.seconds = time.monotonic() - started
            close_connections()
            with self._lock:
                if not self._closed:
                    self._idle.append(inbox)  # before done: what follows may use it
                    idle = True
            self._done(run)
            if not idle:
                return

    def _next(self, inbox: queue.SimpleQueue[Run | None]) -> Run | None:
        try:
            return inbox.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            with self._lock:
                if inbox in self._idle:
                    self._idle.remove(inbox)
                    return None
            return inbox.get()  # it was taken off the list just now, so work is coming

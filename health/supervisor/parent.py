"""The parent of `serve`: starts the application and the health server, watches, stops.

It knows processes and signals, and nothing of Django or gunicorn.

========================  =====================================================
HUP, USR1                 passed on to both: reload, reopen the logs
TTIN, TTOU                passed on to the application: a worker more, one less
TERM, INT                 drain, then stop gracefully; a second one stops at once
QUIT                      stop at once
USR2, WINCH               not supported: a line in the log
========================  =====================================================
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import queue
import signal
import time
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

import psutil

from health.supervisor.child import Child
from health.supervisor.parent_death import adopt_orphans

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
"""The pause before a dead health server is started again doubles from one to the other."""
STEADY_SECONDS = 60.0
"""A health server that ran so long had no trouble: the next pause is the first again."""
FAILURES_FOR_GOOD = 8
"""After so many ends in a row, over a minute at least, a health server is not tried again."""
QUICK_STOP_SECONDS = 2.0
"""How long a process may take to stop at once, before SIGKILL."""
HEALTH_STOP_SECONDS = 5.0
"""How long the health server may take to stop gracefully, before SIGKILL."""

PASSED_TO_BOTH = (signal.SIGHUP, signal.SIGUSR1)
PASSED_TO_APPLICATION = (signal.SIGTTIN, signal.SIGTTOU)
STOPPING = (signal.SIGTERM, signal.SIGINT)
UNSUPPORTED = (signal.SIGUSR2, signal.SIGWINCH)
ENDED_BY_US = (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL)
"""Signals that end an application which was asked to stop before it could handle them."""


class Ending(NamedTuple):
    """How it ended: the exit status, and what failed, or None after a stop that was asked for."""

    status: int
    failure: str | None


class State(Enum):
    """What the parent is about."""

    RUNNING = "running"
    DRAINING = "draining"
    STOPPING = "stopping"


class Supervisor:
    """Runs ``application`` and, unless it is None, ``health``, until one has ended for good.

    The application is not started again; the health server is, until it has failed
    `FAILURES_FOR_GOOD` times in a row. ``drain`` is called with True when a stop begins,
    to mark this host as draining, and with False at the end; it must not raise.
    ``drain_seconds`` is how long both go on serving after the mark.
    """

    def __init__(
        self,
        application: Child,
        health: Child | None,
        *,
        drain: Callable[[bool], None],
        drain_seconds: float,
    ) -> None:
        self.application = application
        self.health = health
        self.state = State.RUNNING
        self._drain = drain
        self._drain_seconds = drain_seconds
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._timers: dict[Callable[[], None], float] = {}
        self._pause = FIRST_PAUSE_SECONDS
        self._failures = 0
        self._application_ended_with: int | None = None
        self._failure: tuple[str, int] | None = None

    def run(self) -> Ending:
        """Serve until the end, and return how it came.

        The exit status after a stop that was asked for is the application's own, or 0
        where a signal of ours ended it. Else it is that of what failed: 128 and the
        signal's number where one killed it, or 1 where it ended with 0. To be called in
        the main thread, once.
        """
        self._install_handlers()
        adopt_orphans()
        self.application.start()
        if self.health is not None:
            self.health.start()
        gc.freeze()  # what is loaded stays to the end, where it would be collected thrice over
        logger.info("serving: application %d", self.application.pid)
        while self._application_ended_with is None or (self.health and self.health.pid):
            sig = self._next_signal()
            if sig is not None:
                self._handle(sig)
            self._run_timers()
        self._end_orphans()
        self._drain(False)
        return self._ending()

    # --- signals and timers ------------------------------------------------------------

    def _install_handlers(self) -> None:
        for sig in (
            signal.SIGCHLD,
            signal.SIGQUIT,
            *STOPPING,
            *PASSED_TO_BOTH,
            *PASSED_TO_APPLICATION,
            *UNSUPPORTED,
        ):
            signal.signal(sig, lambda number, _frame: self._signals.put(number))

    def _next_signal(self) -> int | None:
        due = min(self._timers.values(), default=None)
        # A signal that arrives while nobody waits is in the queue already; the upper
        # bound is there for the reaping of orphans, should a SIGCHLD be lost.
        wait = 1.0 if due is None else min(1.0, max(0.0, due - time.monotonic()))
        try:
            return self._signals.get(timeout=wait)
        except queue.Empty:
            self._reap()
            return None

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._timers[action] = time.monotonic() + seconds

    def _run_timers(self) -> None:
        now = time.monotonic()
        for action in [a for a, due in self._timers.items() if due <= now]:
            del self._timers[action]
            action()

    def _handle(self, sig: int) -> None:
        if sig == signal.SIGCHLD:
            self._reap()
            return
        name = signal.Signals(sig).name
        if sig in STOPPING and self.state is State.RUNNING:
            logger.info("%s: draining for %g s", name, self._drain_seconds)
            self._begin_drain()
        elif sig in STOPPING or sig == signal.SIGQUIT:
            logger.info("%s: stopping at once", name)
            self._stop_at_once()
        elif sig in UNSUPPORTED:
            logger.warning("%s is not supported by serve; HUP reloads the code", name)
        else:
            logger.info("%s: passed on", name)
            self.application.signal(sig)
            if self.health is not None and sig in PASSED_TO_BOTH:
                self.health.signal(sig)

    # --- stopping ----------------------------------------------------------------------

    def _begin_drain(self) -> None:
        self.state = State.DRAINING
        self._drain(True)
        if self._drain_seconds > 0:
            self._after(self._drain_seconds, self._stop_gracefully)
        else:
            self._stop_gracefully()

    def _stop_gracefully(self) -> None:
        """Stop the application; the health server answers until it has ended."""
        self.state = State.STOPPING
        logger.info("stopping")
        self._timers.clear()
        self.application.signal(signal.SIGTERM)
        if self._application_ended_with is not None:
            self._stop_health()

    def _stop_health(self) -> None:
        if self.health is not None and self.health.pid:
            self.health.signal(signal.SIGTERM)
            self._after(HEALTH_STOP_SECONDS, self._kill)

    def _stop_at_once(self) -> None:
        self.state = State.STOPPING
        self._timers.clear()
        for child in self._children():
            child.signal(signal.SIGQUIT)
        self._after(QUICK_STOP_SECONDS, self._kill)

    def _kill(self) -> None:
        for child in self._children():
            if child.pid:
                logger.warning("the %s (%d) did not stop: SIGKILL", child.name, child.pid)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)

    def _children(self) -> list[Child]:
        return [self.application, *([self.health] if self.health is not None else [])]

    # --- deaths ------------------------------------------------------------------------

    def _reap(self) -> None:
        """Reap every dead child, orphans that became ours included."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                code = os.waitstatus_to_exitcode(status)
                if pid == self.application.pid:
                    self._application_ended(code)
                elif self.health is not None and pid == self.health.pid:
                    self._health_ended(code)

    def _application_ended(self, code: int) -> None:
        self.application.ended()
        self._application_ended_with = code
        if self.state is not State.STOPPING:
            self._fail(f"the application ended with {_describe(code)}", code)
            self.state = State.STOPPING
            self._timers.clear()
        self._stop_health()

    def _health_ended(self, code: int) -> None:
        assert self.health is not None
        lived = time.monotonic() - self.health.started
        self.health.ended()
        if self.state is State.STOPPING:
            return
        if lived >= STEADY_SECONDS:
            self._pause, self._failures = FIRST_PAUSE_SECONDS, 0
        self._failures += 1
        what = f"the health server ended with {_describe(code)}"
        if self._failures < FAILURES_FOR_GOOD:
            logger.error("%s; starting it again in %g s", what, self._pause)
            self._after(self._pause, self.health.start)
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        elif self.state is State.RUNNING:
            self._fail(f"{what}, {self._failures} times in a row", code)
            self._begin_drain()

    def _fail(self, what: str, code: int) -> None:
        logger.error("%s; stopping", what)
        self._failure = self._failure or (what, _status(code) or 1)

    def _end_orphans(self) -> None:
        """Stop what the application's processes left behind and we adopted."""
        orphans = psutil.Process().children(recursive=True)
        for process in orphans:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(orphans, timeout=QUICK_STOP_SECONDS / 2)[1]:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def _ending(self) -> Ending:
        if self._failure is not None:
            what, status = self._failure
            return Ending(status, what)
        code = self._application_ended_with or 0
        if -code in ENDED_BY_US:
            return Ending(0, None)
        # asked to stop, it failed at that
        failure = f"the application ended with {_describe(code)}" if code else None
        return Ending(_status(code), failure)


def _status(code: int) -> int:
    return code if code >= 0 else 128 - code


def _describe(code: int) -> str:
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name

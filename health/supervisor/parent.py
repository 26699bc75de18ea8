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
import logging
import os
import queue
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import psutil  # type: ignore[import-untyped]  # it has no types

from health.supervisor.lifeline import adopt_orphans

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
"""The pause before a dead health server is started again doubles from one to the other."""
STEADY_SECONDS = 60.0
"""A health server that ran so long had no trouble: the next pause is the first again."""
QUICK_STOP_SECONDS = 2.0
"""How long a process may take to stop at once, before SIGKILL."""
HEALTH_STOP_SECONDS = 5.0
"""How long the health server may take to stop gracefully, before SIGKILL."""

PASSED_TO_BOTH = (signal.SIGHUP, signal.SIGUSR1)
PASSED_TO_APPLICATION = (signal.SIGTTIN, signal.SIGTTOU)
STOPPING = (signal.SIGTERM, signal.SIGINT)
UNSUPPORTED = (signal.SIGUSR2, signal.SIGWINCH)


class State(Enum):
    """What the parent is about."""

    RUNNING = "running"
    DRAINING = "draining"
    STOPPING = "stopping"


@dataclass
class Child:
    """A process of ours: its command, and its process id while it runs.

    It leads a process group of its own, so that Ctrl-C reaches the parent alone and
    whatever it leaves behind can be found.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    pass_fds: Sequence[int] = ()
    pid: int = 0
    started: float = 0.0

    def start(self) -> None:
        """Start it."""
        process = subprocess.Popen(
            self.argv,
            env={**os.environ, **self.env},
            pass_fds=self.pass_fds,
            process_group=0,
        )
        # Every child is reaped in one place, by waitpid; Popen must not try as well.
        process.returncode = 0
        self.pid, self.started = process.pid, time.monotonic()

    def signal(self, sig: int) -> None:
        """Send it ``sig``; nothing happens when it does not run."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def ended(self) -> None:
        """Note that it was reaped, and kill what is left of its group."""
        pid, self.pid = self.pid, 0
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


class Supervisor:
    """Runs ``application`` and, unless it is None, ``health``, until the application ends.

    ``drain`` is called with True when a stop begins, and with False at the start, to
    mark this host as draining or not; it must not raise. ``drain_seconds`` is how long
    both go on serving after the mark.
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
        self._application_status: int | None = None
        self._killed = False

    def run(self) -> int:
        """Serve until the end, and return the exit status.

        After a stop that was asked for: the application's own, or 0 where it had to be
        killed; else its own (128 and the signal's number where one killed it), or 1
        where that is 0. To be called in the main thread, once.
        """
        self._install_handlers()
        adopt_orphans()
        self._drain(False)
        self.application.start()
        if self.health is not None:
            self.health.start()
        logger.info("serving: application %d", self.application.pid)
        while self._application_status is None or (self.health and self.health.pid):
            sig = self._next_signal()
            if sig is not None:
                self._handle(sig)
            self._run_timers()
        self._end_orphans()
        self._drain(False)
        return self._exit_status()

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
        if self._application_status is not None:
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
        self._killed = True
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
        self._application_status = code
        if self.state is not State.STOPPING:
            logger.error("the application ended with %s; stopping", _describe(code))
            self._application_status = code or 1
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
            self._pause = FIRST_PAUSE_SECONDS
        logger.error(
            "the health server ended with %s; starting it again in %g s",
            _describe(code),
            self._pause,
        )
        self._after(self._pause, self.health.start)
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def _end_orphans(self) -> None:
        """Stop what the application's processes left behind and we adopted."""
        orphans = psutil.Process().children(recursive=True)
        for process in orphans:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(orphans, timeout=QUICK_STOP_SECONDS / 2)[1]:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def _exit_status(self) -> int:
        code = self._application_status or 0
        if code < 0:
            return 0 if self._killed else 128 - code
        return code


def _describe(code: int) -> str:
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name

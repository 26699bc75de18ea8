"""End a gunicorn worker at once when it is told to stop before it serves.

A worker begins with the signal handlers of its arbiter, which put a signal into a queue
that no one reads in a worker: until it has handlers of its own, TERM, INT and QUIT would
be lost, and the arbiter would wait for all of ``graceful_timeout``. From then on most
worker classes would load the whole application before they end. A worker that has not
yet served has nothing to finish.

No moment is left out: the signals are blocked from before the fork until the worker has
handlers that end it, and again while gunicorn exchanges those for its own.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

STOPPING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
HELD = STOPPING | {signal.SIGUSR1}
"""Signals that an arbiter sends to a worker; USR1, which reopens logs, must not be lost either."""

_mask_before: set[int] | None = None
"""What was blocked before `hold`, until it is so again."""


def hold(worker: Any) -> None:
    """Block the signals in the arbiter, and so in the worker that it is about to fork.

    In the arbiter they are let through right after the fork.
    """
    global _mask_before
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    if _mask_before is None:
        _mask_before = set(mask)
    _start_of(worker)


def end_when_stopped(worker: Any) -> None:
    """End ``worker``, this process, on the signals that stop it, until it serves.

    To be called first after the fork. It works without `hold` as well, but for signals
    that came before.
    """
    start = _start_of(worker)
    for sig in STOPPING:
        signal.signal(sig, start.end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING - (_mask_before or set()))


def finish(worker: Any) -> None:
    """Let system calls of ``worker``, which is about to serve, go on after TERM.

    Gunicorn means them to; while the application is loaded, TERM is to interrupt them.
    """
    if signal.getsignal(signal.SIGTERM) == _start_of(worker).on_signal:
        signal.siginterrupt(signal.SIGTERM, False)


def _release() -> None:
    """Block what was blocked before `hold`, and nothing else."""
    global _mask_before
    if _mask_before is not None:
        mask, _mask_before = _mask_before, None
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


os.register_at_fork(after_in_parent=_release)


def _start_of(worker: Any) -> _Start:
    start: _Start | None = getattr(worker.init_signals, "start", None)
    return _Start(worker) if start is None else start


class _Start:
    """The signal handlers of one worker until it serves."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._theirs: dict[int, Callable[[int, FrameType | None], Any]] = {}
        original = worker.init_signals

        def init_signals() -> None:
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
            try:
                original()
                self._put_before_theirs()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                _release()

        init_signals.start = self  # type: ignore[attr-defined]
        worker.init_signals = init_signals

    def end(self, number: int, frame: FrameType | None) -> None:
        """End this process, with ``worker_int`` on INT and QUIT, as gunicorn has it.

        Not by SystemExit: what is interrupted may catch it, or make another exception of it,
        as Python 3.11 does in ``__set_name__``. Gunicorn would take that for a worker that
        cannot boot, and halt.
        """
        try:
            if number != signal.SIGTERM:
                self._worker.cfg.worker_int(self._worker)
        finally:
            _leave_lane()
            os._exit(0)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Call gunicorn's handler in a worker that serves; end one that does not yet."""
        if self._worker.booted:
            self._theirs[number](number, frame)
        else:
            self.end(number, frame)

    def _put_before_theirs(self) -> None:
        for sig in STOPPING:
            theirs = signal.getsignal(sig)
            # Uvicorn ends itself by the signal when it has served, under the handler from
            # before. The default action would kill it: its lane would show a death.
            self._theirs[sig] = theirs if callable(theirs) else _exit
            signal.signal(sig, self.on_signal)


def _leave_lane() -> None:
    """Say in this worker's lane, if it has one already, that it was not killed."""
    # An import might wait for one that was interrupted, for ever.
    current = getattr(sys.modules.get("metrics.shared"), "current", None)
    if current is not None and (store := current()) is not None:
        store.leave()


def _exit(number: int, frame: FrameType | None) -> None:
    """End this process in order: what is to be done at its exit is done."""
    raise SystemExit(0)

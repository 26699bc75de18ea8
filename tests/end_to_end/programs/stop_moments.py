"""A gunicorn configuration whose workers stop themselves, each at a later moment of its start.

The first worker counts the calls that a start takes. Each of the next sends itself a
signal at one of them, and notes it in the file that STOP_NOTES names; STOP_MOMENTS says
how many do, spread over the whole start. Those after them serve.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from health import gunicorn as hooks
from health.gunicorn import on_starting, post_fork, pre_fork

__all__ = ["on_starting", "post_fork", "pre_fork"]  # the hooks that stay ours

MOMENTS = int(os.environ["STOP_MOMENTS"])
SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)

bind = os.environ["SENTINEL_BIND"]
control_socket_disable = True

_notes = Path(os.environ["STOP_NOTES"])
_arbiter = 0
_number = 0
_calls = 0


def when_ready(server: Any) -> None:
    """Begin with the workers' moments."""
    global _arbiter
    hooks.when_ready(server)
    _arbiter = os.getpid()


def post_worker_init(worker: Any) -> None:
    """End the start, and in the first worker the count."""
    hooks.post_worker_init(worker)
    sys.setprofile(None)
    if _number == 0:
        _note(f"calls {_calls}")
        os.kill(os.getpid(), signal.SIGTERM)


def _note(line: str) -> None:
    with _notes.open("a") as notes:
        notes.write(f"{line}\n")


def _begin() -> None:
    """Count the calls of a worker that was forked just now, up to its moment."""
    if os.getppid() != _arbiter or _number > MOMENTS:
        return
    moment = sys.maxsize
    if _number:
        calls = int(_notes.read_text().split()[1])
        moment = calls * (_number - 1) // MOMENTS

    def count(frame: FrameType, event: str, argument: Any) -> None:
        global _calls
        if event != "call":
            return
        _calls += 1
        if _calls > moment:
            sys.setprofile(None)
            sig = SIGNALS[_number % len(SIGNALS)]
            code = frame.f_code
            _note(f"{os.getpid()} {sig.name} at call {moment}: {code.co_filename} {code.co_name}")
            os.kill(os.getpid(), sig)

    sys.setprofile(count)


def _next() -> None:
    global _number
    if os.getpid() == _arbiter:
        _number += 1


os.register_at_fork(after_in_child=_begin, after_in_parent=_next)

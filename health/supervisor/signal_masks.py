"""Hold signals back from a program that is not ready for them.

Until gunicorn has its handlers, HUP and USR1 would end it, and TTIN and TTOU would halt
it for good. Blocked at its start, they wait until it lets them through.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

HELD_BACK = frozenset({signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU})


@contextlib.contextmanager
def holding_back() -> Iterator[None]:
    """Block them in this thread, and in the programs that it starts meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_through() -> None:
    """Take what waited, and whatever comes from now on."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)

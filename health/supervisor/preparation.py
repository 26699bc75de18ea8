"""What happens in the run directory when a service starts, and what its settings say of a stop.

It reads Django's settings, but needs no ``django.setup()``. One run directory is one
service: a second server of it must not clear what the first one lives by.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import Any

from health import board
from health import conf as settings_of_health
from health.board import BOARD
from health.board.stores.base import Reach
from health.conf import conf
from health.readiness import drain
from metrics import shared
from metrics.conf import conf as metrics_conf
from metrics.shared.errors import StoreError
from metrics.shared.files.directory import reset_if_idle
from metrics.system.flock import FileLock
from metrics.system.process_kind import WEB_SERVERS
from metrics.system.run_dir import RunDir

logger = logging.getLogger(__name__)

LOCK = "serve.lock"
"""Held by the parent of a `serve` as long as it lives; the kernel frees it."""
PATIENCE_SECONDS = 2.0
"""How long the workers of a server that was killed may be seen yet."""


class ServedError(ValueError):
    """Another `serve` has the run directory."""


def read() -> dict[str, Any]:
    """Return the fields of `health.supervisor.hooks.Service`. Raises ImproperlyConfigured."""
    run_dir = metrics_conf.run_dir
    return {
        "run_dir": "" if run_dir is None else str(run_dir),
        "drain_seconds": conf.drain_seconds,
    }


def claim() -> FileLock | None:
    """Make this process the one parent of the run directory, as long as it lives.

    Return the lock, or None where there is no directory, or none that can be used,
    which is logged. Raises ServedError, which names the parent that has it.
    """
    if (run_dir := metrics_conf.run_dir) is None:
        return None
    try:
        run_dir.ensure()
        lock = FileLock(run_dir / LOCK)
        if not lock.try_acquire():
            raise ServedError(
                f"{run_dir} belongs to another serve{_process_in(lock)}: stop that one first, or"
                " give each service a SENTINEL_RUN_DIR of its own"
            )
        with contextlib.suppress(OSError):
            lock.write(str(os.getpid()))
    except OSError as e:
        logger.error("whether another serve has the run directory is not known: %s", e)
        return None
    return lock


def begin() -> None:
    """Start anew: no figures of a service that has ended, no drain of its stop.

    Figures stay where another process of the service lives; where one serves its
    application, its board and its drain stay as well. A fault is logged.
    """
    try:
        run_dir = metrics_conf.run_dir
        if run_dir is not None:
            if server := _another_server(run_dir):
                logger.warning(
                    "%s is used by another server (process %d): nothing in it is cleared. Give"
                    " each service a SENTINEL_RUN_DIR of its own, or a stop of one drains both.",
                    run_dir,
                    server,
                )
                return
            reset_if_idle(run_dir)
        drain.unmark()
        if BOARD.reach is not Reach.HOSTS:  # else other hosts use it
            BOARD.clear()
    except (OSError, StoreError) as e:
        logger.error("what an earlier run left stays: %s", e)


def move_to(run_dir: str, user: int) -> None:
    """Have the run directory of the workers of another user in this process and its children.

    For root's arbiter, which has loaded the application before its workers change to
    ``user``: what it counted goes with it.
    """
    if (store := shared.current()) is None or not run_dir or store.directory == run_dir:
        return
    before = store.directory
    store.move(run_dir, owner=user)
    settings_of_health.forget()
    board.forget()
    with contextlib.suppress(OSError, StoreError):  # nothing of ours stays behind
        reset_if_idle(before)


def mark_drain(draining: bool) -> None:
    """Mark this host as draining or not; a fault is logged."""
    try:
        if draining:
            drain.mark()
        else:
            drain.unmark()
    except OSError as e:
        logger.error("this host cannot be marked as draining: %s", e)


def _process_in(lock: FileLock) -> str:
    with contextlib.suppress(OSError, ValueError):
        return f" (process {int(lock.path.read_text())})"
    return ""


def _another_server(run_dir: RunDir) -> int | None:
    """Return the process id of a worker, not ours, that serves this service's application."""
    store = shared.current() or shared.Store(run_dir)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        alive = [w.pid for w in store.workers() if w.alive and w.kind in WEB_SERVERS]
        if not alive or time.monotonic() > deadline:
            return min(alive, default=None)
        time.sleep(0.1)

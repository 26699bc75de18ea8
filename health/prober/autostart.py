"""Starts the prober in a process that serves requests, once, and after the fork."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from health.board import BOARD
from health.board.stores.base import Reach
from health.conf import conf
from health.core.policy import STALE
from health.families import FAULTS
from health.readiness.assessment import current, has_started
from metrics.system import forks

if TYPE_CHECKING:
    from health.prober.leader import Prober

logger = logging.getLogger(__name__)

FIRST_LOOK_SECONDS = 0.5
"""How long the first answer of a process may wait for the checks that it set off."""


_guard = threading.Lock()
forks.hold(_guard)
_own: tuple[int, Prober | None] = (0, None)


def is_started() -> bool:
    """Whether `ensure_started` was called in this process, whatever came of it."""
    return _own[0] == os.getpid()


def ensure_looked() -> None:
    """Have the backends probed; the first call of a process waits a little for the results.

    Else the first answer of a service would be 503, and the next request for it seconds
    away. Never raises.
    """
    if ensure_started():
        deadline = time.monotonic() + FIRST_LOOK_SECONDS
        while not (has_started() and current().reason != STALE):
            if time.monotonic() >= deadline:
                break
            time.sleep(0.005)


def ensure_started() -> bool:
    """Start the prober in this process, once, if there is anything to probe.

    Whether this call did. For processes that serve requests; they call it after the
    fork. With ``SENTINEL_RUN_DIR = None`` nothing starts: what a test sees must be its
    own doing. Where the automatic directory has no place, each process probes for itself.
    Never raises.
    """
    global _own
    pid = os.getpid()
    if _own[0] == pid:
        return False
    with _guard:
        if _own[0] == pid:
            return False
        prober = None
        try:
            if conf.backends and (conf.run_dir_is_wanted or BOARD.reach is Reach.HOSTS):
                from health.prober.leader import Prober  # not in one that never probes

                prober = Prober()
                prober.start()
        except Exception:
            FAULTS.labels("prober").inc()
            logger.exception("the prober could not be started")
        _own = (pid, prober)
        return prober is not None

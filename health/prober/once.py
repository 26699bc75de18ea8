"""One check of each backend, side by side, without a board."""

from __future__ import annotations

import queue
import time
from collections.abc import Mapping

from health.conf.backends import BackendConfig
from health.core.backend import Observation
from health.prober.outcome import describe, make_probe
from health.prober.pool import ProbePool, Run


def probe_once(backends: Mapping[str, BackendConfig]) -> dict[str, Observation]:
    """Return what one check of each of ``backends`` showed, in their order.

    Takes as long as the longest timeout at most; a check that hangs is left behind.
    """
    inbox: queue.SimpleQueue[Run] = queue.SimpleQueue()
    pool = ProbePool(inbox.put)
    started = time.monotonic()
    probes = {name: make_probe(c) for name, c in backends.items()}
    for name, c in backends.items():
        pool.start(Run(name, probes[name], c.timeout))
    seen = {
        name: Observation(False, c.timeout, f"no answer within {c.timeout:g} s")
        for name, c in backends.items()
    }
    waiting = {name: started + c.timeout * 1.1 for name, c in backends.items()}
    while waiting:
        try:
            run = inbox.get(timeout=max(0.0, min(waiting.values()) - time.monotonic()))
        except queue.Empty:
            now = time.monotonic()
            waiting = {name: end for name, end in waiting.items() if end > now}
            continue
        if waiting.pop(run.backend, None) is not None:
            error = describe(run)
            seen[run.backend] = Observation(error is None, run.seconds, error)
            run.probe.close()
    pool.close()
    return seen

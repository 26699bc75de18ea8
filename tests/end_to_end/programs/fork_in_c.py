"""A process that is forked in C, as uWSGI does, so that no hook of Python's tells of it."""

from __future__ import annotations

import ctypes
import os
import sys
import types

from prometheus_client import Counter

from metrics import shared

sys.modules["uwsgi"] = types.SimpleNamespace(  # type: ignore[assignment]  # all that is asked of it
    worker_id=lambda: 0, mule_id=lambda: 0, i_am_the_spooler=lambda: False
)

from metrics.registry import REGISTRY  # noqa: E402 - it looks for uWSGI when it is imported


def fork(first: str) -> None:
    """Fork a child that does ``first``, a statement, and counts; print what both have counted."""
    store = shared.current()
    assert store is not None
    counter = Counter("c", "", registry=REGISTRY)
    counter.inc(5)
    value = counter._value
    assert (store.lane_number, value.get(), len(store.cells)) == (0, 5.0, 0)
    pid = ctypes.PyDLL(None).fork()
    if not pid:
        try:
            exec(first, {"counter": counter, "os": os, "store": store, "value": value})
            store.claim()
            counter.inc(2)
            print(store.lane_number, value.get(), flush=True)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    counter.inc(1)
    print(store.lane_number, value.get(), next(w.pid == os.getpid() for w in store.workers()))

"""Mark this host as draining, or ask whether it is.

The mark is a file of the run directory. Without one it is a flag of this process alone.
"""

from __future__ import annotations

import functools

from health.conf import conf
from health.core.drain_mark import DrainMark

_here = False
_mark_in = functools.lru_cache(maxsize=1)(DrainMark)


def mark() -> None:
    """Make readiness 503 with reason ``draining`` on this host. Raises OSError."""
    global _here
    run_dir = conf.run_dir
    if run_dir is None:
        _here = True
        return
    run_dir.ensure()
    _mark_in(run_dir).set()


def unmark() -> None:
    """End what `mark` began; also called when a service starts anew. Raises OSError."""
    global _here
    _here = False
    if (run_dir := conf.run_dir) is not None:
        _mark_in(run_dir).clear()


def is_draining() -> bool:
    """Whether this host is marked."""
    run_dir = conf.run_dir
    return _here if run_dir is None else _mark_in(run_dir).is_set

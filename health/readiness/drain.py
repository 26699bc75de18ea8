"""The mark that says: this host is about to stop, send it no more.

A file in the run directory, so that every process sees it at once, for one system
call. Without a run directory it is a flag of this process alone.
"""

from __future__ import annotations

from health.conf import conf
from health.core import drain_mark
from metrics.system.run_dir import ensure_private

_here = False


def mark() -> None:
    """Make readiness 503 with reason ``draining`` on this host. Raises OSError."""
    global _here
    run_dir = conf.run_dir
    if run_dir is None:
        _here = True
        return
    ensure_private(run_dir, strict=conf.run_dir_is_auto)
    drain_mark.mark(run_dir)


def unmark() -> None:
    """End what `mark` began; also called when a service starts anew. Raises OSError."""
    global _here
    _here = False
    if (run_dir := conf.run_dir) is not None:
        (run_dir / drain_mark.DRAINING).unlink(missing_ok=True)


def is_draining() -> bool:
    """Whether this host is marked."""
    run_dir = conf.run_dir
    return _here if run_dir is None else drain_mark.is_marked(run_dir)

"""Leaves the lines of probes out of gunicorn's access log.

In ``gunicorn.conf.py``: ``from health.accesslog import leave_out_probes`` and then
``leave_out_probes()``. Nothing of Django is imported.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

PATHS = frozenset({"/health", "/ready", "/started", "/metrics"})
"""What probes and scrapers ask for."""


class ProbeFilter(logging.Filter):
    """Drops the access lines of GET and HEAD of ``paths``, whatever the answer was.

    A probe's answer is in the metrics and in the log of transitions; its access line
    comes every few seconds and hides the others.
    """

    def __init__(self, paths: Collection[str] = PATHS) -> None:
        super().__init__()
        self._paths = frozenset(paths)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep everything that is no access line of a probe."""
        atoms = record.args
        if not isinstance(atoms, Mapping):
            return True
        probe = atoms.get("U") in self._paths and atoms.get("m") in ("GET", "HEAD")
        return not probe


def leave_out_probes(paths: Collection[str] = PATHS) -> None:
    """Put the filter on gunicorn's access log, for this process and its forks."""
    log = logging.getLogger("gunicorn.access")
    if not any(isinstance(f, ProbeFilter) for f in log.filters):
        log.addFilter(ProbeFilter(paths))

"""Leaves the lines of probes out of gunicorn's access log.

In ``gunicorn.conf.py``: ``from health.accesslog import leave_out_probes`` and then
``leave_out_probes()``. Nothing of Django is imported in the arbiter.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Collection, Mapping

from metrics.paths import DEFAULTS, spellings

PATHS = frozenset(path for paths in DEFAULTS.values() for path in paths)
"""What probes and scrapers ask for where SENTINEL_PATHS says nothing else."""


class ProbeFilter(logging.Filter):
    """Drops the access lines of GET, HEAD and OPTIONS of ``paths``, whatever the answer was.

    ``paths`` are those of SENTINEL_PATHS if None; a trailing slash makes no difference.
    A probe's answer is in the metrics and in the log of transitions; its access line
    comes every few seconds and hides the others.
    """

    def __init__(self, paths: Collection[str] | None = None) -> None:
        super().__init__()
        self._paths = (
            None if paths is None else frozenset(spellings(path.rstrip("/") for path in paths))
        )

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep everything that is no access line of a probe."""
        atoms = record.args
        if not isinstance(atoms, Mapping) or atoms.get("m") not in ("GET", "HEAD", "OPTIONS"):
            return True
        return atoms.get("U") not in (_configured() if self._paths is None else self._paths)


def leave_out_probes(paths: Collection[str] | None = None) -> None:
    """Put the filter on gunicorn's access log, for this process and its forks."""
    log = logging.getLogger("gunicorn.access")
    if not any(isinstance(f, ProbeFilter) for f in log.filters):
        log.addFilter(ProbeFilter(paths))


@functools.cache
def _configured() -> frozenset[str]:
    """Return the paths of this worker's settings, which it has read before its first request.

    The defaults, where it serves no Django project.
    """
    if "django.conf" not in sys.modules:
        return frozenset(spellings(PATHS))
    from django.core.exceptions import ImproperlyConfigured

    from metrics.conf import conf

    try:
        return frozenset(spellings(path for paths in conf.paths.values() for path in paths))
    except ImproperlyConfigured:  # no settings, or wrong ones, of which others tell
        return frozenset(spellings(PATHS))

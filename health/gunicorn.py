"""Hooks for a gunicorn that you start yourself: ``from health.gunicorn import *``.

In a ``gunicorn.conf.py``; DJANGO_SETTINGS_MODULE must be set by then. `manage.py serve`
has them without the import. A hook of your own under the same name replaces ours: call
ours from it, as in ``def when_ready(server): hooks.when_ready(server); ...``.

=====================  ==============================================================
on_starting            before the first worker: empties the store if nobody uses it,
                       and ends a drain that an earlier stop began, as the user that
                       the workers run as
when_ready             makes TERM drain first: /ready is 503 for SENTINEL_DRAIN_SECONDS
                       while everything is still served, then gunicorn stops as ever
pre_fork               before each worker: no signal that stops it is lost on the way
post_fork              in each worker: names its kind before the application is loaded,
                       and ends it with its arbiter, even one that was killed, and at
                       once when it is stopped before it serves
post_worker_init       in each worker: shows it as idle before its first request, lets the
                       health server ask it for its collectors' figures, and ties it to
                       its arbiter again, since a change of user undoes that
=====================  ==============================================================

Nothing of Django is imported in the arbiter, whose memory every worker begins with:
HUP could no longer reload the settings.
"""

from __future__ import annotations

from health.supervisor.hooks import (
    on_starting,
    post_fork,
    post_worker_init,
    pre_fork,
    when_ready,
)

__all__ = ["on_starting", "post_fork", "post_worker_init", "pre_fork", "when_ready"]

"""The health server's WSGI application: the health endpoints and the metrics, no more.

Its URLs and its middleware are its own: nothing of the project's can keep a probe
waiting, turn its Host away, or redirect it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.core.handlers.wsgi import WSGIHandler


def application() -> WSGIHandler:
    """Set Django up for this process and return the application.

    The process serves nothing else, so its settings are changed for good.
    """
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application

    from health.conf import conf

    settings.ROOT_URLCONF = conf.health_urlconf
    settings.MIDDLEWARE = []
    wsgi = get_wsgi_application()
    from metrics.scraping.gatherer import GATHERER

    GATHERER.ask_others()
    return wsgi


def start_threads() -> None:
    """Run the prober in this process and keep the history, or stand by; never raises."""
    from health import logs
    from health.prober import autostart
    from metrics import history

    logs.ensure_handler()
    autostart.ensure_started()
    history.keep()

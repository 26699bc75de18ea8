"""The app's registration."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, register
from django.core.exceptions import ImproperlyConfigured

from health.application import collector
from metrics import shared
from metrics.system.process_kind import WEB_SERVERS, process_kind


class HealthConfig(AppConfig):
    """Register the system checks, and put the workers' figures into the scrape."""

    name = "health"
    label = "sentinel_health"
    verbose_name = " Health"
    """With a space, which HTML does not show: the admin's index sorts by it, and the overview
    is to come first."""
    default_auto_field = "django.db.models.BigAutoField"

    @property
    def setting_names(self) -> frozenset[str]:
        """The settings that this app reads."""
        from health.conf import NAMES

        return NAMES

    def ready(self) -> None:
        """Do so once all apps are loaded."""
        register(_check)
        collector.register()
        _show_process()


def _show_process() -> None:
    """Take this process's lane now, if SENTINEL_APPLICATION_KINDS names its kind.

    A Celery worker may wait for days before it counts anything. A web server is seen from
    its first request on: here it may be the parent of those that will serve.
    """
    kind = process_kind()
    store = shared.current()
    if store is None or kind in WEB_SERVERS:
        return
    from health.conf import conf

    with suppress(ImproperlyConfigured):  # the check says so
        if kind in conf.application_kinds:
            store.claim()


def _check(**kwargs: Any) -> list[CheckMessage]:
    from health import checks  # not in a process that runs none

    return [message for check in checks.CHECKS for message in check(**kwargs)]

"""The app's registration."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, register


class HealthConfig(AppConfig):
    """Register the system checks, and put the workers' figures into the scrape."""

    name = "health"
    label = "sentinel_health"
    verbose_name = "Health"
    default_auto_field = "django.db.models.BigAutoField"

    @property
    def setting_names(self) -> frozenset[str]:
        """The settings that this app reads."""
        from health.conf import NAMES

        return NAMES

    def ready(self) -> None:
        """Do so once all apps are loaded."""
        register(_check)
        from health.application import collector, workers

        collector.register()
        workers.show_process()


def _check(**kwargs: Any) -> list[CheckMessage]:
    from health import checks  # not in a process that runs none

    return [message for check in checks.CHECKS for message in check(**kwargs)]

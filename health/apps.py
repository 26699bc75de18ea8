"""The app's registration."""

from __future__ import annotations

from django.apps import AppConfig


class HealthConfig(AppConfig):
    """Register the system checks, and put the workers' figures into the scrape."""

    name = "health"
    label = "sentinel_health"
    verbose_name = "Health"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Do so once all apps are loaded."""
        from health import checks  # noqa: F401
        from health.application import collector, workers

        collector.register()
        workers.show_process()

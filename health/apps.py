"""The app's registration."""

from __future__ import annotations

from django.apps import AppConfig


class HealthConfig(AppConfig):
    """Register the system checks."""

    name = "health"
    label = "sentinel_health"
    verbose_name = "Health"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from health import checks  # noqa: F401

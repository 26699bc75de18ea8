"""The app's registration: where the shared store is put in place."""

from __future__ import annotations

from django.apps import AppConfig


class MetricsConfig(AppConfig):
    """Install the shared store before any other app makes a metric."""

    name = "metrics"
    label = "sentinel_metrics"
    verbose_name = "Metrics"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from metrics import checks  # noqa: F401

"""The app's registration: where the shared store is put in place."""

from __future__ import annotations

from types import ModuleType

from django.apps import AppConfig

from metrics import kind, shared
from metrics.conf import conf


class MetricsConfig(AppConfig):
    """Install the shared store before any app after this one makes a metric."""

    name = "metrics"
    label = "sentinel_metrics"
    verbose_name = "Metrics"
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, app_name: str, app_module: ModuleType | None) -> None:
        super().__init__(app_name, app_module)
        install_store()

    def ready(self) -> None:
        """Register the system checks."""
        from metrics import checks  # noqa: F401


def install_store() -> None:
    """Put the store of ``SENTINEL_RUN_DIR`` under all metrics, if it is set and not yet there."""
    run_dir = conf.run_dir
    if run_dir is None or shared.current() is not None:
        return
    shared.install(
        shared.Store(
            run_dir,
            kind=kind.process_kind,
            max_series=lambda: conf.metrics_max_series,
            strict=conf.run_dir_is_auto,
        )
    )

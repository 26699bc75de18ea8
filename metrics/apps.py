"""The app's registration: where the shared store is put in place."""

from __future__ import annotations

import logging
from importlib import import_module
from types import ModuleType
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, register
from django.core.exceptions import ImproperlyConfigured

from metrics import shared
from metrics.conf import DEFAULT_MAX_SERIES, NAMES, NO_PLACE, conf
from metrics.system import process_kind

logger = logging.getLogger(__name__)


class MetricsConfig(AppConfig):
    """Install the shared store before any app after this one makes a metric."""

    name = "metrics"
    label = "sentinel_metrics"
    verbose_name = "Metrics"
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, app_name: str, app_module: ModuleType | None) -> None:
        super().__init__(app_name, app_module)
        install_store()

    setting_names = NAMES

    def ready(self) -> None:
        """Register the system checks; log what they would say, should nobody run them."""
        register(_check)
        register(_check_security, Tags.security)
        try:
            conf.require_usable()
            instrument()
        except ImproperlyConfigured as e:
            if process_kind.process_kind() != "manage.py check":  # which names it with its id
                logger.error("%s", e)


def _check(**kwargs: Any) -> list[CheckMessage]:
    from metrics import checks  # not in a process that runs none

    return [message for check in checks.CHECKS for message in check(**kwargs)]


def _check_security(**kwargs: Any) -> list[CheckMessage]:
    from metrics import checks

    return [message for check in checks.SECURITY_CHECKS for message in check(**kwargs)]


def instrument() -> None:
    """Measure what ``SENTINEL_INSTRUMENT`` names; requests are the middleware's part.

    Raises ImproperlyConfigured.
    """
    for name in sorted(conf.instrument - {"requests"}):
        import_module(f"metrics.instrument.{name}").install()


def install_store() -> None:
    """Put the store of ``SENTINEL_RUN_DIR`` under all metrics, if it is set and not yet there.

    With a setting that cannot be used nothing is raised here, where it would keep the
    system checks from naming it; what serves requests asks `conf.require_usable`.
    """
    try:
        run_dir = conf.run_dir
    except ImproperlyConfigured:
        return
    if run_dir is None and conf.run_dir_is_auto and not process_kind.is_test_run():
        logger.error("%s", NO_PLACE)
    if run_dir is None or shared.current() is not None:
        return
    shared.install(
        shared.Store(
            run_dir,
            kind=process_kind.process_kind,
            max_series=_max_series,
        )
    )


def _max_series() -> int:
    try:
        return conf.metrics_max_series
    except ImproperlyConfigured:
        return DEFAULT_MAX_SERIES

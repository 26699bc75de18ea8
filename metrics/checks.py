"""System checks of the metrics app: one a setting, each under an id of its own.

The app registers what runs `CHECKS`, so that this module, and all that it imports, is
loaded only where checks are run: a worker runs none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured

from metrics import endpoints, paths, shared, views
from metrics.access import validation
from metrics.access.tokens import TokenFile
from metrics.conf import NO_PLACE, conf

_MIDDLEWARE = "metrics.middleware.MetricsMiddleware"


def _readable(read: Callable[[], object], code: str) -> list[CheckMessage]:
    """Turn a setting that cannot be used into an error that says how to mend it."""
    try:
        read()
    except ImproperlyConfigured as e:
        return [Error(str(e), id=code)]
    return []


def check_run_dir(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a SENTINEL_RUN_DIR that is no directory's name."""
    return _readable(lambda: conf.run_dir_setting, "sentinel_metrics.E001")


def check_place_for_run_dir(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn where the automatic run directory has no place, and each process is alone."""
    try:
        alone = conf.run_dir_is_auto and conf.run_dir is None
    except ImproperlyConfigured:
        return []
    return [CheckWarning(f"{NO_PLACE}.", id="sentinel_metrics.W010")] if alone else []


def check_service(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a SENTINEL_SERVICE that cannot be part of a directory's name."""
    return _readable(lambda: conf.service, "sentinel_metrics.E010")


def check_enabled(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a SENTINEL_METRICS_ENABLED that is neither True nor False."""
    return _readable(lambda: conf.metrics_enabled, "sentinel_metrics.E002")


def check_access(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a SENTINEL_METRICS_ACCESS of a wrong shape, naming each key that is wrong.

    Warn of a token file that opens nothing: it may come later, or be missing here only.
    """
    setting = conf.metrics_access
    if setting is None:
        return []
    if found := validation.problems(setting):
        return [Error(text, id="sentinel_metrics.E003") for text in found]
    return [
        CheckWarning(
            f"The token file {path} of SENTINEL_METRICS_ACCESS opens nothing: it cannot be"
            " read, or has no token in it.",
            id="sentinel_metrics.W003",
        )
        for path in setting.get("BEARER_FILES", ())
        if not TokenFile(path).digests()
    ]


def check_max_series(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a SENTINEL_METRICS_MAX_SERIES that is no number of series."""
    return _readable(lambda: conf.metrics_max_series, "sentinel_metrics.E004")


def check_paths(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a SENTINEL_PATHS that gives an endpoint no path, or two endpoints the same."""
    return [Error(text, id="sentinel_metrics.E005") for text in paths.problems(conf.paths_setting)]


def check_not_adopted(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of metrics that came before the shared store and could not be moved into it."""
    names = shared.not_adopted()
    if not names:
        return []
    return [
        CheckWarning(
            f"Made before the shared store was installed, and not to be moved there:"
            f" {', '.join(names)}. Each process counts these for itself, and a scrape shows"
            " those of one process.",
            hint="Put 'metrics' before the app that makes them in INSTALLED_APPS, and import"
            " no metrics in the settings. The log says what was in the way.",
            id="sentinel_metrics.W001",
        )
    ]


def check_multiprocess_mode(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn of prometheus_client's own multi-process mode, which the store takes the place of."""
    names = [n for n in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir") if n in os.environ]
    if not names or conf.run_dir is None:
        return []
    return [
        CheckWarning(
            f"{names[0]} is set: metrics that are made before the apps are loaded write a file"
            " there for each process, which nothing reads or removes. The shared store takes its"
            " place.",
            hint=f"Unset {names[0]}, and remove the directory that it names.",
            id="sentinel_metrics.W006",
        )
    ]


def check_middleware(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of a MetricsMiddleware behind one that may turn a scrape away."""
    names = list(settings.MIDDLEWARE)
    if _MIDDLEWARE not in names:
        return []
    before = [
        name
        for name in names[: names.index(_MIDDLEWARE)]
        if not name.startswith(("health.", "metrics."))
    ]
    if not before:
        return []
    return [
        CheckWarning(
            f"MIDDLEWARE has {before[0]} before {_MIDDLEWARE}, which can then not answer a"
            " scrape first.",
            hint=f"Move {_MIDDLEWARE} to the beginning.",
            id="sentinel_metrics.W002",
        )
    ]


def check_urls(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W004: SENTINEL_PATHS and the URLs disagree; W005: the URLs alone serve scrapes.

    The second only where a setting would turn a scrape away.
    """
    if check_paths(app_configs) or not endpoints.uses_urls(views.metrics):
        return []
    found = endpoints.misplaced("metrics", views.metrics, middleware=_MIDDLEWARE)
    warnings: list[CheckMessage] = [
        CheckWarning(message, hint=hint, id="sentinel_metrics.W004") for message, hint in found
    ]
    if _MIDDLEWARE not in settings.MIDDLEWARE:
        warnings += [
            CheckWarning(
                f"a scrape comes through {obstacle}, and {setting} may keep it from its answer",
                hint=f"Put {_MIDDLEWARE!r} first in MIDDLEWARE.",
                id="sentinel_metrics.W005",
            )
            for setting, obstacle in endpoints.obstacles(_MIDDLEWARE, conf.paths["metrics"])
        ]
    return warnings


CHECKS = (
    check_run_dir,
    check_place_for_run_dir,
    check_service,
    check_enabled,
    check_max_series,
    check_paths,
    check_not_adopted,
    check_multiprocess_mode,
    check_middleware,
    check_urls,
)
SECURITY_CHECKS = (check_access,)

"""System checks of the metrics app: one a setting, each under an id of its own.

The app registers what runs `CHECKS`, so that this module, and all that it imports, is
loaded only where checks are run: a worker runs none.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured

from metrics import endpoints, paths, shared, views
from metrics.access import validation
from metrics.access.tokens import TokenFile
from metrics.buckets import Selector
from metrics.conf import NO_PLACE, conf
from metrics.histograms import FAMILIES
from metrics.system.process_kind import is_test_run

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
        alone = conf.run_dir_is_auto and conf.run_dir is None and not is_test_run()
    except ImproperlyConfigured:
        return []
    return [CheckWarning(f"{NO_PLACE}.", id="sentinel_metrics.W010")] if alone else []


def check_run_dir_can_be_used(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn of a run directory that this user cannot use; nothing is created."""
    try:
        problem = conf.run_dir.problem() if conf.run_dir is not None else ""
    except (ImproperlyConfigured, OSError):
        return []
    if not problem:
        return []
    return [
        CheckWarning(
            f"SENTINEL_RUN_DIR: {problem}. Each process would count, probe and drain for itself.",
            hint="Name a directory that the service's user can write to, and run this check as"
            " that user.",
            id="sentinel_metrics.W011",
        )
    ]


def check_service(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a SENTINEL_SERVICE that cannot be part of a directory's name."""
    return _readable(lambda: conf.service, "sentinel_metrics.E010")


def check_names(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of a setting that begins with SENTINEL_ and that no app of ours reads."""
    known = {name for app in apps.get_app_configs() for name in getattr(app, "setting_names", ())}
    found: list[CheckMessage] = []
    for name in dir(settings):
        if name.startswith("SENTINEL_") and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            found.append(
                CheckWarning(
                    f"{name} is no setting of Sentinel",
                    hint=f"Did you mean {close[0]}?" if close else "Remove it, or rename it.",
                    id="sentinel_metrics.W012",
                )
            )
    return found


def check_enabled(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a SENTINEL_METRICS_ENABLED that is neither True nor False."""
    return _readable(lambda: conf.metrics_enabled, "sentinel_metrics.E002")


def check_history(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a SENTINEL_HISTORY that is neither True nor False."""
    return _readable(lambda: conf.history, "sentinel_metrics.E014")


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


def check_instrument(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse settings of what is measured that cannot be used."""
    return [
        *_readable(lambda: conf.instrument, "sentinel_metrics.E006"),
        *_readable(lambda: conf.buckets, "sentinel_metrics.E007"),
        *_readable(lambda: conf.requests_not_measured, "sentinel_metrics.E008"),
        *_readable(lambda: conf.labels, "sentinel_metrics.E011"),
        *_readable(lambda: conf.http_client_hosts, "sentinel_metrics.E009"),
    ]


def check_what_is_measured_is_there(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn of instruments whose library this environment lacks: they measure nothing."""
    try:
        named = conf.instrument
    except ImproperlyConfigured:
        return []
    return [
        CheckWarning(
            f"SENTINEL_INSTRUMENT names {name}, and {missing}: nothing of it is measured.",
            hint=f"{mend}, or take the name out.",
            id="sentinel_metrics.W015",
        )
        for name, module, missing, mend in (
            ("celery", "celery", "Celery is not installed", "Install it"),
            ("tasks", "django.tasks", "Django has tasks from 6.0 on", "It needs Django 6.0"),
        )
        if name in named and find_spec(module) is None
    ]


def check_requests_are_measured(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn where requests are named, and the middleware that measures them is missing.

    By default they are measured where it is, and nothing is said where it is not.
    """
    try:
        named = hasattr(settings, "SENTINEL_INSTRUMENT") and "requests" in conf.instrument
    except ImproperlyConfigured:
        return []
    if not named or _MIDDLEWARE in settings.MIDDLEWARE:
        return []
    return [
        CheckWarning(
            f"SENTINEL_INSTRUMENT names requests, and MIDDLEWARE has no {_MIDDLEWARE}: none is"
            " measured.",
            hint=f"Put {_MIDDLEWARE!r} first in MIDDLEWARE, or take the name out.",
            id="sentinel_metrics.W016",
        )
    ]


def check_django_prometheus(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Refuse its settings that cannot be used, and its own parts where ours fill its families."""
    try:
        measured = conf.instrument
    except ImproperlyConfigured:
        return []
    if "django_prometheus" not in measured:
        return []
    named = [
        *(("MIDDLEWARE", path) for path in settings.MIDDLEWARE),
        *(("DATABASES", str(each.get("ENGINE"))) for each in settings.DATABASES.values()),
        *(("CACHES", str(each.get("BACKEND"))) for each in settings.CACHES.values()),
    ]
    both = [
        (f"{setting} has {path}", "django_prometheus")
        for setting, path in named
        if path.startswith("django_prometheus.")
    ]
    if "migrations" in measured and getattr(settings, "PROMETHEUS_EXPORT_MIGRATIONS", False):
        both.append(("PROMETHEUS_EXPORT_MIGRATIONS is True", "migrations and django_prometheus"))
    return [
        *_readable(lambda: conf.django_prometheus_namespace, "sentinel_metrics.E013"),
        *_readable(lambda: conf.django_prometheus_buckets, "sentinel_metrics.E013"),
        *(
            Error(
                f"{theirs}, and SENTINEL_INSTRUMENT names {ours}: both fill the same families, so"
                " that all counts twice.",
                hint="Take django_prometheus' own part out, or the name.",
                id="sentinel_metrics.E012",
            )
            for theirs, ours in both
        ),
    ]


def check_bucket_names(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn of buckets and objectives that no histogram takes."""
    try:
        conf.require_usable()  # or an instrument cannot be loaded
    except ImproperlyConfigured:
        return []
    buckets = conf.buckets
    selectors = {
        **dict.fromkeys(buckets.bounds, "SENTINEL_BUCKETS"),
        **dict.fromkeys(buckets.objectives, "SENTINEL_OBJECTIVES"),
    }
    if not selectors:
        return []
    import_module("metrics.registry")
    for name in conf.instrument:  # that of requests is loaded by the middleware alone
        import_module(f"metrics.instrument.{name}")
    return [
        CheckWarning(text, id="sentinel_metrics.W014")
        for selector, setting in selectors.items()
        if (text := _why_nothing_takes(selector, setting))
    ]


def _why_nothing_takes(selector: Selector, setting: str) -> str:
    labels = FAMILIES.get(selector.family)
    if labels is None:
        there_are = ", ".join(sorted(FAMILIES))
        return (
            f"{setting} names {selector.family}, which is no histogram of what is measured;"
            f" there are {there_are}."
        )
    if selector.label and selector.label not in labels:
        return (
            f"{setting} names a label {selector.label} of {selector.family}, which has"
            f" {', '.join(labels)}."
        )
    return ""


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
    check_run_dir_can_be_used,
    check_names,
    check_service,
    check_enabled,
    check_history,
    check_max_series,
    check_paths,
    check_instrument,
    check_bucket_names,
    check_what_is_measured_is_there,
    check_requests_are_measured,
    check_django_prometheus,
    check_not_adopted,
    check_multiprocess_mode,
    check_middleware,
    check_urls,
)
SECURITY_CHECKS = (check_access,)

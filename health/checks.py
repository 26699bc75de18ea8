"""System checks of the health app: one a setting, each under an id of its own.

The app registers what runs `CHECKS`, so that this module, and all that it imports, is
loaded only where checks are run: a worker runs none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution
from django.core.exceptions import ImproperlyConfigured
from django.urls import get_resolver

from health.answers import error_access
from health.conf import CACHE_PREFIX, FILE, backends, conf
from health.core.policy import CRITICAL
from health.middleware import VIEWS
from health.probes import build
from metrics import endpoints


def _error_of(read: Callable[[], object], check_id: str) -> list[CheckMessage]:
    try:
        read()
    except ImproperlyConfigured as e:
        return [Error(str(e), id=f"sentinel_health.{check_id}")]
    return []


def check_backends(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    """E001: the shape of SENTINEL_BACKENDS; E002: a probe, or an option of one."""
    value = conf.backends_setting
    shape: list[CheckMessage] = [
        Error(message, id="sentinel_health.E001") for message in backends.problems(value)
    ]
    if shape:
        return shape
    return [
        error
        for c in backends.parse(value).values()
        for error in _error_of(functools.partial(build, c), "E002")
    ]


def check_doubtful_backends(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """W008: a probe that, in this place, would tell less than its name says."""
    try:
        configured = conf.backends
    except ImproperlyConfigured:
        return []  # E001 says so
    found: list[CheckMessage] = []
    for c in configured.values():
        try:
            doubts = list(build(c).doubts())
        except Exception:  # noqa: BLE001 - E002 says what cannot be made; a doubt is no more than that
            continue
        found += [
            Caution(f"{backends.SETTING}[{c.name!r}]: {doubt}", id="sentinel_health.W008")
            for doubt in doubts
        ]
    return found


def check_readiness(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    """E003: SENTINEL_READINESS names a policy that there is."""
    return _error_of(lambda: conf.readiness, "E003")


def check_health_store(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E004: SENTINEL_HEALTH_STORE is file or a cache that keeps; W009: one that is shared."""
    if wrong := _error_of(lambda: conf.health_store, "E004"):
        return wrong
    if conf.health_store == FILE:
        return []
    try:
        cache = caches[conf.health_store.removeprefix(CACHE_PREFIX)]
    except Exception as e:  # noqa: BLE001 - a cache's class raises what it likes when it is made
        return [Error(f"SENTINEL_HEALTH_STORE: {e}", id="sentinel_health.E004")]
    if isinstance(cache, DummyCache):
        return [
            Error(
                "SENTINEL_HEALTH_STORE names a DummyCache, which keeps no board",
                id="sentinel_health.E004",
            )
        ]
    if isinstance(cache, LocMemCache):
        return [
            Caution(
                "SENTINEL_HEALTH_STORE names a LocMemCache: each process has a board and a"
                " prober of its own",
                hint="Name a cache that all processes share.",
                id="sentinel_health.W009",
            )
        ]
    return []


def check_drain_seconds(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E005: SENTINEL_DRAIN_SECONDS is a number of seconds."""
    return _error_of(lambda: conf.drain_seconds, "E005")


def check_shared_failure(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E006: SENTINEL_SHARED_FAILURE is one of its two words."""
    return _error_of(lambda: conf.shared_failure, "E006")


def check_stuck_seconds(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E020: SENTINEL_STUCK_SECONDS is a number of seconds, or None."""
    return _error_of(lambda: conf.stuck_seconds, "E020")


def check_application_kinds(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E023: SENTINEL_APPLICATION_KINDS is a list of kinds of processes."""
    return _error_of(lambda: conf.application_kinds, "E023")


def check_health_urlconf(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E021: SENTINEL_HEALTH_URLCONF names a module with URL patterns."""
    if wrong := _error_of(lambda: conf.health_urlconf, "E021"):
        return wrong
    try:
        patterns = get_resolver(conf.health_urlconf).url_patterns
    except Exception as e:  # noqa: BLE001 - a module raises what it likes while it is imported
        problem = f"cannot be used: {e!r}"
    else:
        if patterns:
            return []
        problem = "has no URL patterns"
    return [
        Error(
            f"SENTINEL_HEALTH_URLCONF names {conf.health_urlconf}, which {problem}",
            hint="It is the dotted path of a module of your own that has urlpatterns.",
            id="sentinel_health.E021",
        )
    ]


def check_transition_days(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E007: SENTINEL_TRANSITION_DAYS is a number of days."""
    return _error_of(lambda: conf.transition_days, "E007")


def check_webhook(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    """E008: SENTINEL_WEBHOOK says where to, and nothing unknown."""
    return _error_of(lambda: conf.webhook, "E008")


def check_health_details(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E009: SENTINEL_HEALTH_DETAILS is written as SENTINEL_METRICS_ACCESS is."""
    return _error_of(error_access.configured, "E009")


def check_critical_backends(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """W001: with SENTINEL_READINESS = "critical" some backend should be tagged so."""
    try:
        asked = conf.readiness_name == CRITICAL and conf.backends
    except ImproperlyConfigured:
        return []  # the other checks say so
    if not asked or any(CRITICAL in c.tags for c in conf.backends.values()):
        return []
    return [
        Caution(
            'SENTINEL_READINESS is "critical", but no backend is: the service is ready whatever'
            " its backends say",
            hint=f'Add "TAGS": ["{CRITICAL}"] to a backend of {backends.SETTING}.',
            id="sentinel_health.W001",
        )
    ]


MIDDLEWARE = "health.middleware.HealthMiddleware"
ENDPOINTS = ("health", "ready", "started")
_AWAY = "would turn away a probe that calls a pod by its address, or without TLS"
_OBSTACLES = {
    "ALLOWED_HOSTS": ("W002", _AWAY),
    "SECURE_SSL_REDIRECT": ("W003", _AWAY),
    "PREPEND_WWW": ("W005", "would redirect a probe to another host"),
    "CACHE_MIDDLEWARE_ALIAS": ("W006", "names a cache that is asked before a probe is answered"),
}


def check_middleware(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """W002, W003, W005, W006: nothing before HealthMiddleware would turn a probe away."""
    try:
        paths = [path for name in ENDPOINTS for path in conf.paths[name]]
    except ImproperlyConfigured:
        return []  # the check of the metrics app says so
    return [
        Caution(
            f"{setting} {effect}",
            hint=f"Put {MIDDLEWARE!r} first in MIDDLEWARE, before {obstacle!r}.",
            id=f"sentinel_health.{check_id}",
        )
        for setting, obstacle in endpoints.obstacles(MIDDLEWARE, paths)
        for check_id, effect in [_OBSTACLES[setting]]
    ]


def check_urls(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    """W007: SENTINEL_PATHS and the project's URLs agree on where the endpoints are."""
    try:
        _paths = conf.paths
    except ImproperlyConfigured:
        return []  # the check of the metrics app says so
    if not endpoints.uses_urls(*VIEWS.values()):
        return []
    return [
        Caution(message, hint=hint, id="sentinel_health.W007")
        for name, view in VIEWS.items()
        for message, hint in endpoints.misplaced(name, view, middleware=MIDDLEWARE)
    ]


ACTIVITY = "metrics.activity.ActivityMiddleware"


def check_metrics_app(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E022: the other app is there; W004: something tells which requests are in progress."""
    if not apps.is_installed("metrics"):
        return [
            Error(
                "the processes of this service share nothing: INSTALLED_APPS lacks 'metrics'",
                hint="Put 'metrics' first in INSTALLED_APPS.",
                id="sentinel_health.E022",
            )
        ]
    if ACTIVITY in settings.MIDDLEWARE:
        return []
    return [
        Caution(
            "busy and stuck workers look idle: nothing tells which requests are in progress",
            hint=f"Put {ACTIVITY!r} near the beginning of MIDDLEWARE.",
            id="sentinel_health.W004",
        )
    ]


CHECKS = (
    check_backends,
    check_doubtful_backends,
    check_readiness,
    check_health_store,
    check_drain_seconds,
    check_shared_failure,
    check_stuck_seconds,
    check_application_kinds,
    check_health_urlconf,
    check_transition_days,
    check_webhook,
    check_health_details,
    check_critical_backends,
    check_middleware,
    check_urls,
    check_metrics_app,
)

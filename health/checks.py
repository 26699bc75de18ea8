"""System checks of the health app: one a setting, each under an id of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from health import config
from health.conf import conf
from health.probes import build


def _error_of(read: Callable[[], object], check_id: str) -> list[CheckMessage]:
    try:
        read()
    except ImproperlyConfigured as e:
        return [Error(str(e), id=f"sentinel_health.{check_id}")]
    return []


@register
def check_backends(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    """E001: the shape of SENTINEL_BACKENDS; E002: a probe, or an option of one."""
    value = getattr(settings, config.SETTING, {})
    shape: list[CheckMessage] = [
        Error(message, id="sentinel_health.E001") for message in config.problems(value)
    ]
    if shape:
        return shape
    return [
        error
        for c in config.parse(value).values()
        for error in _error_of(functools.partial(build, c), "E002")
    ]


@register
def check_readiness(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    """E003: SENTINEL_READINESS names a policy that there is."""
    return _error_of(lambda: conf.readiness, "E003")


@register
def check_health_store(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E004: SENTINEL_HEALTH_STORE is file or a cache that there is."""
    return _error_of(lambda: conf.health_store, "E004")


@register
def check_drain_seconds(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E005: SENTINEL_DRAIN_SECONDS is a number of seconds."""
    return _error_of(lambda: conf.drain_seconds, "E005")


@register
def check_shared_failure(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E006: SENTINEL_SHARED_FAILURE is one of its two words."""
    return _error_of(lambda: conf.shared_failure, "E006")


@register
def check_stuck_seconds(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E020: SENTINEL_STUCK_SECONDS is a number of seconds, or None."""
    return _error_of(lambda: conf.stuck_seconds, "E020")


@register
def check_health_urlconf(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """E021: SENTINEL_HEALTH_URLCONF names a module."""
    return _error_of(lambda: conf.health_urlconf, "E021")

"""Makes a probe from a dotted path, or any callable, and its options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from health.config import SETTING, BackendConfig
from health.probes.base import Probe
from health.probes.functions import CallableProbe, HealthCheckProbe, is_health_check

P = TypeVar("P")


def build(backend: BackendConfig) -> Probe:
    """Return the probe of ``backend``.

    A `Probe` class is made with the options; a check of django-health-check and any
    other callable are wrapped. Raises ImproperlyConfigured, which names the key.
    """
    path = f"{SETTING}[{backend.name!r}]"
    target: Any = backend.probe
    if isinstance(target, str):
        try:
            target = import_string(target)
        except ImportError as e:
            raise ImproperlyConfigured(f"{path}['PROBE'] cannot be imported: {e}") from e
    if not callable(target):
        raise ImproperlyConfigured(f"{path}['PROBE'] names {backend.probe}, which is no probe")
    if isinstance(target, type) and issubclass(target, Probe):
        return _make(target, backend.options, path)
    if is_health_check(target):
        _make(target, backend.options, path)
        return HealthCheckProbe(target, dict(backend.options))
    return CallableProbe(target, dict(backend.options))


def _make(cls: Callable[..., P], options: Mapping[str, Any], path: str) -> P:
    known = [f.name for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]
    for key in options:
        if key not in known:
            raise ImproperlyConfigured(
                f"{path}['OPTIONS'][{key!r}] is no option of {cls.__name__};"
                f" there are {', '.join(known) or 'none'}"
            )
    try:
        return cls(**options)
    except (TypeError, ValueError, ImproperlyConfigured) as e:
        raise ImproperlyConfigured(f"{path}['OPTIONS']: {e}") from e

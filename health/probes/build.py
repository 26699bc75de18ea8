"""Makes a probe from a dotted path, or any callable, and its options."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from health.conf.backends import SETTING, BackendConfig
from health.probes.base import Probe
from health.probes.functions import CallableProbe, HealthCheckProbe, is_health_check
from health.probes.options import problem_of_call, problems
from health.redact import redact, secrets_in

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
        except Exception as e:  # a module raises what it likes while it is imported
            said = str(e) if isinstance(e, ImportError) else f"{type(e).__name__}: {e}"
            raise ImproperlyConfigured(f"{path}['PROBE'] cannot be imported: {said}") from e
    if not callable(target) or inspect.isabstract(target):
        raise ImproperlyConfigured(f"{path}['PROBE'] names {backend.probe}, which is no probe")
    if isinstance(target, type) and issubclass(target, Probe):
        return _make(target, backend.options, path)
    if is_health_check(target):
        _make(target, backend.options, path)
        return HealthCheckProbe(target, dict(backend.options))
    if isinstance(target, type):  # to make one raises nothing, so it would always be well
        raise ImproperlyConfigured(
            f"{path}['PROBE'] is the class {target.__qualname__}, which is neither derived from"
            " health.probes.Probe nor a check of django-health-check 4"
        )
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise ImproperlyConfigured(
            f"{path}['PROBE'] is a generator: to call it runs nothing, so it would always be well"
        )
    if (wrong := problem_of_call(target, backend.options)) is not None:
        raise ImproperlyConfigured(f"{path}['OPTIONS'] does not fit the callable: {wrong}")
    return CallableProbe(target, dict(backend.options))


def _make(cls: type[P], options: Mapping[str, Any], path: str) -> P:
    for key, wrong in problems(cls, options, by_type=issubclass(cls, Probe)):
        raise ImproperlyConfigured(f"{path}['OPTIONS'][{key!r}] {wrong}")
    try:
        return cls(**options)
    except Exception as e:
        said = redact(str(e), secrets_in(cls, options))
        raise ImproperlyConfigured(f"{path}['OPTIONS']: {said}") from e

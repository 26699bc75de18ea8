"""Measures what a service asks of its file storages, whatever their BACKEND.

OpenTelemetry has no conventions for storages: the names follow those for databases. The label
``alias`` is Django's, ``operation`` the name of the storage's method.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from django.core.files.storage import Storage, StorageHandler, storages

from metrics.instrument.bounds import FirstOnes
from metrics.instrument.durations import Observe, error_type, observer, seconds_histogram
from metrics.instrument.outermost import Method, measure, measure_all, outermost

BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NAME = "django_storage_operation_duration_seconds"
DURATION = seconds_histogram(
    NAME,
    "Duration of operations of a file storage in seconds",
    ["alias", "operation", "error_type"],
    BUCKETS,
)
OPERATIONS = (
    "delete",
    "exists",
    "get_accessed_time",
    "get_created_time",
    "get_modified_time",
    "listdir",
    "open",
    "save",
    "size",
)
"""The methods that ask the storage. ``url`` and ``path`` make a text of a name."""

MOST_CLASSES = 100
"""How many classes of storages that have no alias are told apart."""

_inside: ContextVar[bool] = ContextVar("sentinel_inside_storage", default=False)
_class_name = FirstOnes(MOST_CLASSES)
_observers: dict[tuple[str, str], Observe] = {}


def install() -> None:
    """Measure the storages of this process, those that are made already included."""
    measure_all(Storage, OPERATIONS, _measured)
    create = StorageHandler.create_storage
    if hasattr(create, "__wrapped__"):
        return
    StorageHandler.create_storage = _measuring(create)  # type: ignore[method-assign]
    for storage in tuple(_made().values()):
        measure(type(storage), OPERATIONS, _measured)


def _measuring(create: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``create_storage`` that measures storages which do not derive from Django's."""

    @functools.wraps(create)
    def measuring(self: StorageHandler, params: Any) -> Any:
        storage = create(self, params)
        measure(type(storage), OPERATIONS, _measured)
        return storage

    return measuring


def _measured(method: Method, operation: str) -> Method:
    def note(storage: Any, seconds: float, result: Any, error: BaseException | None) -> None:
        alias = _alias(storage)
        if error is not None:
            DURATION.labels(alias, operation, error_type(error)).observe(seconds)
            return
        try:
            observe = _observers[alias, operation]
        except KeyError:
            observe = _observers[alias, operation] = observer(DURATION, alias, operation, "")
        observe(seconds)

    return outermost(method, _inside, note)


def _alias(storage: Any) -> str:
    """Return a storage's name in STORAGES, or its class, if it is not made there."""
    for alias, made in tuple(_made().items()):
        if made is storage or getattr(made, "_wrapped", None) is storage:
            return alias
    cls = type(storage)
    return _class_name(f"{cls.__module__}.{cls.__qualname__}")


def _made() -> Mapping[str, Any]:
    """Return the storages of STORAGES that are made, by alias."""
    made: Mapping[str, Any] = storages._storages  # type: ignore[attr-defined]
    return made

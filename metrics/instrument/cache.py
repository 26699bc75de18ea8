"""Measures what a service asks of its caches, whatever their BACKEND.

There is no convention for caches among OpenTelemetry's: the names follow those for
databases. The label ``alias`` is Django's, ``operation`` the name of the cache's method.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from django.core.cache import CacheHandler, caches
from django.core.cache.backends.base import BaseCache
from prometheus_client import Counter

from metrics.instrument.durations import Observe, error_type, observer, seconds_histogram
from metrics.registries import REGISTRY

logger = logging.getLogger(__name__)

BUCKETS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
NAME = "cache_client_operation_duration_seconds"
DURATION = seconds_histogram(
    NAME,
    "Duration of cache operations in seconds",
    ["alias", "operation", "error_type"],
    BUCKETS,
)
HITS = Counter(
    "cache_client_hits_total",
    "Total number of keys that a cache had",
    ["alias"],
    registry=REGISTRY,
)
MISSES = Counter(
    "cache_client_misses_total",
    "Total number of keys that a cache did not have",
    ["alias"],
    registry=REGISTRY,
)

OPERATIONS = (
    "add",
    "clear",
    "decr",
    "delete",
    "delete_many",
    "get",
    "get_many",
    "has_key",
    "incr",
    "set",
    "set_many",
    "touch",
)
_ABSENT = object()
_MARK = "_sentinel_is_measured"

Method = Callable[..., Any]


_classes: dict[tuple[type[BaseCache], str], type[BaseCache]] = {}


def install() -> None:
    """Measure the caches of this process, those that this thread has made already included."""
    if getattr(CacheHandler.create_connection, _MARK, False):
        return
    create = CacheHandler.create_connection

    @functools.wraps(create)
    def measured(self: CacheHandler, alias: str) -> BaseCache:
        cache = create(self, alias)
        measure(cache, alias)
        return cache

    setattr(measured, _MARK, True)
    CacheHandler.create_connection = measured  # type: ignore[method-assign]
    for alias in caches:
        cache = getattr(caches._connections, alias, None)  # type: ignore[attr-defined]
        if cache is not None:
            measure(cache, alias)


def measure(cache: BaseCache, alias: str) -> None:
    """Measure the operations of one cache, which becomes one of a subclass of its class.

    Django makes a cache object for each thread, and under ASGI for each request: this must
    cost little, and leave no reference from the object to itself. For the same reason it is
    the object that knows whether it is inside an operation: one that uses others is one.
    """
    cls = type(cache)
    if getattr(cls, _MARK, False):
        return
    try:
        measured = _classes[cls, alias]
    except KeyError:
        measured = _classes[cls, alias] = _subclass(cls, alias)
    try:
        cache.__class__ = measured
    except TypeError:  # an object whose memory is laid out by a class in C
        logger.warning("cache %s is not measured: %s allows no subclass", alias, cls)


def _subclass(cls: type[BaseCache], alias: str) -> type[BaseCache]:
    """Return a subclass that looks like ``cls``, and measures its operations."""
    names: dict[str, Any] = {
        "__doc__": cls.__doc__,
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        _MARK: True,
        "sentinel_is_inside": False,
    }
    for name in OPERATIONS:
        method = getattr(cls, name)
        make = _MEASURES.get(name, _measured)
        names[name] = functools.wraps(method)(make(method, alias, name))
        native = getattr(cls, f"a{name}", None)
        if native not in (None, getattr(BaseCache, f"a{name}", None)):  # not by way of a thread
            wrapped = _measured_async(native, alias, name)
            names[f"a{name}"] = functools.wraps(native)(wrapped)
    return type(cls.__name__, (cls,), names)


def _measured(method: Method, alias: str, operation: str) -> Method:
    observe: Observe | None = None

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal observe
        if self.sentinel_is_inside:
            return method(self, *args, **kwargs)
        self.sentinel_is_inside = True
        began = perf_counter()
        try:
            result = method(self, *args, **kwargs)
        except BaseException as e:
            _failed(alias, operation, e, perf_counter() - began)
            raise
        finally:
            self.sentinel_is_inside = False
        if observe is None:  # its series begins with the first call
            observe = observer(DURATION, alias, operation, "")
        observe(perf_counter() - began)
        return result

    return call


def _failed(alias: str, operation: str, error: BaseException, seconds: float) -> None:
    DURATION.labels(alias, operation, error_type(error)).observe(seconds)


def _measured_get(method: Method, alias: str, operation: str) -> Method:
    if len(inspect.signature(method).parameters) != 4:
        return _measured_get_with_more(method, alias, operation)
    hit = observer(DURATION, alias, operation, "", and_count=HITS.labels(alias))
    miss = observer(DURATION, alias, operation, "", and_count=MISSES.labels(alias))

    def get(self: Any, key: Any, default: Any = None, version: Any = None) -> Any:
        if self.sentinel_is_inside:
            return method(self, key, default, version)
        self.sentinel_is_inside = True
        began = perf_counter()
        try:
            result = method(self, key, _ABSENT, version)
        except BaseException as e:
            _failed(alias, operation, e, perf_counter() - began)
            raise
        finally:
            self.sentinel_is_inside = False
        if result is _ABSENT:
            miss(perf_counter() - began)
            return default
        hit(perf_counter() - began)
        return result

    return get


def _measured_get_with_more(method: Method, alias: str, operation: str) -> Method:
    """Measure a ``get`` that takes more than Django's does; it is a little slower."""
    measured = _measured(method, alias, operation)
    hits, misses = HITS.labels(alias), MISSES.labels(alias)

    def get(self: Any, key: Any, default: Any = None, version: Any = None, **more: Any) -> Any:
        if self.sentinel_is_inside:
            return method(self, key, default, version, **more)
        result = measured(self, key, _ABSENT, version, **more)
        (misses if result is _ABSENT else hits).inc()
        return default if result is _ABSENT else result

    return get


def _measured_get_many(method: Method, alias: str, operation: str) -> Method:
    measured = _measured(method, alias, operation)
    hits, misses = HITS.labels(alias), MISSES.labels(alias)

    def get_many(self: Any, keys: Any, *args: Any, **kwargs: Any) -> Any:
        if self.sentinel_is_inside:
            return method(self, keys, *args, **kwargs)
        keys = list(keys)
        found: Mapping[Any, Any] = measured(self, keys, *args, **kwargs)
        hits.inc(len(found))
        misses.inc(max(0, len(keys) - len(found)))
        return found

    return get_many


_MEASURES = {"get": _measured_get, "get_many": _measured_get_many}


def _measured_async(method: Method, alias: str, operation: str) -> Method:
    """Measure a coroutine that a backend has of its own; keys that were found are not counted."""
    observe: Observe | None = None

    async def call(self: BaseCache, *args: Any, **kwargs: Any) -> Any:
        nonlocal observe
        began = perf_counter()
        try:
            result = await method(self, *args, **kwargs)
        except BaseException as e:
            _failed(alias, operation, e, perf_counter() - began)
            raise
        if observe is None:
            observe = observer(DURATION, alias, operation, "")
        observe(perf_counter() - began)
        return result

    return call

"""Measures what a service asks of its caches, whatever their BACKEND.

There is no convention for caches among OpenTelemetry's: the names follow those for
databases. The label ``alias`` is Django's, ``operation`` the name of the cache's method.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar, Token
from time import perf_counter
from typing import Any

from django.core.cache import CacheHandler, caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from prometheus_client import Counter

from metrics.instrument.durations import Observe, error_type, observer, seconds_histogram
from metrics.instrument.lookalikes import LookAlikes, Method, method_of
from metrics.registries import REGISTRY

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
    "decr_version",
    "delete",
    "delete_many",
    "get",
    "get_many",
    "get_or_set",
    "has_key",
    "incr",
    "incr_version",
    "set",
    "set_many",
    "touch",
)
_MARK = "_sentinel_is_measured"

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


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
    cost little, and leave no reference from the object to itself.
    """
    _look_alikes.turn(cache, alias)


class _Operation:
    """An operation that runs: what it calls of the same cache is part of it."""

    __slots__ = ()

    def has(self, operation: str, args: Args, kwargs: Kwargs) -> bool:
        """Whether a call of ``operation`` is part of this one."""
        return True


class _GetOrSet(_Operation):
    """A get_or_set: what it calls about its own key is part of it, and a write means a miss.

    About other keys it is its default that calls, which is the caller's.
    """

    __slots__ = ("_key", "missed")

    def __init__(self, args: Args, kwargs: Kwargs) -> None:
        self._key = _first("key", args, kwargs)
        self.missed = False

    def has(self, operation: str, args: Args, kwargs: Kwargs) -> bool:
        """Whether a call of ``operation`` is part of this one."""
        if _first("key", args, kwargs) is not self._key:
            return False
        self.missed = self.missed or operation in ("add", "set")
        return True


def _first(name: str, args: Args, kwargs: Kwargs) -> Any:
    return args[0] if args else kwargs.get(name)


Inside = ContextVar[_Operation | None]
"""The operation of one cache that this thread, or task, is in; it goes along into a thread."""

Note = Callable[[float, Args, Kwargs, Any, _Operation], None]
"""Takes the seconds, the arguments and the result of an operation, and itself."""

_ANY = _Operation()


def _methods(cls: type, alias: str) -> dict[str, Method]:
    """Return methods that measure, for those operations that the class has."""
    inside: Inside = ContextVar(f"sentinel_cache_{alias}", default=None)
    methods: dict[str, Method] = {}
    for operation in OPERATIONS:
        note = _NOTES.get(operation, _timed)(alias, operation)
        for name, measured in ((operation, _measured), (f"a{operation}", _measured_async)):
            if (method := method_of(cls, name)) is not None:
                methods[name] = measured(method, alias, operation, inside, note)
    if method_of(cls, "get") is LocMemCache.get:
        methods["get"] = _measured_get(LocMemCache.get, alias, inside)
    return methods


def _measured(method: Method, alias: str, operation: str, inside: Inside, note: Note) -> Method:
    begin = _BEGINNINGS.get(operation)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        outer = inside.get()
        if outer is not None and outer.has(operation, args, kwargs):
            token = inside.set(_ANY)  # whatever this uses is part of it
            try:
                return method(self, *args, **kwargs)
            finally:
                inside.reset(token)
        running = _ANY
        if begin is not None:
            running, args, kwargs = begin(args, kwargs)
        token = inside.set(running)
        began = perf_counter()
        try:
            result = method(self, *args, **kwargs)
        except BaseException as e:
            _failed(alias, operation, e, perf_counter() - began)
            raise
        finally:
            inside.reset(token)
        note(perf_counter() - began, args, kwargs, result, running)
        return result

    return call


def _measured_get(method: Method, alias: str, inside: Inside) -> Method:
    """Do as `_measured` with the ``get`` of memory, which takes no longer than to measure it.

    It uses no other operation, and so need not say that it runs.
    """
    hit, miss = _hit_and_miss(alias, "get")

    def get(self: Any, key: Any, default: Any = None, version: Any = None) -> Any:
        outer = inside.get()
        if outer is not None and outer.has("get", (key,), {}):
            return method(self, key, default, version)
        began = perf_counter()
        try:
            result = method(self, key, default, version)
        except BaseException as e:
            _failed(alias, "get", e, perf_counter() - began)
            raise
        (miss if result is default else hit)(perf_counter() - began)
        return result

    return get


def _measured_async(
    method: Method, alias: str, operation: str, inside: Inside, note: Note
) -> Method:
    """Do as `_measured` with a coroutine; where it goes to a thread its context goes along."""
    begin = _BEGINNINGS.get(operation)

    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        outer = inside.get()
        if outer is not None and outer.has(operation, args, kwargs):
            token = inside.set(_ANY)
            try:
                return await method(self, *args, **kwargs)
            finally:
                _leave(inside, token)
        running = _ANY
        if begin is not None:
            running, args, kwargs = begin(args, kwargs)
        token = inside.set(running)
        began = perf_counter()
        try:
            result = await method(self, *args, **kwargs)
        except BaseException as e:
            _failed(alias, operation, e, perf_counter() - began)
            raise
        finally:
            _leave(inside, token)
        note(perf_counter() - began, args, kwargs, result, running)
        return result

    return call


def _leave(inside: Inside, token: Token[_Operation | None]) -> None:
    with suppress(ValueError):  # the coroutine is thrown away, in another context
        inside.reset(token)


def _failed(alias: str, operation: str, error: BaseException, seconds: float) -> None:
    DURATION.labels(alias, operation, error_type(error)).observe(seconds)


def _begin_get_or_set(args: Args, kwargs: Kwargs) -> tuple[_Operation, Args, Kwargs]:
    return _GetOrSet(args, kwargs), args, kwargs


def _begin_get_many(args: Args, kwargs: Kwargs) -> tuple[_Operation, Args, Kwargs]:
    """Keep the keys, which are counted in the end: an iterator gives them only once."""
    keys = _first("keys", args, kwargs)
    if isinstance(keys, Iterator):
        if args:
            args = (list(keys), *args[1:])
        else:
            kwargs = {**kwargs, "keys": list(keys)}
    return _ANY, args, kwargs


_BEGINNINGS = {"get_many": _begin_get_many, "get_or_set": _begin_get_or_set}


def _timed(alias: str, operation: str) -> Note:
    observe: Observe | None = None

    def note(seconds: float, *about: Any) -> None:
        nonlocal observe
        if observe is None:  # its series begins with the first call
            observe = observer(DURATION, alias, operation, "")
        observe(seconds)

    return note


def _hit_and_miss(alias: str, operation: str) -> tuple[Observe, Observe]:
    hits, misses = HITS.labels(alias), MISSES.labels(alias)
    return (
        observer(DURATION, alias, operation, "", and_count=hits),
        observer(DURATION, alias, operation, "", and_count=misses),
    )


def _noting_get(alias: str, operation: str) -> Note:
    hit, miss = _hit_and_miss(alias, operation)

    def note(seconds: float, args: Args, kwargs: Kwargs, result: Any, of: _Operation) -> None:
        default = args[1] if len(args) > 1 else kwargs.get("default")
        (miss if result is default else hit)(seconds)

    return note


def _noting_get_or_set(alias: str, operation: str) -> Note:
    ends: tuple[Observe, Observe] | None = None

    def note(seconds: float, args: Args, kwargs: Kwargs, result: Any, of: Any) -> None:
        nonlocal ends
        if ends is None:
            ends = _hit_and_miss(alias, operation)
        ends[of.missed](seconds)

    return note


def _noting_get_many(alias: str, operation: str) -> Note:
    timed = _timed(alias, operation)
    hits, misses = HITS.labels(alias), MISSES.labels(alias)

    def note(seconds: float, args: Args, kwargs: Kwargs, result: Any, of: _Operation) -> None:
        timed(seconds, args, kwargs, result, of)
        try:
            found, asked = len(result), len(set(_first("keys", args, kwargs)))
        except TypeError:  # it is not Django's get_many
            return
        hits.inc(found)
        misses.inc(max(0, asked - found))

    return note


_NOTES = {"get": _noting_get, "get_many": _noting_get_many, "get_or_set": _noting_get_or_set}
_look_alikes = LookAlikes(_methods, "cache", "measured")

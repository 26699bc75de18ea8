"""The decorator that records each call of a function as that of a tool."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from time import perf_counter
from types import CoroutineType
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.http.response import HttpResponseBase

from metrics.registry import METRICS
from metrics.system.forks import is_the_parents
from metrics.tool_calls import Recorder, Status, record, status_of, status_of_answer

Function = TypeVar("Function", bound=Callable[..., Any])

_SUCCESS = Status.SUCCESS


def tool(name: str, *, metrics: Recorder = METRICS) -> Callable[[Function], Function]:
    """Record each call of the decorated function as one of the tool ``name``.

    A function, a coroutine function, a generator of either kind, or a view. A call that
    returns has succeeded, one that raises ended as `metrics.tool_calls.status_of` says of
    the exception, and a view's answer counts by its status. A generator's call lasts until
    it is exhausted, closed or dropped; one that is never begun is none. A function that
    returns a coroutine is taken for a coroutine function.

    Raises TypeError without a name, as in ``@tool`` without parentheses.
    """
    if not isinstance(name, str):
        raise TypeError(f"a tool needs a name: @tool('search'), not {name!r}")

    def decorate(function: Function) -> Function:
        wrapper: Callable[..., Any]
        if inspect.isasyncgenfunction(function):

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return _AsyncGenerator(function(*args, **kwargs), name, metrics)

        elif inspect.isgeneratorfunction(function):
            wrapper = _generator(function, name, metrics)
        elif iscoroutinefunction(function):
            wrapper = _coroutine(function, name, metrics)
        else:
            wrapper = _function(function, name, metrics)
        return cast(Function, functools.wraps(function)(wrapper))

    return decorate


def _end(metrics: Recorder, name: str, result: object, seconds: float) -> None:
    if isinstance(result, HttpResponseBase):
        record(metrics, name, status_of_answer(result.status_code), seconds)
    else:
        metrics.record_request(name, _SUCCESS, seconds)


def _raised(metrics: Recorder, name: str, error: BaseException, began: float) -> None:
    if not is_the_parents(began):
        record(metrics, name, status_of(error), perf_counter() - began)


def _function(function: Callable[..., Any], name: str, metrics: Recorder) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        try:
            result = function(*args, **kwargs)
        except BaseException as e:
            _raised(metrics, name, e, began)
            raise
        if isinstance(result, CoroutineType):  # of a decorator that is not asynchronous itself
            awaited = _coroutine(lambda: result, name, metrics)
            awaited.__name__, awaited.__qualname__ = result.__name__, result.__qualname__
            return awaited()
        _end(metrics, name, result, perf_counter() - began)
        return result

    return call


def _coroutine(function: Callable[..., Any], name: str, metrics: Recorder) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        try:
            result = await function(*args, **kwargs)
        except BaseException as e:
            _raised(metrics, name, e, began)
            raise
        _end(metrics, name, result, perf_counter() - began)
        return result

    return call


def _generator(function: Callable[..., Any], name: str, metrics: Recorder) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        try:
            result = yield from function(*args, **kwargs)
        except BaseException as e:
            _raised(metrics, name, e, began)
            raise
        metrics.record_request(name, _SUCCESS, perf_counter() - began)
        return result

    return call


class _AsyncGenerator(AsyncGenerator[Any, Any]):
    """An asynchronous generator that is recorded when it ends."""

    def __init__(self, parts: AsyncGenerator[Any, Any], name: str, metrics: Recorder) -> None:
        self._parts = parts
        self._name = name
        self._metrics = metrics
        self._began = 0.0

    async def asend(self, value: Any) -> Any:
        self._began = self._began or perf_counter()
        return await self._step(self._parts.asend(value))

    async def athrow(self, *error: Any) -> Any:
        return await self._step(self._parts.athrow(*error))

    async def aclose(self) -> None:
        await self._step(self._parts.aclose())
        self._end(Status.KILLED)

    async def _step(self, step: Awaitable[Any]) -> Any:
        try:
            return await step
        except StopAsyncIteration:
            self._end(_SUCCESS)
            raise
        except BaseException as e:
            self._end(status_of(e))
            raise

    def _end(self, status: Status) -> None:
        name, self._name = self._name, ""  # what is asked of it after its end is no call
        if name and self._began and not is_the_parents(self._began):
            record(self._metrics, name, status, perf_counter() - self._began)

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_finalizing():
            self._end(Status.KILLED)

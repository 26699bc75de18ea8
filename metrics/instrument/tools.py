"""The decorator that records each call of a function as that of a tool."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from time import perf_counter
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.http.response import HttpResponseBase

from metrics.registry import METRICS
from metrics.tool_calls import Recorder, Status, record, status_of, status_of_answer

Function = TypeVar("Function", bound=Callable[..., Any])

_SUCCESS = Status.SUCCESS


def tool(name: str, *, metrics: Recorder = METRICS) -> Callable[[Function], Function]:
    """Record each call of the decorated function as one of the tool ``name``.

    A function, a coroutine function, a generator of either kind, or a view. A call that
    returns has succeeded, one that raises ended as `metrics.tool_calls.status_of` says of
    the exception, and a view's answer counts by its status. A generator's call lasts until
    it is exhausted or closed.

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


def _function(function: Callable[..., Any], name: str, metrics: Recorder) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        try:
            result = function(*args, **kwargs)
        except BaseException as e:
            record(metrics, name, status_of(e), perf_counter() - began)
            raise
        _end(metrics, name, result, perf_counter() - began)
        return result

    return call


def _coroutine(function: Callable[..., Any], name: str, metrics: Recorder) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        try:
            result = await function(*args, **kwargs)
        except BaseException as e:
            record(metrics, name, status_of(e), perf_counter() - began)
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
            record(metrics, name, status_of(e), perf_counter() - began)
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
        return await self._ending(self._parts.asend(value))

    async def athrow(self, *error: Any) -> Any:
        return await self._ending(self._parts.athrow(*error))

    async def _ending(self, step: Awaitable[Any]) -> Any:
        self._began = self._began or perf_counter()
        try:
            return await step
        except StopAsyncIteration:
            self._end(_SUCCESS)
            raise
        except BaseException as e:
            self._end(status_of(e))
            raise

    def _end(self, status: Status) -> None:
        if self._name:
            record(self._metrics, self._name, status, perf_counter() - self._began)
            self._name = ""  # what is asked of it after its end is no call

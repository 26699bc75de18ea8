"""Tool calls: by a decorator, and by ``with``."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django_ratelimit.decorators import ratelimit
from django_ratelimit.exceptions import Ratelimited
from pybreaker import CircuitBreaker, CircuitBreakerError

from metrics import instrument
from metrics.registry import METRICS, Metrics, Status
from metrics.tool_calls import status_of
from tests.metrics.instrument.figures import Figures


@pytest.fixture
def metrics() -> Metrics:
    """Return families of this test's own."""
    return Metrics()


def counted(metrics: Metrics) -> dict[str, float]:
    """Return the calls of the tool ``t`` by status."""
    rows = Figures("sentinel_requests_total", metrics.registry)._read()
    return {dict(labels)["status"]: n for labels, n in rows.items() if dict(labels)["tool"] == "t"}


EXCEPTIONS = [
    (instrument.RateLimited("slow down", retry_after=3), Status.RATE_LIMITED),
    (instrument.Denied(), Status.DENIED),
    (instrument.CircuitOpen(), Status.CIRCUIT_OPEN),
    (instrument.InvalidArguments(), Status.INVALID_ARGS),
    (instrument.Killed(), Status.KILLED),
    (TimeoutError(), Status.KILLED),
    (asyncio.CancelledError(), Status.KILLED),
    (SystemExit(), Status.KILLED),
    (PermissionDenied(), Status.DENIED),
    (ValidationError("no"), Status.INVALID_ARGS),
    (ValueError(), Status.ERROR),
    (KeyError(), Status.ERROR),
]


@pytest.mark.parametrize(("error", "status"), EXCEPTIONS, ids=lambda value: type(value).__name__)
def test_an_exception_tells_the_status(
    metrics: Metrics, error: BaseException, status: Status
) -> None:
    """It passes unchanged, whatever is decorated."""

    @instrument.tool("t", metrics=metrics)
    def function() -> None:
        raise error

    @instrument.tool("t", metrics=metrics)
    async def coroutine() -> None:
        raise error

    @instrument.tool("t", metrics=metrics)
    def generator() -> Iterator[int]:
        yield 1
        raise error

    @instrument.tool("t", metrics=metrics)
    async def async_generator() -> AsyncIterator[int]:
        yield 1
        raise error

    async def collect() -> None:
        async for _ in async_generator():
            pass

    for call in (
        function,
        lambda: coroutine().send(None),
        lambda: list(generator()),
        lambda: collect().send(None),
    ):
        with pytest.raises(type(error)) as raised:
            call()
        assert raised.value is error
    with pytest.raises(type(error)), metrics.track("t"):
        raise error
    assert counted(metrics) == {str(status): 5}
    hits = metrics.registry.get_sample_value("sentinel_rate_limit_hits_total", {"tool": "t"})
    assert hits == (5 if status is Status.RATE_LIMITED else None)


def test_a_call_that_returns_has_succeeded(metrics: Metrics) -> None:
    """With what it returns, as the kind of function that it was."""

    @instrument.tool("t", metrics=metrics)
    def function(a: int, *, b: int) -> int:
        """Say it."""
        return a + b

    @instrument.tool("t", metrics=metrics)
    async def coroutine(a: int) -> int:
        await asyncio.sleep(0)
        return a

    @instrument.tool("t", metrics=metrics)
    def generator() -> Generator[int, int, int]:
        got = yield 1
        yield got
        return 3

    @instrument.tool("t", metrics=metrics)
    async def async_generator() -> Any:
        got = yield 1
        yield got

    async def send() -> list[int]:
        parts = async_generator()
        first = [await anext(parts), await parts.asend(7)]
        return first + [part async for part in parts]

    assert function(1, b=2) == 3
    assert function.__doc__ == "Say it."
    assert iscoroutinefunction(coroutine)
    assert asyncio.run(coroutine(4)) == 4
    assert inspect.isgeneratorfunction(generator)
    parts: Any = generator()
    assert [next(parts), parts.send(5)] == [1, 5]
    assert counted(metrics) == {"success": 2}
    assert list(parts) == []
    assert asyncio.run(send()) == [1, 7]
    assert counted(metrics) == {"success": 4}


def generators_of_one(metrics: Metrics) -> tuple[Any, Any]:
    """Return a generator and an asynchronous one, each of one part, that are calls of tools."""

    @instrument.tool("t", metrics=metrics)
    def generator() -> Iterator[int]:
        yield 1

    @instrument.tool("t", metrics=metrics)
    async def async_generator() -> Any:
        yield 1

    return generator, async_generator


def test_a_generator_that_is_left(metrics: Metrics) -> None:
    """Its call was given up before its end."""
    generator, async_generator = generators_of_one(metrics)

    async def leave() -> None:
        parts = async_generator()
        await anext(parts)
        await parts.aclose()

    parts: Any = generator()
    next(parts)
    parts.close()
    asyncio.run(leave())
    assert counted(metrics) == {"killed": 2}


def test_a_generator_that_is_dropped(metrics: Metrics) -> None:
    """So was this one's: by a loop that ends early, and by a task that is cancelled in between."""

    @instrument.tool("t", metrics=metrics)
    def generator() -> Iterator[int]:
        yield from range(3)

    @instrument.tool("t", metrics=metrics)
    async def async_generator() -> Any:
        for number in range(3):
            yield number

    for _ in generator():
        break
    assert counted(metrics) == {"killed": 1}

    async def leave() -> None:
        async for _ in async_generator():
            break
        assert counted(metrics) == {"killed": 2}

    async def wait(begun: asyncio.Event) -> None:
        async for _ in async_generator():
            begun.set()
            await asyncio.sleep(3600)

    async def cancel() -> None:
        begun = asyncio.Event()
        task = asyncio.ensure_future(wait(begun))
        await begun.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    asyncio.run(cancel())
    gc.collect()
    assert counted(metrics) == {"killed": 3}


def test_a_generator_that_is_never_begun(metrics: Metrics) -> None:
    """Nothing was called: closing it, throwing into it and dropping it record nothing."""
    generator, async_generator = generators_of_one(metrics)

    async def leave() -> None:
        async_generator()
        parts = async_generator()
        await parts.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(parts)
        with pytest.raises(LookupError):
            await async_generator().athrow(LookupError())

    generator()
    parts: Any = generator()
    parts.close()
    with pytest.raises(LookupError):
        generator().throw(LookupError())
    asyncio.run(leave())
    assert counted(metrics) == {}


def test_closing_a_generator_ends_it_once(metrics: Metrics) -> None:
    """Whatever it does with that; one that has ended before stays what it was."""

    @instrument.tool("t", metrics=metrics)
    async def swallows() -> Any:
        with contextlib.suppress(GeneratorExit):
            yield 1

    @instrument.tool("t", metrics=metrics)
    async def raises() -> Any:
        try:
            yield 1
        finally:
            raise LookupError

    async def leave() -> None:
        parts = swallows()
        await anext(parts)
        await parts.aclose()
        await parts.aclose()
        assert counted(metrics) == {"killed": 1}
        parts = raises()
        await anext(parts)
        with pytest.raises(LookupError):
            await parts.aclose()
        assert counted(metrics) == {"killed": 1, "error": 1}
        parts = swallows()
        assert [part async for part in parts] == [1]
        await parts.aclose()

    asyncio.run(leave())
    assert counted(metrics) == {"killed": 1, "error": 1, "success": 1}


def test_a_decorator_that_is_not_asynchronous_itself(metrics: Metrics) -> None:
    """The coroutine that it returns is the call, which begins and ends where it is awaited."""

    def plain(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    @instrument.tool("t", metrics=metrics)
    @plain
    async def divide(number: int) -> float:
        await asyncio.sleep(0)
        return 1 / number

    @instrument.tool("t", metrics=metrics)
    @plain
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=429)

    async def call() -> None:
        coroutine = divide(2)
        assert (inspect.iscoroutine(coroutine), coroutine.__name__) == (True, "divide")
        assert counted(metrics) == {}
        assert await coroutine == 0.5
        assert counted(metrics) == {"success": 1}
        with pytest.raises(ZeroDivisionError):
            await divide(0)
        await view(HttpRequest())

    asyncio.run(call())
    assert counted(metrics) == {"success": 1, "error": 1, "rate_limited": 1}


def test_a_child_that_leaves_through_a_call(metrics: Metrics) -> None:
    """Each call ends in the process in which it began, and nowhere else."""

    @instrument.tool("t", metrics=metrics)
    def generator() -> Iterator[int]:
        yield 1
        if os.fork() == 0:
            raise SystemExit

    @instrument.tool("t", metrics=metrics)
    async def async_generator() -> Any:
        for one in generator():
            yield one

    @instrument.tool("t", metrics=metrics)
    async def collect() -> None:
        async for _ in async_generator():
            pass

    @instrument.tool("t", metrics=metrics)
    def call() -> None:
        with metrics.track("t"):
            asyncio.run(collect())

    read, write = os.pipe()
    parent = os.getpid()
    try:
        call()
    except SystemExit:
        os.write(write, str(counted(metrics)).encode())
    finally:
        if os.getpid() != parent:
            os._exit(0)
    os.wait()
    assert os.read(read, 1000).decode() == "{}"
    assert counted(metrics) == {"success": 5}
    os.close(read)
    os.close(write)


def test_nested_and_recursive_calls_count_each(metrics: Metrics) -> None:
    """A tool may use itself, and others."""

    @instrument.tool("t", metrics=metrics)
    def countdown(number: int) -> int:
        with metrics.track("other"):
            return number and countdown(number - 1)

    assert countdown(4) == 0
    assert counted(metrics) == {"success": 5}
    labels = {"tool": "other", "status": "success"}
    assert metrics.registry.get_sample_value("sentinel_requests_total", labels) == 5


def test_a_status_that_is_set(metrics: Metrics) -> None:
    """It holds, whatever passes; one that there is not is refused where it is set."""
    with metrics.track("t") as call:
        call.status = Status.DENIED
    with contextlib.suppress(KeyError), metrics.track("t") as call:
        call.status = "rate_limited"
        raise KeyError
    call = metrics.track("t")
    with call, pytest.raises(ValueError, match="nonsense"):
        call.status = "nonsense"
    assert counted(metrics) == {"denied": 1, "rate_limited": 1, "success": 1}


@pytest.mark.parametrize(
    ("http_status", "status"),
    [
        (200, "success"),
        (302, "success"),
        (400, "invalid_args"),
        (401, "denied"),
        (403, "denied"),
        (404, "error"),
        (422, "invalid_args"),
        (429, "rate_limited"),
        (500, "error"),
        (504, "killed"),
    ],
)
def test_a_views_answer_tells_the_status(metrics: Metrics, http_status: int, status: str) -> None:
    """A view that answers for itself needs no exception."""

    @instrument.tool("t", metrics=metrics)
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=http_status)

    assert view(HttpRequest()).status_code == http_status
    assert counted(metrics) == {status: 1}


def _named(module: str, name: str, base: type[Exception] = Exception) -> Exception:
    made: Exception = type(name, (base,), {"__module__": module})()
    return made


THROTTLED = _named("rest_framework.exceptions", "Throttled")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (_named("pybreaker", "CircuitBreakerError"), Status.CIRCUIT_OPEN),
        (_named("django_ratelimit.exceptions", "Ratelimited", PermissionDenied), "rate_limited"),
        (THROTTLED, Status.RATE_LIMITED),
        (
            _named("shop", "Throttled", type(_named("rest_framework.exceptions", "Throttled"))),
            "rate_limited",
        ),
        (_named("shop", "CircuitBreakerError"), Status.ERROR),
    ],
    ids=lambda value: f"{type(value).__module__}.{type(value).__name__}",
)
def test_exceptions_of_well_known_packages(error: Exception, status: str) -> None:
    """What they say is understood, though none of them is imported."""
    assert status_of(error) == status


@override_settings(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})
def test_a_rate_limit_of_django_ratelimit(metrics: Metrics) -> None:
    """What it turns away counts as that, and as a hit of the limit, by itself."""

    @instrument.tool("t", metrics=metrics)
    @ratelimit(key="ip", rate="2/h")
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    request = RequestFactory().get("/", REMOTE_ADDR="10.9.8.7")
    for _ in range(2):
        assert view(request).status_code == 200
    for _ in range(3):
        with pytest.raises(Ratelimited):
            view(request)
    assert counted(metrics) == {"success": 2, "rate_limited": 3}
    hits = metrics.registry.get_sample_value("sentinel_rate_limit_hits_total", {"tool": "t"})
    assert hits == 3


def test_a_circuit_of_pybreaker(metrics: Metrics) -> None:
    """Calls that are not made while it is open count as that, by themselves."""
    breaker = CircuitBreaker(fail_max=2, throw_new_error_on_trip=False)

    @instrument.tool("t", metrics=metrics)
    @breaker
    def fail() -> None:
        raise LookupError("no answer")

    for expected in (LookupError, LookupError, CircuitBreakerError, CircuitBreakerError):
        with pytest.raises(expected):
            fail()
    assert counted(metrics) == {"error": 2, "circuit_open": 2}


@pytest.mark.parametrize("wrong", [test_nested_and_recursive_calls_count_each, None, 3])
def test_a_tool_needs_a_name(wrong: Any) -> None:
    """``@tool`` without parentheses is told at once."""
    with pytest.raises(TypeError, match="a tool needs a name"):
        instrument.tool(wrong)


def test_the_service_counts_it() -> None:
    """Without ``metrics`` the calls are those of METRICS."""
    made: Callable[[], int] = instrument.tool("service")(lambda: 1)
    made()
    labels = {"tool": "service", "status": "success"}
    assert METRICS.registry.get_sample_value("sentinel_requests_total", labels) == 1

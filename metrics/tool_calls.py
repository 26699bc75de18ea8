"""Tool calls: how one may end, which exceptions say so, and how one is timed."""

from __future__ import annotations

import asyncio
import concurrent.futures
from enum import StrEnum
from time import perf_counter
from types import TracebackType
from typing import ClassVar, Protocol, Self

from metrics.system.forks import is_the_parents


class Status(StrEnum):
    """How a tool call ended; also the values of ``error_type`` (but ``success``)."""

    SUCCESS = "success"
    ERROR = "error"
    KILLED = "killed"
    RATE_LIMITED = "rate_limited"
    DENIED = "denied"
    CIRCUIT_OPEN = "circuit_open"
    INVALID_ARGS = "invalid_args"


class ToolCallError(Exception):
    """A tool call that was not served; each kind has its status and its answer over HTTP.

    Raised in a view it becomes an answer of ``http_status`` whose body is the message, which
    the client sees, if ``metrics.middleware.MetricsMiddleware`` is installed.
    """

    status: ClassVar[Status] = Status.ERROR
    http_status: ClassVar[int] = 500
    retry_after: float | None = None

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        """``retry_after``: after how many seconds another try may succeed, for Retry-After.

        Less than 0, infinite or not a number: the answer does not say.
        """
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(ToolCallError):  # noqa: N818 - named after the status
    """Turned away by a rate limit: 429."""

    status = Status.RATE_LIMITED
    http_status = 429


class Denied(ToolCallError):  # noqa: N818 - named after the status
    """Not allowed for this caller: 403."""

    status = Status.DENIED
    http_status = 403


class CircuitOpen(ToolCallError):  # noqa: N818 - named after the status
    """Not tried, since the tool has failed too often: 503."""

    status = Status.CIRCUIT_OPEN
    http_status = 503


class InvalidArguments(ToolCallError):  # noqa: N818 - named after the status
    """The arguments are not what the tool takes: 400."""

    status = Status.INVALID_ARGS
    http_status = 400


class Killed(ToolCallError):  # noqa: N818 - named after the status
    """Given up before it ended, as after a time limit: 504."""

    status = Status.KILLED
    http_status = 504


_GIVEN_UP = (
    TimeoutError,
    asyncio.CancelledError,
    concurrent.futures.CancelledError,
    SystemExit,  # gunicorn raises it in a request that outlives its worker's timeout
    KeyboardInterrupt,
    GeneratorExit,
)
_OF_OTHERS = {
    "circuitbreaker.CircuitBreakerError": Status.CIRCUIT_OPEN,
    "django_ratelimit.exceptions.Ratelimited": Status.RATE_LIMITED,
    "django.core.exceptions.BadRequest": Status.INVALID_ARGS,
    "django.core.exceptions.PermissionDenied": Status.DENIED,
    "django.core.exceptions.ValidationError": Status.INVALID_ARGS,
    "ninja.errors.ValidationError": Status.INVALID_ARGS,
    "pybreaker.CircuitBreakerError": Status.CIRCUIT_OPEN,
    "rest_framework.exceptions.NotAuthenticated": Status.DENIED,
    "rest_framework.exceptions.AuthenticationFailed": Status.DENIED,
    "rest_framework.exceptions.PermissionDenied": Status.DENIED,
    "rest_framework.exceptions.Throttled": Status.RATE_LIMITED,
    "rest_framework.exceptions.ValidationError": Status.INVALID_ARGS,
}
"""Exceptions of other packages, by name: none of them is imported for it."""

_known: dict[type[BaseException], Status] = {}
"""What `status_of` found for a class."""

_BY_HTTP_STATUS = {
    400: Status.INVALID_ARGS,
    401: Status.DENIED,
    403: Status.DENIED,
    422: Status.INVALID_ARGS,
    429: Status.RATE_LIMITED,
    504: Status.KILLED,
}


def status_of(error: BaseException) -> Status:
    """Return how a call ended that ended with ``error``."""
    kind = type(error)
    try:
        return _known[kind]
    except KeyError:
        status = _known[kind] = _find_status(kind)
        return status


def _find_status(kind: type[BaseException]) -> Status:
    if issubclass(kind, ToolCallError):
        return kind.status
    if issubclass(kind, _GIVEN_UP):
        return Status.KILLED
    for cls in kind.__mro__:
        if (status := _OF_OTHERS.get(f"{cls.__module__}.{cls.__qualname__}")) is not None:
            return status
    return Status.ERROR


def status_of_answer(http_status: int) -> Status:
    """Return how a call ended that was answered with ``http_status``."""
    if http_status < 400:
        return Status.SUCCESS
    return _BY_HTTP_STATUS.get(http_status, Status.ERROR)


class Recorder(Protocol):
    """What a call is recorded with; `metrics.registry.Metrics` is one."""

    def record_request(self, tool: str, status: str, duration_secs: float) -> None:
        """Count a call."""

    def record_rate_limit_hit(self, tool: str) -> None:
        """Count a call that a rate limit turned away."""


class Call:
    """One call of a tool, from ``with`` to its end, recorded once.

    It succeeded unless an exception passes, which `status_of` understands, or ``status``
    is set before the end.
    """

    __slots__ = ("_began", "_recorder", "_status", "_tool")

    def __init__(self, recorder: Recorder, tool: str) -> None:
        self._recorder = recorder
        self._tool = tool
        self._status: Status | None = None
        self._began = 0.0

    @property
    def status(self) -> Status | None:
        """How the call ended, if that was set; one of `Status`, else ValueError."""
        return self._status

    @status.setter
    def status(self, status: str) -> None:
        self._status = Status(status)

    def __enter__(self) -> Self:
        self._began = perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seconds = perf_counter() - self._began
        status = self._status
        if error is not None and is_the_parents(self._began):
            return
        if status is None:
            status = Status.SUCCESS if error is None else status_of(error)
        record(self._recorder, self._tool, status, seconds)


def record(recorder: Recorder, tool: str, status: Status, seconds: float) -> None:
    """Record a call, and what a rate limit turned away twice, as its family wants it."""
    recorder.record_request(tool, status, seconds)
    if status is Status.RATE_LIMITED:
        recorder.record_rate_limit_hit(tool)

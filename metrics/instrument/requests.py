"""Measures requests: how many, how they end, how long they take, and how many are at work.

Follows OpenTelemetry's semantic conventions for HTTP servers (1.23 and later, stable) in
names, buckets and rules. It departs from them in two: there is no ``url_scheme``, which a
client behind a careless proxy can choose and which doubles nothing worth a series, and a
request for which Django has no route has an empty ``http_route``, which is Prometheus' way
to have no label.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from contextvars import copy_context
from time import perf_counter
from typing import Any

from django.core.signals import got_request_exception
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Gauge

from metrics import shared, streams
from metrics.conf import conf
from metrics.instrument import traces
from metrics.instrument.bounds import METHODS, OTHER
from metrics.instrument.durations import Observe, error_type, observer, seconds_histogram
from metrics.instrument.views import NOT_MEASURED
from metrics.registries import REGISTRY
from metrics.system.forks import is_the_parents

logger = logging.getLogger(__name__)

CLIENT_GONE = "client_disconnected"
"""``error_type`` of a stream that was closed before its end."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
NAME = "http_server_request_duration_seconds"
DURATION = seconds_histogram(
    NAME,
    "Duration of HTTP requests in seconds, to the end of a stream",
    ["http_request_method", "http_route", "http_response_status_code", "error_type"],
    BUCKETS,
)
ACTIVE = Gauge(
    "http_server_active_requests",
    "Number of HTTP requests in progress",
    ["http_request_method"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)

_TRACEPARENT, _OPENTELEMETRY, _loaded = traces.HEADER, traces.OPENTELEMETRY, sys.modules
_ERROR = "_sentinel_error_type"
_MOST_KEPT = 10_000
"""How many series are found without asking prometheus_client: routes by methods by statuses."""

_LONG = 0.01
"""Seconds in which somebody may have cut this process's lane since the request began."""

Key = tuple[str, str, int | None, str]
Begun = tuple[float, Any, str]


def _note_error(request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Remember which exception Django makes an answer of."""
    error = sys.exc_info()[1]
    if request is not None and error is not None:
        setattr(request, _ERROR, error_type(error))


got_request_exception.connect(_note_error, dispatch_uid="metrics.instrument.requests")


class Requests:
    """The measurements of one middleware."""

    def __init__(self) -> None:
        left_out = conf.requests_not_measured
        self._paths = left_out["PATHS"]
        self._routes = left_out["ROUTES"]
        self._active: dict[str, Any] = {}
        self._observers: dict[Key, Observe] = {}
        store = shared.current()
        self._mend_lane = _no_lane if store is None else store.mend_lane

    def begin(self, request: HttpRequest) -> Begun | None:
        """Note that a request begins; return what `end` needs, None if it is not measured."""
        if self._paths is not None and self._paths.search(request.path_info):
            return None
        method: Any = request.method
        if method not in METHODS:
            method = OTHER
        self._mend_lane()
        try:
            active = self._active[method]
        except KeyError:
            active = self._active[method] = ACTIVE.labels(method)._value
        active.inc(1.0)
        return perf_counter(), active, method

    def answered(self, request: HttpRequest, begun: Begun, response: HttpResponseBase) -> None:
        """Note the end of a request, or leave that to the end of its stream."""
        try:
            streaming, status = response.streaming, response.status_code
        except AttributeError as e:  # no response, as None: Django says so in what follows
            self.end(request, begun, None, error_type(e))
            return
        if not streaming:
            self.end(request, begun, status)
            return
        end = _StreamEnd(self, request, begun, status)
        # Before it is watched: where one of these fails, the request ends with ``end``.
        response._resource_closers.append(end.closed)  # type: ignore[attr-defined]
        end.watch(response)

    def raised(self, request: HttpRequest, error: Exception) -> None:
        """Ignore an exception of a view: the answer that is made of it counts."""

    def end(self, request: HttpRequest, begun: Begun, status: int | None, error: str = "") -> None:
        """Note the end of a request that was answered with ``status``, or with nothing."""
        began, active, method = begun
        seconds = perf_counter() - began
        if seconds > _LONG:
            self._mend_lane()
        active.inc(-1.0)
        match = request.resolver_match
        if match is None:
            route = ""
        elif getattr(match.func, NOT_MEASURED, False):
            return
        else:
            route = match.route or "/"
        if not error and status is not None and status >= 500:
            error = getattr(request, _ERROR, "") or str(int(status))
        key = (method, route, status, error)
        try:
            observe = self._observers[key]
        except KeyError:
            observe = self._observer(key)
        if _TRACEPARENT in request.META or _OPENTELEMETRY in _loaded:
            self._observe_traced(request, key, observe, seconds)
        else:
            observe(seconds)

    def _observer(self, key: Key) -> Observe:
        """Return what observes the series of ``key``, and keep it."""
        route = key[1]
        left_out = self._routes is not None and route and self._routes.search(route)
        observe = _nothing if left_out else observer(DURATION, *_labels(key))
        if len(self._observers) < _MOST_KEPT:
            self._observers[key] = observe
        return observe

    def _observe_traced(
        self, request: HttpRequest, key: Key, observe: Observe, seconds: float
    ) -> None:
        """Observe with an exemplar if the request belongs to a trace that is recorded."""
        trace = None if observe is _nothing else traces.of_request(request)
        if trace is None:
            observe(seconds)
        else:
            DURATION.labels(*_labels(key)).observe(seconds, trace)


class _StreamEnd:
    """Notes the end of a request when its stream has ended, in whatever way.

    When nobody holds it any longer the stream has ended, too: nobody can send more of it.
    """

    def __init__(self, requests: Requests, request: HttpRequest, begun: Begun, status: int) -> None:
        self._requests = requests
        self._request = request
        self._begun: Begun | None = begun
        self._status = status
        self._error = ""
        self._context = copy_context()

    def watch(self, response: HttpResponseBase) -> None:
        """Tell its end from a break-off. What cannot be watched ends well when it is closed."""
        if streams.watch(response, self):
            self._error = CLIENT_GONE

    def asked(self) -> None:
        """Ignore it: only the end counts."""

    def passed(self, part: object) -> None:
        """Ignore it: only the end counts."""

    def handed_over(self) -> None:
        """Take it for the end: how the kernel's sending ends cannot be seen."""
        self._error = ""

    def ended(self) -> None:
        """Note that the stream was not broken off."""
        self._error = ""

    def failed(self, error: BaseException) -> None:
        """Note the end of the request, and why the stream broke off."""
        gone = isinstance(error, (asyncio.CancelledError, GeneratorExit))
        self._error = CLIENT_GONE if gone else error_type(error)
        self.closed()

    def dropped(self, error: BaseException) -> None:
        """Note the end of the request: its server could not send, or was told not to."""
        self.failed(GeneratorExit() if isinstance(error, OSError) else error)

    def closed(self) -> None:
        """Note the end of the request."""
        begun, self._begun = self._begun, None
        if begun is None or is_the_parents(begun[0]):
            return
        try:
            # Where another request's span is active, this one is of no trace of its.
            self._context.run(self._requests.end, self._request, begun, self._status, self._error)
        except Exception:
            logger.exception("a request is not measured")

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if self._begun is not None and not is_finalizing():
            self.closed()


def _labels(key: Key) -> tuple[str, str, str, str]:
    method, route, status, error = key
    return method, route, "" if status is None else str(int(status)), error


def _no_lane() -> None:
    """Mend nothing: there is no shared store."""


def _nothing(seconds: float) -> None:
    """Observe nothing."""

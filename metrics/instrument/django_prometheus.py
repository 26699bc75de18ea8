"""Keeps django-prometheus' families filled, for the dashboards that were made for it.

Names, labels, buckets and rules are those of django-prometheus 2.5, its two settings
``PROMETHEUS_METRIC_NAMESPACE`` and ``PROMETHEUS_LATENCY_BUCKETS`` included. Its middlewares,
engines and cache backends must be gone, or all would count twice; a system check says so.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, TypeVar

from django.core.cache import CacheHandler, caches
from django.core.cache.backends.base import BaseCache
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Counter, Histogram

from metrics.conf import conf
from metrics.instrument.durations import Observe, observer
from metrics.instrument.lookalikes import LookAlikes, Method
from metrics.instrument.requests import Begun, Requests
from metrics.registries import REGISTRY

_NAMESPACE = conf.django_prometheus_namespace
_LATENCY_BUCKETS = conf.django_prometheus_buckets
_BYTES_BUCKETS = (0.0, *(2.0**power for power in range(30)))
_TOO_MUCH = 2**63
_UNNAMED = "<unnamed view>"
_METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "PATCH")
)
_MOST_KEPT = 10_000
_MARK = "_sentinel_keeps_names"


def _counter(name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
    return Counter(name, documentation, labels, namespace=_NAMESPACE, registry=REGISTRY)


def _histogram(
    name: str,
    documentation: str,
    buckets: Sequence[float] = _LATENCY_BUCKETS,
    labels: Sequence[str] = (),
) -> Histogram:
    return Histogram(
        name, documentation, labels, namespace=_NAMESPACE, registry=REGISTRY, buckets=buckets
    )


# --- requests ---------------------------------------------------------------------------

REQUESTS = _counter(
    "django_http_requests_before_middlewares_total",
    "Total count of requests before middlewares run.",
)
RESPONSES = _counter(
    "django_http_responses_before_middlewares_total",
    "Total count of responses before middlewares run.",
)
LATENCY = _histogram(
    "django_http_requests_latency_including_middlewares_seconds",
    "Histogram of requests processing time (including middleware processing time).",
)
LATENCY_BY_VIEW = _histogram(
    "django_http_requests_latency_seconds_by_view_method",
    "Histogram of request processing time labelled by view.",
    labels=["view", "method"],
)
AJAX = _counter("django_http_ajax_requests_total", "Count of AJAX requests.")
BY_METHOD = _counter(
    "django_http_requests_total_by_method", "Count of requests by method.", ["method"]
)
BY_TRANSPORT = _counter(
    "django_http_requests_total_by_transport", "Count of requests by transport.", ["transport"]
)
BY_VIEW = _counter(
    "django_http_requests_total_by_view_transport_method",
    "Count of requests by view, transport, method.",
    ["view", "transport", "method"],
)
REQUEST_BYTES = _histogram(
    "django_http_requests_body_total_bytes",
    "Histogram of requests by body size.",
    _BYTES_BUCKETS,
)
BY_TEMPLATE = _counter(
    "django_http_responses_total_by_templatename",
    "Count of responses by template name.",
    ["templatename"],
)
BY_STATUS = _counter(
    "django_http_responses_total_by_status", "Count of responses by status.", ["status"]
)
BY_STATUS_VIEW = _counter(
    "django_http_responses_total_by_status_view_method",
    "Count of responses by status, view, method.",
    ["status", "view", "method"],
)
RESPONSE_BYTES = _histogram(
    "django_http_responses_body_total_bytes",
    "Histogram of responses by body size.",
    _BYTES_BUCKETS,
)
BY_CHARSET = _counter(
    "django_http_responses_total_by_charset", "Count of responses by charset.", ["charset"]
)
STREAMING = _counter("django_http_responses_streaming_total", "Count of streaming responses.")
BY_EXCEPTION = _counter(
    "django_http_exceptions_total_by_type", "Count of exceptions by object type.", ["type"]
)
EXCEPTIONS_BY_VIEW = _counter(
    "django_http_exceptions_total_by_view", "Count of exceptions by view.", ["view"]
)
# What it counts where one of its two middlewares is missing: that cannot be here.
_counter(
    "django_http_requests_unknown_latency_including_middlewares_total",
    "Count of requests for which the latency was unknown (when computing"
    " django_http_requests_latency_including_middlewares_seconds).",
)
_counter(
    "django_http_requests_unknown_latency_total",
    "Count of requests for which the latency was unknown.",
)

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_Incs = tuple[Callable[[], None], ...]


class BothNames(Requests):
    """Measures requests under both names.

    Unlike there, the latency by view is that of all middlewares too, and requests that are
    left out of ours by their path are left out of these.
    """

    def __init__(self) -> None:
        super().__init__()
        self._by_request: dict[tuple[str, str, str], _Incs] = {}
        self._by_response: dict[tuple[int, str, str, str], tuple[Observe, _Incs]] = {}
        self._latency = observer(LATENCY)
        self._request_bytes = observer(REQUEST_BYTES)
        self._response_bytes = observer(RESPONSE_BYTES)

    def begin(self, request: HttpRequest) -> Begun | None:
        """Note that a request begins."""
        begun = super().begin(request)
        if begun is not None:
            REQUESTS.inc()
            request._sentinel_begun = begun[0]  # type: ignore[attr-defined]  # for `raised`
        return begun

    def answered(self, request: HttpRequest, begun: Begun, response: HttpResponseBase) -> None:
        """Note the answer."""
        super().answered(request, begun, response)
        seconds = perf_counter() - begun[0]
        view, method = _view_of(request), _method_of(request)
        for inc in self._incs_of_request(request, view, method):
            inc()
        if request.META.get("HTTP_X_REQUESTED_WITH") == "XMLHttpRequest":
            AJAX.inc()
        self._request_bytes(_content_length(request))
        RESPONSES.inc()
        self._latency(seconds)
        observe, incs = self._of_response(response.status_code, view, method, response.charset)
        observe(seconds)
        for inc in incs:
            inc()
        if response.streaming:
            STREAMING.inc()
        else:
            self._response_bytes(len(response.content))  # type: ignore[attr-defined]  # it has it
        template = getattr(response, "template_name", None)
        if template is not None:
            BY_TEMPLATE.labels(str(template)).inc()

    def raised(self, request: HttpRequest, error: Exception) -> None:
        """Note an exception of a view; its time counts here, and once more with its answer."""
        view = _view_of(request)
        BY_EXCEPTION.labels(type(error).__name__).inc()
        EXCEPTIONS_BY_VIEW.labels(view).inc()
        if (began := getattr(request, "_sentinel_begun", None)) is not None:
            LATENCY_BY_VIEW.labels(view, _method_of(request)).observe(perf_counter() - began)

    def _incs_of_request(self, request: HttpRequest, view: str, method: str) -> _Incs:
        transport = "https" if request.is_secure() else "http"
        key = (view if request.resolver_match else "", transport, method)
        try:
            return self._by_request[key]
        except KeyError:
            incs = [BY_METHOD.labels(method).inc, BY_TRANSPORT.labels(transport).inc]
            if request.resolver_match:
                incs.append(BY_VIEW.labels(view, transport, method).inc)
            return _kept(self._by_request, key, tuple(incs))

    def _of_response(
        self, status: int, view: str, method: str, charset: str
    ) -> tuple[Observe, _Incs]:
        key = (status, view, method, charset)
        try:
            return self._by_response[key]
        except KeyError:
            incs = (
                BY_STATUS.labels(str(int(status))).inc,
                BY_STATUS_VIEW.labels(str(int(status)), view, method).inc,
                BY_CHARSET.labels(charset).inc,
            )
            observe = observer(LATENCY_BY_VIEW, view, method)
            return _kept(self._by_response, key, (observe, incs))


def _kept(kept: dict[_Key, _Value], key: _Key, value: _Value) -> _Value:
    if len(kept) < _MOST_KEPT:
        kept[key] = value
    return value


def _view_of(request: HttpRequest) -> str:
    match = request.resolver_match
    return _UNNAMED if match is None else match.view_name or _UNNAMED


def _method_of(request: HttpRequest) -> str:
    method: Any = request.method
    return method if method in _METHODS else "<invalid method>"


def _content_length(request: HttpRequest) -> int:
    """Return how long a client says that its body is, or 0 for what no body can be."""
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0
    return length if 0 <= length < _TOO_MUCH else 0


# --- the database -----------------------------------------------------------------------

_DATABASE = ["alias", "vendor"]
CONNECTIONS = _counter(
    "django_db_new_connections_total",
    "Counter of created connections by database and by vendor.",
    _DATABASE,
)
CONNECTION_ERRORS = _counter(
    "django_db_new_connection_errors_total",
    "Counter of connection failures by database and by vendor.",
    _DATABASE,
)
EXECUTE = _counter(
    "django_db_execute_total",
    "Counter of executed statements by database and by vendor, including bulk executions.",
    _DATABASE,
)
EXECUTE_MANY = _counter(
    "django_db_execute_many_total",
    "Counter of executed statements in bulk operations by database and by vendor.",
    _DATABASE,
)
ERRORS = _counter(
    "django_db_errors_total",
    "Counter of execution errors by database, vendor and exception type.",
    [*_DATABASE, "type"],
)
QUERY_DURATION = _histogram(
    "django_db_query_duration_seconds",
    "Histogram of query duration by database and vendor.",
    labels=_DATABASE,
)


def install() -> None:
    """Count queries, connections and cache calls too; requests are the middleware's part."""
    if getattr(BaseDatabaseWrapper.connect, _MARK, False):
        return
    for cls, name, wrap in (
        (BaseDatabaseWrapper, "connect", _counting_connect),
        (CacheHandler, "create_connection", _counting_caches),
    ):
        wrapped = functools.wraps(getattr(cls, name))(wrap(getattr(cls, name)))
        setattr(wrapped, _MARK, True)
        setattr(cls, name, wrapped)
    connection_created.connect(_count_queries, dispatch_uid=__name__)
    for connection in connections.all(initialized_only=True):
        _count_queries(connection)
    for alias in caches:
        cache = getattr(caches._connections, alias, None)  # type: ignore[attr-defined]
        if cache is not None:
            _look_alikes.turn(cache, alias)


def _counting_connect(connect: Callable[[Any], None]) -> Callable[[Any], None]:
    def counting(self: BaseDatabaseWrapper) -> None:
        CONNECTIONS.labels(self.alias, self.vendor).inc()
        try:
            connect(self)
        except Exception:
            CONNECTION_ERRORS.labels(self.alias, self.vendor).inc()
            raise

    return counting


def _count_queries(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    if not getattr(connection, _MARK, False):
        setattr(connection, _MARK, True)
        # Not at the end, of which Django's execute_wrapper() takes one away when it is left.
        connection.execute_wrappers.insert(0, _counting(connection.alias, connection.vendor))


@functools.lru_cache(maxsize=100)
def _counting(alias: str, vendor: str) -> Callable[..., Any]:
    executed, in_bulk = EXECUTE.labels(alias, vendor), EXECUTE_MANY.labels(alias, vendor)
    observe = observer(QUERY_DURATION, alias, vendor)

    def counting(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if many and hasattr(params, "__len__"):
            executed.inc(len(params))
            in_bulk.inc(len(params))
        else:
            executed.inc()
        began = perf_counter()
        try:
            return execute(sql, params, many, context)
        except Exception as e:
            ERRORS.labels(alias, vendor, type(e).__name__).inc()
            raise
        finally:
            observe(perf_counter() - began)

    return counting


# --- caches -----------------------------------------------------------------------------

GETS = _counter("django_cache_get_total", "Total get requests on cache", ["backend"])
HITS = _counter("django_cache_get_hits_total", "Total hits on cache", ["backend"])
MISSES = _counter("django_cache_get_misses_total", "Total misses on cache", ["backend"])
FAILURES = _counter(
    "django_cache_get_fail_total", "Total get request failures by cache", ["backend"]
)
_BACKENDS = {
    "django.core.cache.backends.filebased.FileBasedCache": "filebased",
    "django.core.cache.backends.locmem.LocMemCache": "locmem",
    "django.core.cache.backends.memcached.BaseMemcachedCache": "memcached",
    "django.core.cache.backends.redis.RedisCache": "native_redis",
    "django_redis.cache.RedisCache": "redis",
}


def _counting_caches(create: Callable[..., BaseCache]) -> Callable[..., BaseCache]:
    def counting(self: CacheHandler, alias: str) -> BaseCache:
        cache = create(self, alias)
        _look_alikes.turn(cache, alias)
        return cache

    return counting


def _counting_get(cls: Any, alias: str) -> dict[str, Method]:
    """Return a ``get`` that counts, for the classes that have a name there."""
    names = (f"{one.__module__}.{one.__qualname__}" for one in cls.__mro__)
    backend = next((_BACKENDS[name] for name in names if name in _BACKENDS), None)
    if backend is None:
        return {}
    gets, hits, misses, failures = (
        family.labels(backend) for family in (GETS, HITS, MISSES, FAILURES)
    )

    def get(self: Any, *args: Any, **kwargs: Any) -> Any:
        gets.inc()
        try:
            result = cls.get(self, *args, **kwargs)
        except Exception:
            failures.inc()
            raise
        default = args[1] if len(args) > 1 else kwargs.get("default")
        (misses if result is default else hits).inc()
        return result

    return {"get": get}


_look_alikes = LookAlikes(_counting_get, "cache", "counted")

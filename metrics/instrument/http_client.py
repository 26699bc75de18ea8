"""Measures the HTTP requests that a service sends by urllib3, requests or httpx.

Follows OpenTelemetry's semantic conventions for HTTP client metrics (1.23 and later, stable)
in names, buckets and rules. It departs from them in two: ``server_port`` is empty where it is
the scheme's own, and a duration ends with the headers of the answer (with urllib3's
``preload_content``, at its body's end), as an answer's stream may be left unread.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from metrics.conf import conf
from metrics.instrument.bounds import METHODS, OTHER, FirstOnes
from metrics.instrument.durations import Observe, error_type, observer, seconds_histogram
from metrics.own_calls import is_own_call

logger = logging.getLogger(__name__)

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
NAME = "http_client_request_duration_seconds"
DURATION = seconds_histogram(
    NAME,
    "Duration of HTTP requests that were sent in seconds, to the headers of the answer",
    [
        "http_request_method",
        "server_address",
        "server_port",
        "http_response_status_code",
        "error_type",
    ],
    BUCKETS,
)
MOST_HOSTS = 100
MOST_PORTS = 100
"""How many pairs of a host and a port that is not its scheme's own."""

MOST_LETTERS = 253
"""How long a host's name may be (RFC 1035)."""

LIBRARIES = ("httpx", "httpx2")
"""Those with the transports of httpx, of which the second carries on the first."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MARK = "_sentinel_is_measured"

Method = Callable[..., Any]
Server = tuple[str, str, int | None]
"""Scheme, host and port, None for the scheme's own."""

Key = tuple[str, Server, int | None, str]


def install() -> None:
    """Measure the requests that this process sends, those of clients that are there included."""
    global _calls
    import urllib3

    if getattr(urllib3.HTTPConnectionPool._make_request, _MARK, False):
        return
    _calls = Calls(conf.http_client_hosts)
    _replace(urllib3.HTTPConnectionPool, "_make_request", _of_urllib3)
    for name in LIBRARIES:
        if find_spec(name) is not None:
            library = import_module(name)
            _replace(library.HTTPTransport, "handle_request", _of_httpx)
            _replace(library.AsyncHTTPTransport, "handle_async_request", _of_httpx_async)


def _replace(cls: type, name: str, measure: Callable[[Method], Method]) -> None:
    method = getattr(cls, name)
    measured = functools.wraps(method)(measure(method))
    setattr(measured, _MARK, True)
    setattr(cls, name, measured)


class Calls:
    """The measurements of one process; of other hosts than ``hosts`` only that they are others.

    With None the first hosts that are called have their names.
    """

    def __init__(self, hosts: frozenset[str] | None) -> None:
        self._hosts = hosts
        self._first_hosts = FirstOnes(MOST_HOSTS)
        self._first_ports = FirstOnes(MOST_PORTS)
        self._observers: dict[Key, Observe] = {}

    def note(
        self, method: str, server: Server, seconds: float, status: int | None, error: str = ""
    ) -> None:
        """Note that a request was answered with ``status``, or failed with ``error``.

        One to no host went nowhere, and is none.
        """
        if not server[1]:
            return
        key = (method, server, status, error)
        try:
            observe = self._observers[key]
        except KeyError:
            observe = self._observer(key)
        observe(seconds)

    def _observer(self, key: Key) -> Observe:
        """Return what observes the series of ``key``, and keep it if there are few like it."""
        method, server, status, error = key
        address, port = self._labels(server)
        code = "" if status is None else str(status) if 100 <= status <= 599 else OTHER
        if status is not None and status >= 400:
            error = code
        known = method if method in METHODS else OTHER
        observe = observer(DURATION, known, address, port, code, error)
        if known == method and address == server[1] and OTHER not in (port, code):
            self._observers[key] = observe
        return observe

    def _labels(self, server: Server) -> tuple[str, str]:
        scheme, host, port = server
        address = host.lower()
        if len(address) > MOST_LETTERS:
            address = OTHER
        elif self._hosts is None:
            address = self._first_hosts(address)
        elif address not in self._hosts:
            address = OTHER
        if port is None or port == _DEFAULT_PORTS.get(scheme) or address == OTHER:
            return address, ""
        pair = self._first_ports(f"{address} {port}")
        return address, OTHER if pair == OTHER else str(port)


_calls = Calls(None)


def _of_urllib3(make_request: Method) -> Method:
    def measured(self: Any, conn: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        if is_own_call():
            return make_request(self, conn, method, url, *args, **kwargs)
        began = perf_counter()
        try:
            response = make_request(self, conn, method, url, *args, **kwargs)
        except BaseException as e:
            _note(method, _server_of_urllib3, (self, url), perf_counter() - began, error=e)
            raise
        _note(method, _server_of_urllib3, (self, url), perf_counter() - began, response.status)
        return response

    return measured


def _server_of_urllib3(pool: Any, url: str) -> Server:
    if not url.startswith("http"):
        return pool.scheme, pool.host, pool.port
    parts = urlsplit(url)  # to a proxy, which is the pool's host
    return parts.scheme, parts.hostname or "", parts.port


def _of_httpx(handle: Method) -> Method:
    def measured(self: Any, request: Any) -> Any:
        if is_own_call():
            return handle(self, request)
        began = perf_counter()
        try:
            response = handle(self, request)
        except BaseException as e:
            _note(request.method, _server_of_httpx, (request,), perf_counter() - began, error=e)
            raise
        seconds = perf_counter() - began
        _note(request.method, _server_of_httpx, (request,), seconds, response.status_code)
        return response

    return measured


def _of_httpx_async(handle: Method) -> Method:
    async def measured(self: Any, request: Any) -> Any:
        if is_own_call():
            return await handle(self, request)
        began = perf_counter()
        try:
            response = await handle(self, request)
        except BaseException as e:
            _note(request.method, _server_of_httpx, (request,), perf_counter() - began, error=e)
            raise
        seconds = perf_counter() - began
        _note(request.method, _server_of_httpx, (request,), seconds, response.status_code)
        return response

    return measured


def _server_of_httpx(request: Any) -> Server:
    url = request.url
    return url.scheme, url.raw_host.decode("ascii"), url.port


def _note(
    method: str,
    server_of: Callable[..., Server],
    about: tuple[Any, ...],
    seconds: float,
    status: int | None = None,
    error: BaseException | None = None,
) -> None:
    try:
        error_name = "" if error is None else error_type(error)
        _calls.note(method, server_of(*about), seconds, status, error_name)
    except Exception:
        logger.exception("a request that was sent is not measured")

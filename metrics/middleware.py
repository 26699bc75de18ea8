"""Answer a scrape before anything else sees the request, and measure every other request."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from metrics import views
from metrics.conf import conf
from metrics.paths import spellings
from metrics.system.forks import is_the_parents
from metrics.tool_calls import ToolCallError

if TYPE_CHECKING:
    from metrics.instrument.requests import Begun, Requests

logger = logging.getLogger(__name__)

_LONGEST = 2**31
"""Seconds of the longest Retry-After; what is longer, infinite or no number is no advice."""

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class MetricsMiddleware:
    """First in MIDDLEWARE, it spares scrapes what only the site's visitors need.

    A scraper calls a pod by its address, speaks plain HTTP and has no session: the
    host check, the redirect to HTTPS, sessions and cookies are for the others, and a
    scrape is not counted among the site's own requests. The site's rules stay as
    they are for all other paths.

    Where ``SENTINEL_INSTRUMENT`` names ``requests`` it measures each of the others, to the
    end of its stream. Of the exceptions in ``metrics.instrument`` that say how a tool call
    ended, one that a view raises becomes the answer that it stands for.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        conf.require_usable()  # a server with a wrong setting is not to start
        self.get_response = get_response
        self._paths = frozenset(spellings(conf.paths["metrics"]))
        self._requests = _requests()
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer a scrape; pass everything else on."""
        if request.path_info in self._paths:
            if self.is_async:
                return sync_to_async(views.metrics, thread_sensitive=False)(request)
            return views.metrics(request)
        requests = self._requests
        if requests is None:
            return self.get_response(request)
        if self.is_async:
            return self._measure_async(requests, request)
        # What is wrong with a measurement must not break a request. It is caught here, not in
        # functions beside this one: their two calls cost 0.2 of 4.4 microseconds.
        try:
            begun = requests.begin(request)
        except Exception:
            begun = None
            logger.exception("a request is not measured")
        if begun is None:
            return self.get_response(request)
        try:
            response: Any = self.get_response(request)
        except BaseException as e:
            _broken(requests, request, begun, e)
            raise
        try:
            requests.answered(request, begun, response)
        except Exception:
            logger.exception("a request is not measured")
        return response  # type: ignore[no-any-return]

    async def _measure_async(self, requests: Requests, request: HttpRequest) -> HttpResponseBase:
        try:
            begun = requests.begin(request)
        except Exception:
            begun = None
            logger.exception("a request is not measured")
        try:
            response: Any = await self.get_response(request)  # type: ignore[misc]
        except BaseException as e:
            if begun is not None:
                _broken(requests, request, begun, e)
            raise
        if begun is not None:
            try:
                requests.answered(request, begun, response)
            except Exception:
                logger.exception("a request is not measured")
        return response  # type: ignore[no-any-return]

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer an exception that says how a tool call ended; leave any other to Django."""
        if self._requests is not None:
            _raised(self._requests, request, error)
        if not isinstance(error, ToolCallError):
            return None
        response = JsonResponse({"error": str(error) or error.status}, status=error.http_status)
        if (seconds := error.retry_after) is not None and 0 <= seconds <= _LONGEST:
            response["Retry-After"] = str(math.ceil(seconds))
        return response


def _requests() -> Requests | None:
    """Return what measures requests, loaded only where that is wanted."""
    if "django_prometheus" in conf.instrument:
        from metrics.instrument.django_prometheus import BothNames

        return BothNames()
    if "requests" not in conf.instrument:
        return None
    from metrics.instrument.requests import Requests

    return Requests()


def _raised(requests: Requests, request: HttpRequest, error: Exception) -> None:
    try:
        requests.raised(request, error)
    except Exception:
        logger.exception("an exception is not counted")


def _broken(requests: Requests, request: HttpRequest, begun: Begun, error: BaseException) -> None:
    from metrics.instrument.durations import error_type

    if is_the_parents(begun[0]):
        return
    try:
        requests.end(request, begun, None, error_type(error))
    except Exception:
        logger.exception("a request is not measured")

"""Answer a scrape before anything else sees the request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponseBase

from metrics import views
from metrics.conf import conf
from metrics.paths import spellings

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class MetricsMiddleware:
    """First in MIDDLEWARE, it spares scrapes what only the site's visitors need.

    A scraper calls a pod by its address, speaks plain HTTP and has no session: the
    host check, the redirect to HTTPS, sessions and cookies are for the others, and a
    scrape is not counted among the site's own requests. The site's rules stay as
    they are for all other paths.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        conf.require_usable()  # a server with a wrong setting is not to start
        self.get_response = get_response
        self._paths = frozenset(spellings(conf.paths["metrics"]))
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer a scrape; pass everything else on."""
        if request.path_info not in self._paths:
            return self.get_response(request)
        if self.is_async:
            return sync_to_async(views.metrics, thread_sensitive=False)(request)
        return views.metrics(request)

"""Answers probes before anything else of the project can get in their way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from health import views
from health.conf import conf
from health.prober import autostart
from metrics.paths import spellings

VIEWS: Mapping[str, Callable[[HttpRequest], HttpResponse]] = {
    "health": views.health,
    "ready": views.ready,
    "started": views.started,
}

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class HealthMiddleware:
    """Answer /health, /ready and /started here; pass everything else on.

    SENTINEL_PATHS may name other paths. A trailing slash is neither needed nor redirected.
    First in MIDDLEWARE it comes before host checks, the redirect to HTTPS, sessions
    and the database. It works in sync and in async stacks, there without a thread but for
    the first answer of a process, which may wait for the first checks.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        paths = conf.paths  # a server with a wrong setting is not to start
        self._views = {
            spelling: view for name, view in VIEWS.items() for spelling in spellings(paths[name])
        }
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer a probe; in an async stack that is awaitable, as all else is there."""
        view = self._views.get(request.path_info)
        if view is None:
            return self.get_response(request)
        if not self.is_async:
            return view(request)
        if view is views.health or autostart.is_started():
            return _done(view(request))
        return sync_to_async(view, thread_sensitive=False)(request)


async def _done(response: HttpResponse) -> HttpResponseBase:
    return response

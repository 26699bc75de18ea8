"""Answers probes before anything else of the project can get in their way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from health import views

PATHS: Mapping[str, Callable[[HttpRequest], HttpResponse]] = {
    "/health": views.health,
    "/ready": views.ready,
    "/started": views.started,
}

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class HealthMiddleware:
    """Answer /health, /ready and /started here; pass everything else on.

    First in MIDDLEWARE it comes before host checks, the redirect to HTTPS, sessions
    and the database. It works in sync and in async stacks without a thread hop.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer a probe; in an async stack that is awaitable, as all else is there."""
        view = PATHS.get(request.path_info)
        if view is None:
            return self.get_response(request)
        response = view(request)
        return _done(response) if self.is_async else response


async def _done(response: HttpResponse) -> HttpResponseBase:
    return response

"""Views that end in every way, and use the database and the cache."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path
from prometheus_client import Counter

from metrics.registry import REGISTRY

BEGUN = Counter("measured_views_begun", "Calls of a view that lasts", ["view"], registry=REGISTRY)


def item(request: HttpRequest, number: int) -> HttpResponse:
    """Ask the database and the cache once each."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    cache.get("nothing")
    return HttpResponse("well")


async def item_async(request: HttpRequest, number: int) -> HttpResponse:
    """Answer from the event loop."""
    return HttpResponse("well")


def broken(request: HttpRequest) -> HttpResponse:
    """Raise what nobody expects."""
    raise LookupError


def parts() -> Iterator[str]:
    """Yield until the client is gone."""
    for number in itertools.count():
        yield f"data: {number}\n\n" * 100
        time.sleep(0.01)


async def parts_async() -> AsyncIterator[str]:
    """Yield until the client is gone."""
    for number in itertools.count():
        yield f"data: {number}\n\n" * 100
        await asyncio.sleep(0.01)


def events(request: HttpRequest) -> StreamingHttpResponse:
    """Stream without an end."""
    return StreamingHttpResponse(parts())


async def events_async(request: HttpRequest) -> StreamingHttpResponse:
    """Stream without an end."""
    return StreamingHttpResponse(parts_async())


async def breaks_async(request: HttpRequest) -> StreamingHttpResponse:
    """Stream one part, and break off."""

    async def parts() -> AsyncIterator[str]:
        yield "data"
        raise LookupError

    return StreamingHttpResponse(parts())


def slow(request: HttpRequest) -> HttpResponse:
    """Take longer than gunicorn allows."""
    time.sleep(60)
    return HttpResponse("late")


async def slow_async(request: HttpRequest) -> HttpResponse:
    """Say that it has begun, and wait for longer than the client does."""
    BEGUN.labels("slow_async").inc()
    await asyncio.sleep(60)
    return HttpResponse("late")


urlpatterns = [
    path("items/<int:number>/", item),
    path("items-async/<int:number>/", item_async),
    path("broken", broken),
    path("events", events),
    path("events-async", events_async),
    path("breaks-async", breaks_async),
    path("slow", slow),
    path("slow-async", slow_async),
    path("", include("metrics.urls")),
]

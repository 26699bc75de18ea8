"""Views whose measurement is measured: one that does nothing, and one that does a little."""

from __future__ import annotations

from django.core.cache import cache
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path


def trivial(request: HttpRequest, number: int) -> HttpResponse:
    """Answer at once."""
    return HttpResponse("ok", content_type="text/plain")


async def trivial_async(request: HttpRequest, number: int) -> HttpResponse:
    """Answer at once, in an event loop."""
    return HttpResponse("ok", content_type="text/plain")


def working(request: HttpRequest, number: int) -> HttpResponse:
    """Ask the database and the cache once, as the least of useful views does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    cache.get("a")
    return HttpResponse("ok", content_type="text/plain")


urlpatterns = [
    path("trivial/<int:number>", trivial),
    path("async/<int:number>", trivial_async),
    path("working/<int:number>", working),
]
application = get_wsgi_application()

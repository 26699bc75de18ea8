"""A site whose requests end in each of the ways that there are."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import include, path, re_path
from django.utils.decorators import method_decorator
from django.views import View

from metrics import instrument

WAITS = threading.Event()
"""Set when the view `waits` has begun."""


class OddError(Exception):
    """An exception of the site's own."""


def well(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    """Answer."""
    return HttpResponse("well")


def missing(request: HttpRequest) -> HttpResponse:
    """Say that there is no such thing."""
    raise Http404


def forbidden(request: HttpRequest) -> HttpResponse:
    """Refuse."""
    raise PermissionDenied


def broken(request: HttpRequest) -> HttpResponse:
    """Raise what nobody expects."""
    raise OddError


def exits(request: HttpRequest) -> HttpResponse:
    """End as gunicorn ends a worker that has no more time."""
    raise SystemExit(1)


def forks(request: HttpRequest) -> HttpResponse:
    """Answer, and let a child leave through the view as a program ends."""
    if os.fork() == 0:
        raise SystemExit
    os.wait()
    return HttpResponse("well")


def stream_that_forks(request: HttpRequest) -> StreamingHttpResponse:
    """Let the child leave through the stream."""

    def parts() -> Iterator[str]:
        yield forks(request).content.decode()

    return StreamingHttpResponse(parts())


def unavailable(request: HttpRequest) -> HttpResponse:
    """Answer with an error that no exception made."""
    return HttpResponse("later", status=503)


def bad_template(request: HttpRequest) -> HttpResponse:
    """Answer with a template that cannot be rendered."""
    template = engines["django"].from_string("{% for x in y %}{{ x }}{% endfor %}")
    return TemplateResponse(request, template, {"y": iter_that_breaks()})


def iter_that_breaks() -> Iterator[str]:
    """Yield once, then raise."""
    yield "a"
    raise OddError


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Answer in parts."""
    return StreamingHttpResponse(iter(["a", "b"]))


def broken_stream(request: HttpRequest) -> StreamingHttpResponse:
    """Answer in parts, and raise after the first."""
    return StreamingHttpResponse(iter_that_breaks())


def file(request: HttpRequest) -> FileResponse:
    """Answer with a file."""
    return FileResponse(Path(__file__).open("rb"))


async def well_async(request: HttpRequest) -> HttpResponse:
    """Answer."""
    return HttpResponse("well")


async def broken_async(request: HttpRequest) -> HttpResponse:
    """Raise what nobody expects."""
    raise OddError


async def waits(request: HttpRequest) -> HttpResponse:
    """Wait to be cancelled."""
    WAITS.set()
    await asyncio.sleep(3600)
    return HttpResponse("never")


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    """Answer in parts."""

    async def parts() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    return StreamingHttpResponse(parts())


@instrument.not_measured
def unmeasured(request: HttpRequest) -> HttpResponse:
    """Answer what is no request of the site's visitors."""
    return HttpResponse("well")


@instrument.not_measured
async def unmeasured_async(request: HttpRequest) -> HttpResponse:
    """Answer the same from the event loop."""
    return HttpResponse("well")


class Monitor:
    """A view that is a bound method, which takes no attributes."""

    def view(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return HttpResponse("well")


def enumerated(request: HttpRequest) -> HttpResponse:
    """Answer with a status that is a member of an enumeration."""

    class Odd(int, Enum):
        FAILED = 599

    response = HttpResponse("odd")
    response.status_code = Odd.FAILED
    return response


@method_decorator(instrument.not_measured, name="dispatch")
class Unmeasured(View):
    """A class that is left out."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return HttpResponse("well")


def tool_error(request: HttpRequest, name: str) -> HttpResponse:
    """Raise one of the exceptions that say how a tool call ended."""
    raise getattr(instrument, name)("told", retry_after=float(request.GET.get("after", 1.5)))


urlpatterns = [
    path("", well),
    path("items/<int:number>/", well),
    path("api/", include([path("v1/<slug:name>", well)])),
    re_path(r"^old/(?P<year>[0-9]{4})/$", well),
    path("missing", missing),
    path("forbidden", forbidden),
    path("broken", broken),
    path("exits", exits),
    path("forks", forks),
    path("stream-that-forks", stream_that_forks),
    path("unavailable", unavailable),
    path("template", bad_template),
    path("stream", stream),
    path("broken-stream", broken_stream),
    path("file", file),
    path("async", well_async),
    path("broken-async", broken_async),
    path("waits", waits),
    path("stream-async", stream_async),
    path("unmeasured", unmeasured),
    path("unmeasured-async", unmeasured_async),
    path("unmeasured-method", instrument.not_measured(Monitor().view)),
    path("unmeasured-twin", instrument.not_measured(well)),
    path("enumerated", enumerated),
    path("unmeasured-class", Unmeasured.as_view()),
    path("tool/<str:name>", tool_error),
]

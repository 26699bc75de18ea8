"""Streams that do not come to their end: each request counts once, and is over."""

from __future__ import annotations

import asyncio
import gc
import io
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path

from metrics import activity, shared
from metrics.activity import ActivityMiddleware
from metrics.middleware import MetricsMiddleware
from tests.metrics.instrument.figures import Figures
from tests.metrics.instrument.test_requests import SERVED_IN_PARTS, row

pytestmark = pytest.mark.django_db  # a response that is closed closes what is old of these

GONE = "client_disconnected"


class Elsewhere(StreamingHttpResponse):
    """A response that keeps its parts where Django does not."""

    is_async = False

    @property
    def streaming_content(self) -> Iterator[bytes]:
        """Its only part."""
        return iter([b"a"])

    @streaming_content.setter
    def streaming_content(self, value: Any) -> None:
        pass


class BadFile(io.BytesIO):
    """A file on a disk that is gone."""

    def read(self, size: int | None = -1) -> bytes:
        """Raise."""
        raise LookupError


async def parts(error: BaseException | None) -> AsyncIterator[str]:
    """Yield two parts, then raise."""
    yield "a"
    yield "b"
    if error is not None:
        raise error


def sync_parts(error: BaseException) -> Iterator[str]:
    """Yield once, then raise."""
    yield "a"
    raise error


VIEWS: dict[str, Callable[[], HttpResponse | StreamingHttpResponse | None]] = {
    "whole": lambda: StreamingHttpResponse(parts(None)),
    "raises": lambda: StreamingHttpResponse(parts(LookupError())),
    "file-is-gone": lambda: StreamingHttpResponse(parts(FileNotFoundError())),
    "cancelled": lambda: StreamingHttpResponse(parts(asyncio.CancelledError())),
    "sync": lambda: StreamingHttpResponse(sync_parts(LookupError())),
    "fine": lambda: StreamingHttpResponse(iter(["a"])),
    "elsewhere": Elsewhere,
}
urlpatterns = [path(name, lambda request, view=view: view()) for name, view in VIEWS.items()]


async def _first_then_raise(content: Any) -> AsyncIterator[bytes]:
    async for part in content:
        yield part
        raise OverflowError


def above(get_response: Any) -> Any:
    """Put something else in the place of a stream, or around it, and close nothing."""

    def change(request: HttpRequest, response: Any) -> Any:
        if "replace" in request.GET:
            return HttpResponse("other")
        if "wrap" in request.GET:
            response.streaming_content = _first_then_raise(response.streaming_content)
        return response

    if asyncio.iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> Any:
            return change(request, await get_response(request))

        return middleware
    return lambda request: change(request, get_response(request))


above.async_capable = True  # type: ignore[attr-defined]


def below(get_response: Any) -> Any:
    """Return what is no response."""
    if asyncio.iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> Any:
            return None if "none" in request.GET else await get_response(request)

        return middleware
    return lambda request: None if "none" in request.GET else get_response(request)


below.async_capable = True  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[shared.Store]:
    """Serve the views above, and return the store in which requests are in progress."""
    made = shared.Store(tmp_path / "run", kind=lambda: "gunicorn")
    # There alone: the figures of these tests are kept in memory.
    monkeypatch.setattr(activity, "shared", SimpleNamespace(current=lambda: made))
    middleware = [
        f"{__name__}.above",
        "metrics.middleware.MetricsMiddleware",
        "metrics.activity.ActivityMiddleware",
        f"{__name__}.below",
    ]
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=middleware, ALLOWED_HOSTS=["*"]):
        yield made


def in_progress(store: shared.Store) -> list[int]:
    """Return what the only lane says, and the oldest request with it."""
    return [worker.in_progress + (worker.oldest_began > 0) for worker in store.workers()]


async def serve(target: str, fail_at: int = -1) -> str:
    """Serve a request as an ASGI server does whose ``fail_at``th message cannot be sent."""
    name, _, query = target.partition("?")
    received = sent = 0

    async def receive() -> Any:
        nonlocal received
        received += 1
        if received > 1:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal sent
        sent += 1
        if sent == fail_at:
            raise ConnectionResetError

    scope = {"type": "http", "method": "GET", "path": f"/{name}", "query_string": query.encode()}
    scope |= {"headers": [(b"host", b"x")], "http_version": "1.1", "scheme": "http"}
    try:
        await ASGIHandler()(scope, receive, send)
    except (LookupError, OSError, OverflowError, AttributeError) as e:
        return type(e).__name__
    return ""


@SERVED_IN_PARTS
@pytest.mark.parametrize(
    ("target", "fail_at", "raised", "status", "error"),
    [
        ("whole", -1, "", "200", ""),
        ("raises", -1, "LookupError", "200", "LookupError"),
        ("file-is-gone", -1, "FileNotFoundError", "200", "FileNotFoundError"),
        ("cancelled", -1, "", "200", GONE),
        ("sync", -1, "LookupError", "200", "LookupError"),
        ("fine", -1, "", "200", ""),
        ("elsewhere", -1, "", "200", ""),
        ("whole", 1, "ConnectionResetError", "200", GONE),  # the headers
        ("whole", 2, "ConnectionResetError", "200", GONE),  # a part
        ("whole", 4, "ConnectionResetError", "200", GONE),  # the last message
        ("fine", 2, "ConnectionResetError", "200", GONE),
        ("whole?replace", -1, "", "200", GONE),
        ("whole?wrap", -1, "OverflowError", "200", "OverflowError"),
        ("whole?none", -1, "AttributeError", "", "AttributeError"),
    ],
)
def test_what_django_does_not_close_under_asgi_ends(
    store: shared.Store, target: str, fail_at: int, raised: str, status: str, error: str
) -> None:
    """A stream that breaks, or cannot be sent, counts once, and leaves nothing in progress."""
    counted = Figures("http_server_request_duration_seconds_count")
    active = Figures("http_server_active_requests")

    async def scenario() -> None:
        gc.disable()  # what ends only when garbage is collected may never do
        try:
            assert await serve(target, fail_at) == raised
            route = "" if "none" in target else target.partition("?")[0]
            assert counted.new() == [row(route, status, error=error)]
            assert (active.new(), in_progress(store)) == ([], [0])
        finally:
            gc.enable()

    asyncio.run(scenario())


def sync_only(get_response: Any) -> Any:
    """Pass a request on, in a thread under ASGI."""
    return lambda request: get_response(request)


@pytest.mark.parametrize("fail_at", [1, 2])
def test_what_is_collected_as_garbage_ends(
    store: shared.Store, settings: Any, fail_at: int
) -> None:
    """Below a synchronous middleware no task tells that nothing could be sent."""
    counted = Figures("http_server_request_duration_seconds_count")
    settings.MIDDLEWARE = [f"{__name__}.sync_only", *settings.MIDDLEWARE]

    async def scenario() -> None:
        assert await serve("whole", fail_at) == "ConnectionResetError"
        assert await serve("whole") == ""  # until then some asgiref keep the exception
        gc.collect()

    asyncio.run(scenario())
    assert counted.new() == [row("whole", "200", error=GONE), row("whole", "200")]
    assert in_progress(store) == [0]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("fine?replace", row("fine", "200", error=GONE)),
        ("fine?none", row("", "", error="AttributeError")),
        ("elsewhere", row("elsewhere", "200")),
    ],
)
def test_what_nobody_closes_ends(
    store: shared.Store, target: str, expected: dict[str, Any]
) -> None:
    """A stream that a middleware drops, what is no response, and parts that cannot be watched."""
    counted = Figures("http_server_request_duration_seconds_count")
    active = Figures("http_server_active_requests")
    try:
        answer: Any = Client().get(f"/{target}")
    except AttributeError:  # Django's, of None
        assert "none" in target
    else:
        if answer.streaming:
            assert list(answer) == [b"a"]
            assert in_progress(store) == [2]
            answer.close()
    assert counted.new() == [expected]
    assert (active.new(), in_progress(store)) == ([], [0])


def test_a_stream_ends_once(store: shared.Store) -> None:
    """One that fails is over before it is closed, and closing it ends no other request."""
    counted = Figures("http_server_request_duration_seconds_count")
    active = Figures("http_server_active_requests")
    broken: Any = Client().get("/sync")
    other: Any = Client().get("/fine")
    with pytest.raises(LookupError):
        list(broken)
    for _ in range(2):
        assert active.new() == [{"http_request_method": "GET", "n": 1.0}]
        assert in_progress(store) == [2]
        broken.close()
    assert list(other) == [b"a"]
    other.close()
    assert counted.new() == [row("sync", "200", error="LookupError"), row("fine", "200")]
    assert (active.new(), in_progress(store)) == ([], [0])


def test_a_file_that_cannot_be_read(store: shared.Store) -> None:
    """A server that reads it by its file_wrapper meets the exception, and that is the end."""
    counted = Figures("http_server_request_duration_seconds_count")
    request = RequestFactory().get("/")
    view = ActivityMiddleware(lambda request: FileResponse(BadFile()))
    answer: Any = MetricsMiddleware(view)(request)
    assert in_progress(store) == [2]
    with pytest.raises(LookupError):
        answer.file_to_stream.read(10)
    assert counted.new() == [row("", "200", error="LookupError")]
    assert in_progress(store) == [0]
    answer.close()

"""Which requests are in progress, as the lanes tell it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from metrics import shared
from metrics.activity import ActivityMiddleware
from metrics.shared.files.lanes import IN_PROGRESS, OLDEST_BEGAN
from metrics.shared.writing.activity import Activity


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> shared.Store:
    """Return a store that the middleware takes for the process's."""
    made = shared.Store(tmp_path / "run", kind=lambda: "gunicorn")
    monkeypatch.setattr(shared, "current", lambda: made)
    return made


def in_progress(store: shared.Store) -> int:
    """Return what the only lane says."""
    (worker,) = store.workers()
    assert worker.alive
    assert (worker.oldest_began > 0) == (worker.in_progress > 0)
    return worker.in_progress


def test_a_request_is_in_progress_until_it_is_answered(store: shared.Store) -> None:
    """The lane shows one request inside the view and none after it."""
    inside: list[int] = []

    def view(request: HttpRequest) -> HttpResponse:
        inside.append(in_progress(store))
        return HttpResponse("done")

    response = ActivityMiddleware(view)(HttpRequest())
    assert isinstance(response, HttpResponse)
    assert response.content == b"done"
    assert (inside, in_progress(store)) == ([1], 0)


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_request_that_fails_is_over(
    store: shared.Store, error: Callable[[], BaseException]
) -> None:
    """Exceptions pass through, the exit of a worker's timeout included."""

    def view(request: HttpRequest) -> HttpResponse:
        raise error()

    with pytest.raises(type(error())):
        ActivityMiddleware(view)(HttpRequest())
    assert in_progress(store) == 0


@pytest.mark.django_db  # closing a response closes old connections, if there are any
def test_a_stream_is_in_progress_until_it_is_closed(store: shared.Store) -> None:
    """Its worker is busy while it streams, whatever the view has returned."""
    seen: list[int] = []

    def stream() -> Iterator[str]:
        seen.append(in_progress(store))
        yield "a"

    response = ActivityMiddleware(lambda request: StreamingHttpResponse(stream()))(HttpRequest())
    assert isinstance(response, StreamingHttpResponse)
    assert b"".join(response) == b"a"
    assert (seen, in_progress(store)) == ([1], 1)
    response.close()
    assert in_progress(store) == 0


def test_in_an_async_stack_it_awaits(store: shared.Store) -> None:
    """Requests run side by side, and one that is cancelled is over."""
    inside: list[int] = []

    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0.01)
        inside.append(in_progress(store))
        await asyncio.sleep(60 if request.path == "/long" else 0.01)
        return HttpResponse("done")

    async def scenario() -> None:
        middleware: Any = ActivityMiddleware(view)
        assert iscoroutinefunction(middleware)
        request = HttpRequest()
        request.path = "/long"
        long = asyncio.ensure_future(middleware(request))
        response = await middleware(HttpRequest())
        assert response.content == b"done"
        assert in_progress(store) == 1
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long

    asyncio.run(scenario())
    assert (inside, in_progress(store)) == ([2, 2], 0)


def test_an_async_stream_is_over_when_it_is_closed(store: shared.Store) -> None:
    """The same holds for a stream of an async view."""

    async def stream() -> AsyncIterator[str]:
        yield "a"

    async def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(stream())

    async def scenario() -> None:
        middleware: Any = ActivityMiddleware(view)
        response = await middleware(HttpRequest())
        assert [part async for part in response] == [b"a"]
        assert in_progress(store) == 1
        response.close()

    asyncio.run(scenario())
    assert in_progress(store) == 0


def test_a_fault_of_ours_does_not_reach_the_request(
    store: shared.Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that fails costs a line in the log, not the answer."""

    def broken(*args: object) -> int:
        raise OSError("no space")

    middleware = ActivityMiddleware(lambda request: HttpResponse("done"))
    monkeypatch.setattr(store.activity, "begin", broken)
    response = middleware(HttpRequest())
    assert isinstance(response, HttpResponse)
    assert response.content == b"done"
    monkeypatch.undo()
    monkeypatch.setattr(shared, "current", lambda: store)
    monkeypatch.setattr(store.activity, "end", broken)
    assert middleware(HttpRequest())
    assert [record.message for record in caplog.records] == [
        "this request is not shown as in progress",
        "this process's requests in progress are not told right",
    ]


def test_without_a_store_it_does_nothing() -> None:
    """In memory there is nobody to tell."""
    response = ActivityMiddleware(lambda request: HttpResponse("done"))(HttpRequest())
    assert isinstance(response, HttpResponse)
    assert response.content == b"done"


def test_the_capacity_is_told(store: shared.Store) -> None:
    """A worker says how many requests it takes at once, before and after its lane is there."""
    store.activity.set_capacity(4)
    store.claim()
    assert [(w.capacity, w.kind) for w in store.workers()] == [(4, "gunicorn")]
    store.activity.set_capacity(8)
    assert [w.capacity for w in store.workers()] == [8]


def test_a_finalizer_may_end_a_request_inside_of_any_call() -> None:
    """Garbage is collected at any moment, in the thread that tells of another request too."""
    activity = Activity()
    tokens = [activity.begin(), activity.begin()]

    class Head(list[float]):
        """A lane's header, while something is collected at each write to it."""

        def __setitem__(self, index: Any, value: Any) -> None:
            super().__setitem__(index, value)
            if tokens:
                activity.end(tokens.pop())

    head = Head([0.0] * 16)
    activity.attach(head)  # type: ignore[arg-type]
    assert (head[IN_PROGRESS], head[OLDEST_BEGAN]) == (0, 0)
    activity.begin()
    assert head[IN_PROGRESS] == 1
    assert head[OLDEST_BEGAN] > 0

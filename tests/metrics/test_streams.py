"""What sends bytes is alive: streaming responses and the lane's last activity."""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import File
from django.http import FileResponse, HttpRequest, StreamingHttpResponse

from metrics import shared
from metrics.activity import ActivityMiddleware
from metrics.shared.writing import activity as told


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> shared.Store:
    """Return a store that the middleware takes for the process's."""
    made = shared.Store(tmp_path / "run", kind=lambda: "gunicorn")
    monkeypatch.setattr(shared, "current", lambda: made)
    return made


class Clock:
    """A clock that a test sets; starts at 1000."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        """Return the time that was set."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock by which activity is told."""
    made = Clock()
    monkeypatch.setattr(told, "time", made)
    return made


def last_active(store: shared.Store) -> float:
    """Return what the only lane says."""
    (worker,) = store.workers()
    return worker.last_active


def served(response: StreamingHttpResponse) -> Any:
    """Return ``response`` as a server gets it from the middleware."""
    assert ActivityMiddleware(lambda request: response)(HttpRequest()) is response
    return response


def test_each_part_of_a_stream_is_activity(store: shared.Store, clock: Clock) -> None:
    """A part counts when it is made and when the next is asked for; an empty one does not."""
    made_at = iter([1010.0, 1030.0, 1050.0])

    def stream() -> Iterator[str]:
        for part in ("a", "", "b"):
            clock.now = next(made_at)
            yield part

    parts = iter(served(StreamingHttpResponse(stream())))
    seen = []
    for asked_at in (1001.0, 1020.0, 1040.0, 1060.0):
        clock.now = asked_at
        part = next(parts, None)
        seen.append((part, last_active(store)))
    assert seen == [(b"a", 1010.0), (b"", 1020.0), (b"b", 1050.0), (None, 1060.0)]


def test_each_part_of_an_async_stream_is_activity(store: shared.Store, clock: Clock) -> None:
    """The same holds for an async view's, which stays asynchronous."""

    async def stream() -> AsyncIterator[str]:
        for part in ("a", "b"):
            clock.now += 5
            yield part

    async def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(stream())

    async def scenario() -> list[tuple[bytes, float]]:
        middleware: Any = ActivityMiddleware(view)
        response = await middleware(HttpRequest())
        assert response.is_async
        return [(part, last_active(store)) async for part in response]

    assert asyncio.run(scenario()) == [(b"a", 1005.0), (b"b", 1010.0)]


def test_what_is_told_often_is_told_seldom(
    store: shared.Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand parts within a tenth of a second write to the lane once; a clock set back, too."""
    response = served(StreamingHttpResponse(iter(["a"] * 1000)))
    calls = []
    monkeypatch.setattr(store.activity, "progress", lambda: calls.append(clock.now))
    clock.now += 0.09
    parts = iter(response)
    for _ in range(998):
        next(parts)
    assert calls == []
    monkeypatch.undo()
    monkeypatch.setattr(told, "time", clock)
    clock.now = 900.0
    next(parts)
    assert last_active(store) == 900.0


def test_a_fault_of_ours_does_not_reach_the_stream(
    store: shared.Store,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A store that fails costs lines in the log, not the answer."""

    def broken() -> None:
        raise OSError("no space")

    response = served(StreamingHttpResponse(["a"]))
    clock.now += 1
    monkeypatch.setattr(store.activity, "progress", broken)
    assert list(response) == [b"a"]
    assert {record.message for record in caplog.records} == {
        "the progress of this response is not told"
    }


@pytest.mark.django_db  # closing a response closes old connections, if there are any
def test_a_stream_is_closed_once(store: shared.Store) -> None:
    """What Django closes with a response, it closes as it would without the middleware."""
    closed = []

    class Stream:
        def __iter__(self) -> Iterator[str]:
            return iter(["a"])

        def close(self) -> None:
            closed.append("stream")

    response = served(StreamingHttpResponse(Stream()))
    assert list(response) == [b"a"]
    response.close()
    assert closed == ["stream"]


@pytest.mark.django_db  # closing a response closes old connections, if there are any
@pytest.mark.parametrize("kind", [io.BytesIO, lambda data: File(io.BytesIO(data), "name")])
def test_reading_a_file_is_activity(
    store: shared.Store, clock: Clock, kind: Callable[[bytes], Any]
) -> None:
    """A server that reads a file by its file_wrapper, or iterates it, shows progress."""
    file = kind(b"abcdef")
    response: Any = served(FileResponse(file))
    response.file_to_stream.close = response.close  # as Django does for a file_wrapper
    clock.now = 1010.0
    assert response.file_to_stream.read(2) == b"ab"
    assert last_active(store) == 1010.0
    clock.now = 1020.0
    assert list(response) == [b"cdef"]
    assert last_active(store) == 1020.0
    with pytest.raises(io.UnsupportedOperation):
        response.file_to_stream.fileno()
    assert last_active(store) == 1020.0
    response.file_to_stream.close()
    assert file.closed
    assert [w.in_progress for w in store.workers()] == [0]


@pytest.mark.django_db  # closing a response closes old connections, if there are any
def test_a_file_that_the_kernel_sends_cannot_be_watched(
    store: shared.Store, clock: Clock, tmp_path: Path
) -> None:
    """From where the server takes its descriptor until it is closed its process is not stuck."""
    (tmp_path / "file").write_bytes(b"a")
    file = (tmp_path / "file").open("rb")
    response: Any = served(FileResponse(file))
    assert last_active(store) == 1000.0
    assert response.file_to_stream.fileno() == file.fileno()
    assert last_active(store) == math.inf
    other = served(FileResponse(io.BytesIO()))
    clock.now = 1010.0
    other.close()
    assert last_active(store) == math.inf
    clock.now = 1020.0
    response.close()
    assert last_active(store) == 1020.0

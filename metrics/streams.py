"""Streaming responses that are watched: each part, and how they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, Protocol

from django.http import FileResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from metrics.shared import Store

logger = logging.getLogger(__name__)


class Watcher(Protocol):
    """Is notified of how one response goes. Must not raise."""

    def asked(self) -> None:
        """Note that the server wants more: it has sent what it got last."""

    def passed(self, part: object) -> None:
        """Note a part on its way to the server."""

    def handed_over(self) -> None:
        """Note that the kernel sends the rest, which nobody can watch."""

    def ended(self) -> None:
        """Note that the server has got the last part."""

    def failed(self, error: BaseException) -> None:
        """Note that the next part could not be had. It is the end: nobody may close it."""

    def dropped(self, error: BaseException) -> None:
        """Note that the sending ended with ``error``, which also follows on `failed`."""


def watch(response: HttpResponseBase, watcher: Watcher) -> bool:
    """Tell ``watcher`` of each part that a streaming response sends, and how it ends.

    All else about ``response`` stays as it is: what closes it, whether it is
    asynchronous, and that a server may send its file with ``wsgi.file_wrapper``. Return
    whether it can be watched: one that is no `StreamingHttpResponse`, or keeps its parts
    elsewhere, cannot.
    """
    inner: Any = response
    parts = getattr(inner, "_iterator", None)
    if parts is None or not isinstance(response, StreamingHttpResponse):
        return False
    # Not by `streaming_content`, which would close twice and forget `file_to_stream`.
    inner._iterator = (_AsyncParts if response.is_async else _Parts)(parts, watcher)
    if isinstance(response, FileResponse) and response.file_to_stream is not None:
        inner.file_to_stream = _File(response.file_to_stream, watcher)
    _watch_sending(watcher)
    return True


def _watch_sending(watcher: Watcher) -> None:
    """Tell ``watcher`` if the task that sends under ASGI fails: Django closes nothing then."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # a server that is not asynchronous, which closes whatever it sends
        return

    def tell(task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            watcher.dropped(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            watcher.dropped(error)

    if task is not None:
        task.add_done_callback(tell)


class Progress:
    """Shows by each part that a response sends that its process is alive. Never raises.

    A thread that streams neither begins nor ends a request for as long as that takes.
    """

    def __init__(self, store: Store, token: int, end: Callable[[], None]) -> None:
        """``end`` notes that the request is over, and may be called often."""
        self._store = store
        self._token = token
        self._end = end
        self._last: object = b""

    def asked(self) -> None:
        """Note that the server wants more: it has sent what it got last."""
        if self._last:
            self._tell()

    def passed(self, part: object) -> None:
        """Note a part on its way to the server. One that is empty is no progress."""
        self._last = part
        if part:
            self._tell()

    def handed_over(self) -> None:
        """Note that the kernel sends the rest, which nobody can watch."""
        try:
            self._store.mend_lane()
            self._store.activity.leave_unwatched(self._token)
        except Exception:
            logger.exception("a file that the kernel sends is not told")

    def ended(self) -> None:
        """Note that the server has got the last part."""

    def failed(self, error: BaseException) -> None:
        """Note that the request is over."""
        self._end()

    def dropped(self, error: BaseException) -> None:
        """Note that the request is over."""
        self._end()

    def _tell(self) -> None:
        try:
            activity = self._store.activity
            if activity.progress_is_due:
                self._store.mend_lane()
                activity.progress()
        except Exception:
            logger.exception("the progress of this response is not told")


class _Parts:
    def __init__(self, parts: Iterator[object], watcher: Watcher) -> None:
        self._parts = parts
        self._watcher = watcher

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        self._watcher.asked()
        try:
            part = next(self._parts)
        except StopIteration:
            self._watcher.ended()
            raise
        except BaseException as e:
            self._watcher.failed(e)
            raise
        self._watcher.passed(part)
        return part


class _AsyncParts:
    def __init__(self, parts: AsyncIterator[object], watcher: Watcher) -> None:
        self._parts = parts
        self._watcher = watcher

    def __aiter__(self) -> AsyncIterator[object]:
        return self

    async def __anext__(self) -> object:
        self._watcher.asked()
        try:
            part = await anext(self._parts)
        except StopAsyncIteration:
            self._watcher.ended()
            raise
        except BaseException as e:
            self._watcher.failed(e)
            raise
        self._watcher.passed(part)
        return part


class _File:
    """A file as the server's ``wsgi.file_wrapper`` uses it."""

    def __init__(self, file: Any, watcher: Watcher) -> None:
        self._file = file
        self._watcher = watcher

    def read(self, *size: int) -> object:
        """Read, as the server does before it sends."""
        self._watcher.asked()
        try:
            part: bytes = self._file.read(*size)
        except BaseException as e:
            self._watcher.failed(e)
            raise
        self._watcher.passed(part)
        if not part or (size and len(part) < size[0]):
            self._watcher.ended()
        return part

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._file, name)
        return partial(self._descriptor, value) if name == "fileno" else value

    def _descriptor(self, fileno: Any) -> int:
        descriptor: int = fileno()
        self._watcher.handed_over()
        return descriptor

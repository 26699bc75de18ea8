"""Tells, in this process's lane, which requests are in progress.

From it the health server knows busy from idle, and how long the oldest request runs,
without asking a worker that has no time to answer.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from metrics import history, shared, streams
from metrics.scraping import answer_scrapes

logger = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class ActivityMiddleware:
    """Count a request as in progress from here until it is answered, or fails.

    A streaming response is in progress until it is closed, and each part that it sends shows
    that the process is alive. Place it first, or right after
    ``health.middleware.HealthMiddleware``. Without a shared store it does nothing.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._pid = 0
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Pass the request on; in an async stack the result is awaitable."""
        if self._is_async:
            return self._call_async(request)
        end = self._begin()
        try:
            response: Any = self.get_response(request)
            end = _postpone(response, end)
        finally:
            end()
        return response  # type: ignore[no-any-return]

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        end = self._begin()
        try:
            response: Any = await self.get_response(request)  # type: ignore[misc]
            end = _postpone(response, end)
        finally:
            end()
        return response  # type: ignore[no-any-return]

    def _begin(self) -> Callable[[], None]:
        """Note the beginning, and return what notes the end."""
        store = shared.current()
        if store is None:
            return _nothing
        try:
            if self._pid != os.getpid():  # a worker that no hook of gunicorn announced
                store.claim()
                self._pid = os.getpid()
                answer_scrapes()
                history.keep()
            store.mend_lane()
            return _Running(store, store.activity.begin())
        except Exception:
            logger.exception("this request is not shown as in progress")
            return _nothing


class _Running:
    """A request in progress; call it when the request has ended, once or more often.

    One that nobody holds any longer has ended, too: neither is its response.
    """

    def __init__(self, store: shared.Store, token: int) -> None:
        self._store: shared.Store | None = store
        self._token = token

    def watch(self, response: HttpResponseBase) -> None:
        """Have each part of a streaming response show that this process is alive."""
        if (store := self._store) is None:
            return
        try:
            streams.watch(response, streams.Progress(store, self._token, self))
        except Exception:
            logger.exception("the progress of this response is not told")

    def __call__(self) -> None:
        store, self._store = self._store, None
        if store is None:
            return
        try:
            store.mend_lane()
            store.activity.end(self._token)
        except Exception:
            logger.exception("this process's requests in progress are not told right")

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if self._store is not None and not is_finalizing():
            self()


def _nothing() -> None:
    """Note nothing."""


def _postpone(response: Any, end: Callable[[], None]) -> Callable[[], None]:
    """Leave the end to the closing of a response that is still to be produced."""
    # What is no response, as None, is Django's to complain of.
    if not isinstance(end, _Running) or not getattr(response, "streaming", False):
        return end
    try:
        # Where Django itself puts what is to be closed with a response, as files are.
        response._resource_closers.append(end)
    except AttributeError:
        return end
    end.watch(response)
    return _nothing

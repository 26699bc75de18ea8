"""Marks the calls that Sentinel makes for itself: they are no calls of the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_made: ContextVar[bool] = ContextVar("sentinel_own_calls", default=False)


@contextmanager
def own_calls() -> Iterator[None]:
    """Leave out what is called inside from the figures of the service's outgoing calls."""
    token = _made.set(True)
    try:
        yield
    finally:
        _made.reset(token)


def is_own_call() -> bool:
    """Whether Sentinel calls for itself, in this thread or task."""
    return _made.get()

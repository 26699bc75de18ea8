"""Marks for views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])

_MARK = "sentinel_not_measured"


def not_measured(view: View) -> View:
    """Leave the requests of a view out of ``http_server_request_duration_seconds``.

    For a function, or by ``method_decorator(not_measured, name="dispatch")`` for a class.
    Put it outermost, or above decorators that keep a function's attributes.
    """
    setattr(view, _MARK, True)
    return view


def is_measured(view: object) -> bool:
    """Whether the requests of ``view`` count."""
    return not getattr(view, _MARK, False)

"""Marks for views."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction

View = TypeVar("View", bound=Callable[..., Any])

NOT_MEASURED = "sentinel_not_measured"
"""Attribute of a view whose requests do not count."""


def not_measured(view: View) -> View:
    """Return ``view`` with its requests left out of ``http_server_request_duration_seconds``.

    What was given stays measured where it is used by itself. For a function of either kind, or
    by ``method_decorator(not_measured, name="dispatch")`` for a class. Put it outermost, or
    above decorators that keep a function's attributes.
    """
    wrapper: Callable[..., Any]
    if iscoroutinefunction(view):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await view(*args, **kwargs)

    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **kwargs)

    functools.update_wrapper(wrapper, view)
    setattr(wrapper, NOT_MEASURED, True)
    return cast(View, wrapper)

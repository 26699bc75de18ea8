"""Measures what a service does: tool calls by a decorator, all else by ``SENTINEL_INSTRUMENT``.

Use `tool`, the exceptions that say how a call ended, and `not_measured`. The modules beside
this one measure requests, database queries and cache calls; each is loaded only where
``SENTINEL_INSTRUMENT`` names it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metrics.instrument.tools import tool
    from metrics.instrument.views import not_measured
    from metrics.tool_calls import (
        CircuitOpen,
        Denied,
        InvalidArguments,
        Killed,
        RateLimited,
        ToolCallError,
    )

__all__ = [
    "CircuitOpen",
    "Denied",
    "InvalidArguments",
    "Killed",
    "RateLimited",
    "ToolCallError",
    "not_measured",
    "tool",
]

_ELSEWHERE = {"tool": "metrics.instrument.tools", "not_measured": "metrics.instrument.views"}


def __getattr__(name: str) -> Any:
    """Load what is asked for: most processes measure, and record no tool call."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_ELSEWHERE.get(name, "metrics.tool_calls")), name)

"""Measures what a service does: tool calls by a decorator, all else by ``SENTINEL_INSTRUMENT``.

Use `tool`, the exceptions that say how a call ended, and `not_measured`. The modules beside
this one measure requests, database queries and cache calls; each is loaded only where
``SENTINEL_INSTRUMENT`` names it.
"""

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

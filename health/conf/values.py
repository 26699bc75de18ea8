"""What the values of settings may be."""

from __future__ import annotations

from typing import Any

MAX_SECONDS = 1e8
"""The longest time that makes sense, some three years: more is a slip, and overflows somewhere."""


def is_dotted_path(value: Any) -> bool:
    """Whether ``value`` is words with dots between them, as the path of a thing in a module is."""
    return isinstance(value, str) and "." in value and all(map(str.isidentifier, value.split(".")))


def is_seconds(value: Any) -> bool:
    """Whether ``value`` is a time of 0 seconds or more that a clock can hold."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 <= value <= MAX_SECONDS

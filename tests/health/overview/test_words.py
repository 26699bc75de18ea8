"""Figures in words."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan

import pytest

from health.overview import words


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (words.seconds, 0.0, "0 s"),
        (words.seconds, 0.0000123, "12.3 µs"),
        (words.seconds, 0.01234, "12.3 ms"),
        (words.seconds, 1.5, "1.5 s"),
        (words.seconds, 1234.0, "1,234 s"),
        (words.seconds, nan, "-"),
        (words.seconds, inf, "-"),
        (words.rate, 12.345, "12.3/s"),
        (words.rate, 0.0, "0/s"),
        (words.rate, nan, "-"),
        (words.ratio, 0.0512, "5.12 %"),
        (words.ratio, 1.0, "100 %"),
        (words.ratio, nan, "-"),
        (words.size, 512.0, "512 B"),
        (words.size, 43.2 * 2**20, "43.2 MiB"),
        (words.size, 3000 * 2.0**40, "3,072,000 GiB"),
        (words.size, None, "-"),
        (words.number, 1234567.0, "1,234,567"),
        (words.number, nan, "-"),
    ],
)
def test_words(write: Callable[[float | None], str], value: float | None, text: str) -> None:
    """Three digits, the unit that fits, and a dash where there is no figure."""
    assert write(value) == text

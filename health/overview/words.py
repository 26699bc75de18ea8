"""Figures in words, as people read them in a table."""

from __future__ import annotations

from math import isfinite

NONE = "-"
"""What stands where there is no figure."""


def seconds(value: float) -> str:
    """Write a duration, as ``1.25 ms``."""
    if not isfinite(value):
        return NONE
    if value < 0.001:
        return f"{_short(value * 1e6)} µs" if value else "0 s"
    return f"{_short(value * 1e3)} ms" if value < 1 else f"{_short(value)} s"


def rate(value: float) -> str:
    """Write how often something happens a second, as ``12.5/s``."""
    return f"{_short(value)}/s" if isfinite(value) else NONE


def ratio(value: float) -> str:
    """Write a share, 0 to 1, in per cent."""
    return f"{_short(value * 100)} %" if isfinite(value) else NONE


def size(value: float | None) -> str:
    """Write a number of bytes, as ``41.2 MiB``."""
    if value is None:
        return NONE
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{_short(value)} {unit}"
        value /= 1024
    return f"{_short(value)} GiB"


def number(value: float) -> str:
    """Write a count, thousands parted."""
    return f"{value:,.0f}" if isfinite(value) else NONE


def _short(value: float) -> str:
    """Write three digits at least, none of them a needless 0."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"

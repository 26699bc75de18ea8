"""Which families the limit of series does not hold for."""

from __future__ import annotations

DROPPED = "sentinel_series_dropped"
"""Counts, by family, the label sets that were folded into an overflow series."""

_exempt = {DROPPED}


def exempt(*names: str) -> None:
    """Let families of these names have as many series as they need.

    For those whose label values are few and of our own making, not of callers': a
    limit set low for the others would only make them useless. To be called before the
    metric is made.
    """
    _exempt.update(name.removesuffix("_total") for name in names)


def is_exempt(name: str) -> bool:
    """Whether a family, named without ``_total``, may have any number of series."""
    return name in _exempt

"""Which families the limit of series does not hold for."""

from __future__ import annotations

from metrics.shared.files.catalog import FamilyKey

DROPPED_KEY = FamilyKey("sentinel_series_dropped", "counter", "", ("family",), ())
"""Counts, by family, the label sets that were folded into an overflow series."""

DROPPED_HELP = (
    "Label sets that were folded into an overflow series, by family; each process counts one once"
)

_exempt = {DROPPED_KEY.name}


def exempt(*names: str) -> None:
    """Let families of these names have as many series as they need.

    For those whose label values are few and of our own making, not of callers': a
    limit set low for the others would only make them useless. To be called before the
    metric is made.
    """
    _exempt.update(name.removesuffix("_total") for name in names)


def is_limited(key: FamilyKey) -> bool:
    """Whether a family may have only so many series."""
    return bool(key.labelnames) and key.name not in _exempt

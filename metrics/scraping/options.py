"""What a scrape shows and how long it may take: the options of one scrape, or of an endpoint."""

from __future__ import annotations

from dataclasses import dataclass

TIME_LIMIT = 10.0
"""Seconds that a scrape may take when its client does not say: Prometheus' own default."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a scrape is to show, and how long it may take."""

    names: frozenset[str] | None = None
    """Keep only families and samples of these names; None: keep all."""
    created: bool = False
    """Add ``_created`` samples, which tell when each series was made."""
    time_limit: float = TIME_LIMIT
    """Seconds; collectors that need longer are left out."""

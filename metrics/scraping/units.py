"""Give families of the shared store the units that this process's metrics have.

The store does not keep them: OpenMetrics alone shows them, and every process that
answers a scrape has the metric at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from metrics.samples import Layout


class Units:
    """Adds units to a layout; the last one is kept, so that its text can be, too."""

    def __init__(self) -> None:
        self._latest: tuple[Layout, Mapping[str, str], Layout] | None = None

    def add(self, layout: Layout, units: Mapping[str, str]) -> Layout:
        """Return ``layout`` with ``units``, given by family's name; the same while it can."""
        if not units:
            return layout
        latest = self._latest
        if latest is None or latest[0] is not layout or latest[1] != units:
            families = tuple(
                replace(family, unit=units[family.name]) if family.name in units else family
                for family in layout.families
            )
            latest = self._latest = layout, units, Layout(families)
        return latest[2]

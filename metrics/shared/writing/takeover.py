"""What becomes of a dead process's values when another takes its lane."""

from __future__ import annotations

import math
from collections.abc import Iterable

from metrics.shared.files.catalog import LIVING_ONLY, FamilyRecord
from metrics.shared.gauges import merge_gauge


def retire_gauges(cells: memoryview[float], families: Iterable[FamilyRecord]) -> None:
    """Set the gauges of a dead process's lane to unset, keeping what modes keep.

    Where only the living count, it dies with its process. Of the others what it left is
    merged, as their mode says, into the two cells that stand for all the dead of this lane.
    """
    for family in families:
        if family.key.type != "gauge":
            continue
        for cell in [*family.series.values(), *(cell for _labels, cell in family.extra)]:
            if cell + family.width > len(cells) or not cells[cell + 1]:
                continue
            if family.key.mode not in LIVING_ONLY:
                value, when, old, old_when = cells[cell : cell + 4]
                cells[cell + 2] = merge_gauge(family.key.mode, [(old, old_when), (value, when)])
                cells[cell + 3] = max(when, old_when)
            cells[cell + 1] = 0.0
            cells[cell] = 0.0


def drop_damaged_counts(cells: memoryview[float], families: Iterable[FamilyRecord]) -> None:
    """Set counts to 0 that no count can be, so that the heir does not count into them."""
    for family in families:
        if family.key.type == "gauge":
            continue
        counts = family.width - (family.key.type in ("histogram", "summary"))
        for first in [*family.series.values(), *(cell for _labels, cell in family.extra)]:
            for cell in range(first, min(first + counts, len(cells))):
                if not 0.0 <= cells[cell] < math.inf:
                    cells[cell] = 0.0

"""What the index says: families, their series, and each series' cell numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

LIVE_MODES = frozenset({"liveall", "livemax", "livemin", "livemostrecent", "livesum"})
LIVING_ONLY = LIVE_MODES | {"all"}
"""Modes of gauges that only living processes count for. ``all``, the default, is one of them:
its series say what a worker's value is, and a process that has ended has none."""
OVERFLOW = "overflow"
"""The value of every label of the series that label sets beyond the limit fold into."""

PROVISIONAL = 1 << 40
"""First number of the cells of series that could not be entered in the index."""

LabelValues = tuple[str, ...]


class FamilyKey(NamedTuple):
    """What makes two definitions of a family one: all but its help text.

    ``mode`` is a gauge's multiprocess mode and else empty; ``bounds`` are a
    histogram's upper bounds as their ``le`` labels say them, and else empty.
    """

    name: str
    type: str
    mode: str
    labelnames: tuple[str, ...]
    bounds: tuple[str, ...]

    @property
    def width(self) -> int:
        """How many cells a series of this family takes.

        A counter has one; a summary its count and sum; a histogram its buckets, each
        on its own, and the sum; a gauge its value and when it was set, and, unless it
        is a live one, what a dead process left, and when that was set (0 in mode ``all``).
        """
        if self.type == "histogram":
            return len(self.bounds) + 1
        if self.type == "gauge":
            return 2 if self.mode in LIVE_MODES else 4
        return 2 if self.type == "summary" else 1


class FamilyRecord:
    """A family in the index; ``series`` maps label values to the first cell.

    ``removed`` holds what was there when a series was removed: the sums of its
    cells, or for a gauge the moment. It stays when the series comes back, since
    cells never go down. ``hidden`` are the removed ones that did not come back.
    """

    __slots__ = (
        "extra", "help", "hidden", "key", "offset", "removed", "series", "version", "width"
    )  # fmt: skip

    def __init__(self, offset: int, key: FamilyKey, help_text: str) -> None:
        self.offset = offset
        self.key = key
        self.help = help_text
        self.series: dict[LabelValues, int] = {}
        self.removed: dict[LabelValues, tuple[float, ...]] = {}
        self.hidden: set[LabelValues] = set()
        self.extra: list[tuple[LabelValues, int]] = []
        self.version = 0
        self.width = key.width


class Catalog:
    """Families and series by what identifies them, kept up to date from the index."""

    def __init__(self) -> None:
        self.families: dict[int, FamilyRecord] = {}
        self.by_key: dict[FamilyKey, FamilyRecord] = {}
        self.series_by_name: dict[str, int] = defaultdict(int)
        self.next_cell = 0
        self.version = 0

    def add_family(self, offset: int, key: FamilyKey, help_text: str) -> FamilyRecord:
        """Enter a family; one that is known already stays as it is."""
        record = self.by_key.get(key)
        if record is None:
            record = FamilyRecord(offset, key, help_text)
            self.by_key[key] = record
        self.families[offset] = record
        self.version += 1
        return record

    def add_series(self, family: FamilyRecord, labelvalues: LabelValues, cell: int) -> None:
        """Enter a series, or bring a removed one back.

        After damage to the index a series may stand in it twice with other cells;
        both count then.
        """
        known = family.series.get(labelvalues)
        if known is None:
            family.series[labelvalues] = cell
            self._count(family, labelvalues, 1)
        elif known != cell:
            family.extra.append((labelvalues, cell))
        elif labelvalues in family.hidden:
            family.hidden.discard(labelvalues)
            self._count(family, labelvalues, 1)
        if (end := cell + family.width) > self.next_cell:
            self.next_cell = end
        family.version += 1
        self.version += 1

    def _count(self, family: FamilyRecord, labelvalues: LabelValues, more: int) -> None:
        if labelvalues.count(OVERFLOW) < len(labelvalues):
            self.series_by_name[family.key.name] += more

    def remove_series(
        self, family: FamilyRecord, labelvalues: LabelValues, baseline: Iterable[float]
    ) -> None:
        """Hide a series until somebody writes to it again, then count from there."""
        if labelvalues not in family.series:
            return
        if labelvalues not in family.hidden:
            family.hidden.add(labelvalues)
            self._count(family, labelvalues, -1)
        family.removed[labelvalues] = tuple(baseline)
        family.version += 1
        self.version += 1

    def find(self, key: FamilyKey, labelvalues: LabelValues) -> int | None:
        """Return the first cell of a series that is there and was not removed."""
        family = self.by_key.get(key)
        if family is None or labelvalues in family.hidden:
            return None
        return family.series.get(labelvalues)

    def is_full(self, name: str, limit: int) -> bool:
        """Whether the families called ``name`` hold ``limit`` series besides the overflow."""
        return self.series_by_name[name] >= limit

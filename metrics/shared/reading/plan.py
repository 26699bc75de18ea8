"""How to get from summed lanes to the lines of a scrape, prepared once an index version.

Each family's part puts its series in an order, each line with the place of its value
in one long list: the sums of all cells, then what had to be computed apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from operator import is_not, itemgetter

from prometheus_client.samples import Exemplar

from metrics.samples import Family, Layout, SampleKey, Snapshot, Worker
from metrics.shared.files.catalog import PROVISIONAL, FamilyRecord
from metrics.shared.reading.family_rows import GaugePart, GrowingPart, Images

FAULTS = "sentinel_store_faults"
_FAULTS_HELP = (
    "How often the shared metrics store could not be written, so that a process counted in"
    " its memory for a while, by reason"
)


class Plan:
    """All parts, and the layout as it was at the last read."""

    def __init__(
        self,
        version: object,
        records: Iterable[FamilyRecord],
        cells: int,
        before: Plan | None,
    ) -> None:
        self.version = version
        self.cells = cells
        self.records = list(records)
        self._places: dict[int, int] = {}
        groups: dict[str, list[FamilyRecord]] = defaultdict(list)
        for record in self.records:
            groups[record.key.name].append(record)
            for cell in record.series.values() if record.offset < 0 else ():
                for i in range(record.width):
                    self._places[cell + i] = cells + len(self._places)
        self.homeless_cells = len(self._places)
        self.growing: dict[str, GrowingPart] = {}
        self.gauges: dict[str, GaugePart] = {}
        self.left_out: list[str] = []
        old: dict[str, GrowingPart | GaugePart] = {}
        if before is not None:
            old = {**before.growing, **before.gauges}
        for name, group in groups.items():
            self._add_part(name, group, old.get(name))
        self._parts: list[tuple[str, GrowingPart | GaugePart]] = sorted(
            (*self.growing.items(), *self.gauges.items()), key=itemgetter(0)
        )
        self.orphans = _cells_without_series(self.records, cells)
        self._gauge_cells = [c for part in self.gauges.values() for c in part.cells()]
        self._families: list[Family] = []
        self._layout = Layout(())
        self._order: list[int] = []
        self._positions: dict[int, int] | None = None

    def _add_part(
        self, name: str, group: list[FamilyRecord], old: GrowingPart | GaugePart | None
    ) -> None:
        newest = max(group, key=lambda record: record.offset)
        same = [record for record in group if record.key.type == newest.key.type]
        if len(same) < len(group):
            others = sorted({record.key.type for record in group} - {newest.key.type})
            self.left_out.append(
                f"{name}: defined as {' and '.join(others)} too; its {newest.key.type} is shown"
            )
        if (
            old is not None
            and not self.homeless_cells
            and old.version == tuple((id(record), record.version) for record in old.records)
            and old.records == sorted(same, key=lambda record: record.offset)
        ):
            part: GrowingPart | GaugePart = old
        elif newest.key.type == "gauge":
            part = GaugePart(same, self._places)
        else:
            part = GrowingPart(same, self._places)
        if isinstance(part, GaugePart):
            self.gauges[name] = part
        else:
            self.growing[name] = part

    def place(self, cell: int) -> int | None:
        """Return the place of a cell in the list of sums, if it has one."""
        if cell >= PROVISIONAL:
            return self._places.get(cell)
        return cell if cell < self.cells else None

    def clear_gauges(self, sums: list[float]) -> None:
        """Set to 0 what must not be summed, and may well be negative or not a number."""
        for cell, width in self._gauge_cells:
            sums[cell : cell + width] = [0.0] * width

    def growing_cells(self) -> Iterable[int]:
        """Yield the places that hold counts, which are finite and never negative."""
        for part in self.growing.values():
            for record in part.records:
                width = record.width - (record.key.type in ("histogram", "summary"))
                for cell in record.series.values():
                    if cell < PROVISIONAL:
                        yield from range(cell, cell + width)

    def finish(
        self,
        sums: list[float],
        images: Images,
        living: Container[int],
        found: Mapping[int, Exemplar],
        faults: Mapping[str, int],
        left_out: Sequence[str],
        workers: tuple[Worker, ...],
    ) -> Snapshot:
        """Return the snapshot; ``sums`` is used up."""
        for growing in self.growing.values():
            growing.correct(sums)
        families: list[Family] = []
        places: list[Sequence[int]] = []
        extra = len(sums)
        for _name, part in self._parts:
            if isinstance(part, GaugePart):
                family, values = part.arrange(images, living)
                places.append(range(len(sums), len(sums) + len(values)))
                sums.extend(values)
            else:
                family, order = part.arrange(sums)
                places.append(order)
            families.append(family)
        for growing in self.growing.values():
            for buckets in growing.buckets:
                sums[buckets] = accumulate(sums[buckets])
        families.append(_faults_family(tuple(faults)))
        places.append(range(len(sums), len(sums) + len(faults)))
        sums.extend(map(float, faults.values()))
        if len(families) != len(self._families) or any(map(is_not, families, self._families)):
            self._families = families
            self._layout = Layout(tuple(families))
            self._order = [place for part in places for place in part]
            self._pick = itemgetter(*self._order)  # at least one a reason for faults: a tuple
            self._positions = None
        values = self._pick(sums)
        return Snapshot(
            self._layout,
            values,
            self._place_exemplars(found, extra) if found else {},
            (*self.left_out, *left_out),
            workers,
        )

    def _place_exemplars(self, found: Mapping[int, Exemplar], end: int) -> dict[int, Exemplar]:
        if self._positions is None:
            self._positions = {}
            for position, place in enumerate(self._order):
                if place < end:  # a histogram's count shares the place of its last bucket
                    self._positions.setdefault(place, position)
        positions = self._positions
        return {positions[cell]: e for cell, e in found.items() if cell in positions}


def _cells_without_series(records: Iterable[FamilyRecord], cells: int) -> Sequence[int]:
    """Return which of the first ``cells`` cells are no series': where the index was damaged."""
    firsts = [
        (cell, record.width)
        for record in records
        for cell in (*record.series.values(), *(cell for _labels, cell in record.extra))
        if cell < cells
    ]
    if sum(width for _cell, width in firsts) >= cells:
        return ()
    known = bytearray(cells)
    for cell, width in firsts:
        known[cell : cell + width] = bytes([1]) * width
    return [place for place, is_known in enumerate(known) if not is_known]


@cache
def _faults_family(reasons: tuple[str, ...]) -> Family:
    samples = tuple(SampleKey(FAULTS + "_total", (("reason", r),)) for r in reasons)
    return Family(FAULTS, "counter", _FAULTS_HELP, "", samples)

"""How to get from summed lanes to the lines of a scrape, prepared once an index version.

A part is one family name. Its series stand in an order, each line with the place of
its value in one long list: the sums of all cells, then what had to be computed apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from operator import is_not, itemgetter

from prometheus_client.samples import Exemplar

from metrics.shared.catalog import PROVISIONAL, FamilyRecord, LabelValues
from metrics.shared.gauges import gauge_entries, merge_gauge
from metrics.shared.model import Family, Labels, Layout, SampleKey, Snapshot

WORKER_LABEL = "worker"
FAULTS = "sentinel_store_faults"
_FAULTS_HELP = (
    "How often the shared metrics store could not be written, so that a process counted in"
    " its memory for a while, by reason"
)

Images = Mapping[int, Sequence[float]]


class _Part:
    """All series of one family name, out of one definition of it or several."""

    def __init__(self, records: Sequence[FamilyRecord], place: Mapping[int, int]) -> None:
        self.records = sorted(records, key=lambda record: record.offset)
        self.version = tuple((id(record), record.version) for record in self.records)
        self.newest = self.records[-1]
        self.name = self.newest.key.name
        self._place = place
        self.fixes: list[tuple[int, int]] = []
        self.baselines: list[tuple[int, tuple[float, ...]]] = []
        self.buckets: list[slice] = []
        self.series: dict[Labels, list[tuple[FamilyRecord, LabelValues, int]]] = defaultdict(list)
        for record in self.records:
            names = record.key.labelnames
            for labelvalues, cell in record.series.items():
                labels = tuple(zip(names, labelvalues, strict=False))
                same = labels if len(self.records) == 1 else tuple(sorted(labels))
                self.series[same].append((record, labelvalues, self._at(cell)))

    def _at(self, cell: int) -> int:
        return cell if cell < PROVISIONAL else self._place[cell]


class GrowingPart(_Part):
    """Counters, histograms and summaries: their lanes add up."""

    def __init__(self, records: Sequence[FamilyRecord], place: Mapping[int, int]) -> None:
        super().__init__(records, place)
        self.type = self.newest.key.type
        self.hidden: list[tuple[Labels, int, int]] = []
        self._lines: dict[Labels, list[tuple[SampleKey, int]]] = {}
        for labels, entries in self.series.items():
            first = entries[0]
            for record, labelvalues, cell in entries:
                width = record.key.width
                for extra_labels, extra in record.extra:
                    if extra_labels == labelvalues:
                        self.fixes += [(cell + i, self._at(extra) + i) for i in range(width)]
                if base := record.removed.get(labelvalues):
                    self.baselines.append((cell, base))
            for record, _labelvalues, cell in entries[1:]:
                self.fixes += [(first[2] + i, cell + i) for i in range(record.key.width)]
            record, labelvalues, cell = first
            if all(entry[1] in entry[0].hidden for entry in entries):
                self.hidden.append((labels, cell, record.key.width))
            self._lines[labels] = self._lines_of(record, labels, cell)
            if record.key.type == "histogram":
                self.buckets.append(slice(cell, cell + len(record.key.bounds)))
        self._cached: tuple[frozenset[Labels], Family, list[int]] | None = None

    def _lines_of(
        self, record: FamilyRecord, labels: Labels, cell: int
    ) -> list[tuple[SampleKey, int]]:
        name, bounds = self.name, record.key.bounds
        if self.type == "counter":
            return [(SampleKey(name + "_total", labels), cell)]
        if self.type == "summary":
            return [
                (SampleKey(name + "_count", labels), cell),
                (SampleKey(name + "_sum", labels), cell + 1),
            ]
        lines = [
            (SampleKey(name + "_bucket", (*labels, ("le", le))), cell + i)
            for i, le in enumerate(bounds)
        ]
        count = cell + len(bounds) - 1
        lines.append((SampleKey(name + "_count", labels), count))
        if not bounds[0].startswith("-"):
            lines.append((SampleKey(name + "_sum", labels), count + 1))
        return lines

    def correct(self, sums: list[float]) -> None:
        """Add what stands in the index twice, and take off what was removed."""
        for to, source in self.fixes:
            sums[to] += sums[source]
        for cell, base in self.baselines:
            for i, amount in enumerate(base):
                sums[cell + i] -= amount

    def arrange(self, sums: Sequence[float]) -> tuple[Family, list[int]]:
        """Return the family and the places of its values; the same objects while it can."""
        gone = frozenset(
            labels for labels, cell, width in self.hidden if not any(sums[cell : cell + width])
        )
        if self._cached is None or self._cached[0] != gone:
            lines = [
                line for labels, of in self._lines.items() if labels not in gone for line in of
            ]
            family = Family(
                self.name, self.type, self.newest.help, "", tuple(key for key, _ in lines)
            )
            self._cached = gone, family, [at for _, at in lines]
        return self._cached[1], self._cached[2]


class GaugePart(_Part):
    """Gauges: what their mode says becomes of the values of several processes."""

    def __init__(self, records: Sequence[FamilyRecord], place: Mapping[int, int]) -> None:
        super().__init__(records, place)
        self.mode = self.newest.key.mode
        self._by_worker = self.mode in ("all", "liveall")
        self._cached: tuple[object, Family] | None = None

    def cells(self) -> Iterable[tuple[int, int]]:
        """Yield the first cell and the width of each series."""
        for entries in self.series.values():
            for record, labelvalues, cell in entries:
                yield cell, record.key.width
                for extra_labels, extra in record.extra:
                    if extra_labels == labelvalues:
                        yield self._at(extra), record.key.width

    def arrange(self, images: Images, living: Container[int]) -> tuple[Family, list[float]]:
        """Return the family and its values; the same family while its lines are the same."""
        keys: list[Labels] = []
        values: list[float] = []
        for labels, found in self.series.items():
            by_worker: dict[int, float] = {}
            merged: list[tuple[float, float]] = []
            ever = hidden = False
            for record, labelvalues, cell in found:
                cells = [cell] + [self._at(c) for ls, c in record.extra if ls == labelvalues]
                removed_at = record.removed.get(labelvalues, (0.0,))[0]
                hidden = hidden or labelvalues in record.hidden
                workers, entries = gauge_entries(record, cells, images, living, removed_at)
                by_worker.update(workers)
                merged += entries
                ever = ever or any(
                    image[c + 1] > removed_at for image in images.values() for c in cells
                )
            if self._by_worker:
                for number in sorted(by_worker):
                    keys.append((*labels, (WORKER_LABEL, _worker(number))))
                    values.append(by_worker[number])
            elif merged or not (ever or hidden):
                keys.append(labels)
                values.append(merge_gauge(self.mode, merged))
        if self._cached is None or self._cached[0] != keys:
            samples = tuple(SampleKey(self.name, key) for key in keys)
            self._cached = keys, Family(self.name, "gauge", self.newest.help, "", samples)
        return self._cached[1], values


def _worker(number: int) -> str:
    return "memory" if number < 0 else str(number)


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
        self._places: dict[int, int] = {}
        groups: dict[str, list[FamilyRecord]] = defaultdict(list)
        for record in records:
            groups[record.key.name].append(record)
            for cell in record.series.values() if record.offset < 0 else ():
                for i in range(record.key.width):
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
                width = record.key.width - (record.key.type in ("histogram", "summary"))
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
            self._pick = itemgetter(*self._order, *self._order[:2])  # always a tuple
            self._positions = None
        values = self._pick(sums)[: len(self._order)]
        return Snapshot(
            self._layout,
            values,
            self._place_exemplars(found, extra) if found else {},
            (*self.left_out, *left_out),
        )

    def _place_exemplars(self, found: Mapping[int, Exemplar], end: int) -> dict[int, Exemplar]:
        if self._positions is None:
            self._positions = {}
            for position, place in enumerate(self._order):
                if place < end:  # a histogram's count shares the place of its last bucket
                    self._positions.setdefault(place, position)
        positions = self._positions
        return {positions[cell]: e for cell, e in found.items() if cell in positions}


@cache
def _faults_family(reasons: tuple[str, ...]) -> Family:
    samples = tuple(SampleKey(FAULTS + "_total", (("reason", r),)) for r in reasons)
    return Family(FAULTS, "counter", _FAULTS_HELP, "", samples)

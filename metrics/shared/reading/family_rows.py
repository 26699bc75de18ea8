"""The series of one family name: which lines they make, and where their values stand."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter

from metrics.samples import Block, Family, Labels, SampleKey, Samples, Shape
from metrics.shared.files.catalog import PROVISIONAL, FamilyRecord, LabelValues
from metrics.shared.gauges import gauge_entries, merge_gauge

WORKER_LABEL = "worker"

Images = Mapping[int, Sequence[float]]
"""What each lane's cells hold, by the lane's number."""


class _Part:
    """All series of one family name, out of one definition of it or several."""

    def __init__(self, records: Sequence[FamilyRecord], place: Mapping[int, int]) -> None:
        self.records = sorted(records, key=lambda record: record.offset)
        self.version = tuple((id(record), record.version) for record in self.records)
        self.newest = self.records[-1]
        self.name = self.newest.key.name
        self._place = place

    def _at(self, cell: int) -> int:
        return cell if cell < PROVISIONAL else self._place[cell]

    def _entries(self) -> Iterator[tuple[Labels, FamilyRecord, LabelValues, int]]:
        """Yield each series with its labels and its first cell's place."""
        for record in reversed(self.records):  # so that the newest definition is shown
            names = record.key.labelnames
            for labelvalues, cell in record.series.items():
                labels = tuple(zip(names, labelvalues, strict=False))
                yield labels, record, labelvalues, self._at(cell)

    def _cells(self, record: FamilyRecord, labelvalues: LabelValues, cell: int) -> list[int]:
        """Return all first cells of a series: after damage there may be several."""
        if not record.extra:
            return [cell]
        return [cell, *(self._at(c) for labels, c in record.extra if labels == labelvalues)]


class GrowingPart(_Part):
    """Counters, histograms and summaries: their lanes add up."""

    def __init__(self, records: Sequence[FamilyRecord], place: Mapping[int, int]) -> None:
        super().__init__(records, place)
        self.type = self.newest.key.type
        self.buckets: list[slice] = []
        self._series: list[tuple[Labels, FamilyRecord, int]] = []
        self._twins: list[tuple[int, int]] = []
        self._sums: list[tuple[int, int]] = []
        self._baselines: list[tuple[int, tuple[float, ...]]] = []
        self._hidden: dict[int, tuple[Labels, int]] = {}
        self._cached: tuple[frozenset[Labels], Family, list[int]] | None = None
        several = len(self.records) > 1
        shown: dict[Labels, tuple[FamilyRecord, int]] = {}
        for labels, record, labelvalues, cell in self._entries():
            if record.extra or record.removed:
                self._note_oddities(labels, record, labelvalues, cell)
            if several:
                same = tuple(sorted(labels))
                if same in shown:
                    self._merge(*shown[same], record, cell)
                    if self._hidden.pop(cell, None) is None:
                        self._hidden.pop(shown[same][1], None)
                    continue
                shown[same] = record, cell
            self._series.append((labels, record, cell))
            if self.type == "histogram":
                self.buckets.append(slice(cell, cell + len(record.key.bounds)))

    def _note_oddities(
        self, labels: Labels, record: FamilyRecord, labelvalues: LabelValues, cell: int
    ) -> None:
        width = record.width
        for extra in self._cells(record, labelvalues, cell)[1:]:
            self._twins += [(cell + i, extra + i) for i in range(width)]
        if base := record.removed.get(labelvalues):
            self._baselines.append((cell, base))
        if labelvalues in record.hidden:
            self._hidden[cell] = labels, self._counts(width)

    def _counts(self, width: int) -> int:
        """Return how many of a series' cells are counts; the sum comes last."""
        return width - (self.type in ("histogram", "summary"))

    def _merge(self, into: FamilyRecord, to: int, record: FamilyRecord, cell: int) -> None:
        """Add a series of another definition, with the same labels, to the one shown.

        A histogram's bucket is added to the smallest that holds all it can hold.
        """
        bounds = [float(bound) for bound in into.key.bounds]
        for i, bound in enumerate(record.key.bounds):
            self._sums.append((to + bisect_left(bounds, float(bound)), cell + i))
        done, shown = len(record.key.bounds), len(bounds)
        rest = record.width - done
        self._sums += [(to + shown + i, cell + done + i) for i in range(rest)]

    def correct(self, sums: list[float]) -> None:
        """Add what stands in the index twice, and take off what was removed."""
        for to, source in self._twins:
            sums[to] += sums[source]
        for cell, base in self._baselines:
            for i, amount in enumerate(base):
                sums[cell + i] -= amount
                if sums[cell + i] < 0.0 and i < self._counts(len(base)):
                    sums[cell + i] = 0.0  # the lane that it stands in cannot be read just now
        for to, source in self._sums:
            sums[to] += sums[source]

    def arrange(self, sums: Sequence[float]) -> tuple[Family, list[int]]:
        """Return the family and the places of its values; the same objects while it can."""
        gone = frozenset(
            labels
            for cell, (labels, width) in self._hidden.items()
            if not any(sums[cell : cell + width])
        )
        if self._cached is None or self._cached[0] != gone:
            blocks: list[Block] = []
            places: list[int] = []
            shown = [one for one in self._series if one[0] not in gone] if gone else self._series
            for record, group in groupby(shown, key=itemgetter(1)):
                of = list(group)
                shape, offsets = _lines(self.type, record.key.bounds)
                blocks.append(Block(shape, tuple([labels for labels, _record, _cell in of])))
                if len(offsets) == 1:
                    places += [cell for _labels, _record, cell in of]
                else:
                    places += [cell + offset for _labels, _record, cell in of for offset in offsets]
            samples = Samples(self.name, tuple(blocks))
            family = Family(self.name, self.type, self.newest.help, "", samples)
            self._cached = gone, family, places
        return self._cached[1], self._cached[2]


def _lines(type_: str, bounds: Sequence[str]) -> tuple[Shape, list[int]]:
    """Return the lines of a series, and which of its cells each one shows."""
    if type_ == "counter":
        return (("_total", ()),), [0]
    if type_ == "summary":
        return (("_count", ()), ("_sum", ())), [0, 1]
    last = len(bounds) - 1
    shape = [*(("_bucket", (("le", bound),)) for bound in bounds), ("_count", ())]
    offsets = [*range(len(bounds)), last]
    if not bounds[0].startswith("-"):
        shape.append(("_sum", ()))
        offsets.append(last + 1)
    return tuple(shape), offsets


class GaugePart(_Part):
    """Gauges: what their mode says becomes of the values of several processes."""

    def __init__(self, records: Sequence[FamilyRecord], place: Mapping[int, int]) -> None:
        super().__init__(records, place)
        self.mode = self.newest.key.mode
        self._by_worker = self.mode in ("all", "liveall")
        self._cached: tuple[object, Family] | None = None

    def cells(self) -> Iterable[tuple[int, int]]:
        """Yield the first cell and the width of each series."""
        for _labels, record, labelvalues, cell in self._entries():
            for one in self._cells(record, labelvalues, cell):
                yield one, record.width

    def arrange(self, images: Images, living: Container[int]) -> tuple[Family, list[float]]:
        """Return the family and its values; the same family while its lines are the same."""
        found: dict[Labels, _GaugeSeries] = {}
        for labels, record, labelvalues, cell in self._entries():
            same = labels if len(self.records) == 1 else tuple(sorted(labels))
            series = found.setdefault(same, _GaugeSeries(labels))
            cells = self._cells(record, labelvalues, cell)
            series.add(record, labelvalues, cells, images, living)
        keys: list[Labels] = []
        values: list[float] = []
        for series in found.values():
            if self._by_worker:
                label = worker_label(tuple(name for name, _ in series.labels))
                for number in sorted(series.by_worker):
                    keys.append((*series.labels, (label, _worker(number))))
                    values.append(series.by_worker[number])
            elif series.entries or not (series.was_set or series.hidden):
                keys.append(series.labels)
                values.append(merge_gauge(self.mode, series.entries))
        if self._cached is None or self._cached[0] != keys:
            samples = tuple(SampleKey(self.name, key) for key in keys)
            self._cached = keys, Family(self.name, "gauge", self.newest.help, "", samples)
        return self._cached[1], values


class _GaugeSeries:
    """What the lanes say of one gauge series."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.by_worker: dict[int, float] = {}
        self.entries: list[tuple[float, float]] = []
        self.was_set = False
        self.hidden = False

    def add(
        self,
        record: FamilyRecord,
        labelvalues: LabelValues,
        cells: Sequence[int],
        images: Images,
        living: Container[int],
    ) -> None:
        removed_at = record.removed.get(labelvalues, (0.0,))[0]
        by_worker, entries = gauge_entries(record, cells, images, living, removed_at)
        self.by_worker.update(by_worker)
        self.entries += entries
        self.hidden = self.hidden or labelvalues in record.hidden
        self.was_set = self.was_set or any(
            image[cell + 1] > removed_at for image in images.values() for cell in cells
        )


@cache
def worker_label(names: tuple[str, ...]) -> str:
    """Return the label that tells the workers of a gauge apart, whose own labels are ``names``.

    ``worker``, or ``sentinel_worker`` where the gauge has a ``worker`` of its own (the
    prefix is repeated while that is taken, too), also under escaping to underscores.
    """
    taken = {re.sub("[^a-zA-Z0-9_]", "_", name) for name in names}
    label = WORKER_LABEL
    while label in taken:
        label = f"sentinel_{label}"
    return label


def _worker(number: int) -> str:
    return "memory" if number < 0 else str(number)

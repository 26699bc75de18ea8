"""Reading: sum the lanes, merge the gauges, and put the values in the layout's order.

What depends only on the index is prepared once a version of it, in a `Plan`; a read
is then a few passes over lists that run in C.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

from prometheus_client.samples import Exemplar

from metrics.samples import Layout, Snapshot, Worker
from metrics.shared.errors import REASONS
from metrics.shared.files import exemplars
from metrics.shared.files.catalog import FamilyRecord, LabelValues
from metrics.shared.files.directory import Directory
from metrics.shared.files.lanes import lane_numbers
from metrics.shared.reading.lane_contents import Image, LaneImages, read_lanes
from metrics.shared.reading.plan import Plan
from metrics.system.gc_pause import collector_paused

UNREADABLE = Snapshot(Layout(()), (), left_out=("the shared store: see the log",))
"""What a read gives that could not be done at all."""

MEMORY = -1
"""Stands for a lane's number where a process counts in its memory."""


@dataclass(frozen=True, slots=True)
class OwnMemory:
    """What the reading process counts in its memory, because the directory failed it."""

    cells: Mapping[int, float]
    families: Sequence[FamilyRecord]
    faults: Mapping[str, int]


class Reader:
    """Reads all lanes of a directory. One process keeps one, for what it prepares."""

    def __init__(self) -> None:
        self._plan: Plan | None = None

    def snapshot(self, path: str, files: Directory | None, own: OwnMemory) -> Snapshot:
        """Return the values of all processes. Never raises for what the files hold."""
        left_out: list[str] = []
        plan = self._planned(files, own)
        width = plan.cells + plan.homeless_cells
        read = LaneImages({}, set())
        found: dict[int, Exemplar] = {}
        if files is not None:
            names = _names(path, left_out)
            read = read_lanes(files, lane_numbers(names), width, left_out)
            found = self._exemplars(path, read.contents, names)
        images, living = read.cells(), set(read.living)
        if own.cells:
            images[MEMORY] = memoryview(bytearray(8 * width)).cast("d")
            living.add(MEMORY)
        for cell, amount in own.cells.items():
            place = plan.place(cell)
            if place is not None:
                images[MEMORY][place] = amount
        sums = self._sums(plan, width, images, left_out)
        faults = files.faults() if files is not None else dict.fromkeys(REASONS, 0)
        for reason, count in own.faults.items():
            faults[reason] += count
        if files is not None:
            left_out += files.index.left_out()
        with collector_paused():
            return plan.finish(sums, images, living, found, faults, left_out, read.workers())

    def _planned(self, files: Directory | None, own: OwnMemory) -> Plan:
        catalog = files.index.catalog if files is not None else None
        homeless = tuple((id(f.key), len(f.series)) for f in own.families)
        version = (id(catalog), catalog.version if catalog else 0, homeless)
        if self._plan is None or self._plan.version != version:
            records = list(catalog.by_key.values()) if catalog else []
            cells = catalog.next_cell if catalog else 0
            with collector_paused():
                self._plan = Plan(version, [*records, *own.families], cells, self._plan)
        return self._plan

    def _sums(
        self, plan: Plan, width: int, images: Mapping[int, Image], left_out: list[str]
    ) -> list[float]:
        # One pass over all lanes at once: with a list a lane the processor waits for
        # memory twice as long.
        total: list[float] = list(map(sum, zip(*images.values(), strict=True), repeat(0.0)))
        total = total or [0.0] * width
        if lost := sum(1 for place in plan.orphans if total[place]):
            left_out.append(f"index: {lost} cells hold counts whose series are lost")
        plan.clear_gauges(total)
        if total and (not math.isfinite(sum(total)) or min(total) < 0.0):
            self._drop_damaged_cells(plan, images, total, left_out)
        return total

    def _drop_damaged_cells(
        self,
        plan: Plan,
        images: Mapping[int, Image],
        total: list[float],
        left_out: list[str],
    ) -> None:
        """Leave out what no counter can be: negative, infinite or not a number."""
        for cell in plan.growing_cells():
            if 0.0 <= total[cell] < math.inf:
                continue
            total[cell] = 0.0
            for number, image in images.items():
                if 0.0 <= image[cell] < math.inf:
                    total[cell] += image[cell]
                else:
                    left_out.append(f"lane-{number}: cell {cell} holds {image[cell]!r}")

    def _exemplars(
        self, path: str, numbers: Iterable[int], names: Iterable[str]
    ) -> dict[int, Exemplar]:
        newest: dict[int, Exemplar] = {}
        for number in exemplars.file_numbers(names).intersection(numbers):
            for cell, exemplar in exemplars.read(exemplars.path_for(path, number)).items():
                known = newest.get(cell)
                if known is None or _moment(known) < _moment(exemplar):
                    newest[cell] = exemplar
        return newest

    def forget_series(
        self,
        path: str,
        files: Directory,
        family: FamilyRecord,
        going: Sequence[LabelValues],
    ) -> None:
        """Enter in the index that series were removed, and at which values.

        The lanes are read while nobody else can enter a removal, which would be undone by
        older values. One that was removed already is entered again if it was written to since.
        Raises OSError, StoreError.
        """
        if not going:
            return
        with files.index.appending() as appender:
            width = files.index.catalog.next_cell
            images = read_lanes(files, lane_numbers(os.listdir(path)), width, []).cells().values()
            for labelvalues in going:
                cells = [family.series[labelvalues]]
                cells += [cell for labels, cell in family.extra if labels == labelvalues]
                sums = [
                    math.fsum(image[cell + place] for image in images for cell in cells)
                    for place in range(family.width)
                ]
                if family.key.type == "gauge":
                    whens = range(1, family.width, 2)  # each behind its value
                    set_at = (image[cell + i] for image in images for cell in cells for i in whens)
                    before = family.removed.get(labelvalues, (0.0,))[0]
                    is_as_it_was, baseline = max(set_at, default=0.0) <= before, [time.time()]
                else:
                    is_as_it_was = sums == list(family.removed.get(labelvalues, ()))
                    baseline = sums
                if labelvalues not in family.hidden or not is_as_it_was:
                    appender.removed(family, labelvalues, baseline)

    def workers(self, path: str, files: Directory | None) -> tuple[Worker, ...]:
        """Return the processes of all lanes that can be read."""
        if files is None:
            return ()
        return read_lanes(files, lane_numbers(_names(path, [])), 0, []).workers()


def _moment(exemplar: Exemplar) -> float:
    return float(exemplar.timestamp or 0.0)


def _names(path: str, left_out: list[str]) -> list[str]:
    try:
        return os.listdir(path)
    except OSError as e:
        left_out.append(f"lanes: {e.strerror}")
        return []

"""What is kept of a scrape's families: tracks, each some cells that are summed over series.

One track for each family; and of calls that have a route or a tool, one for each of these
with its errors. A counter has one cell, a gauge one, a summary its count and its sum, a
histogram one for each bucket, counting all below its bound, and its sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from typing import NamedTuple

from metrics.samples import Family, Labels, Layout, Samples

COUNTER, GAUGE, HISTOGRAM, SUMMARY = "counter", "gauge", "histogram", "summary"
ERRORS = "errors"
"""The ``part`` of a track that counts those of a group's calls that failed."""


class Track(NamedTuple):
    """Some figures over time: of a family, or of its series whose ``label`` is ``value``.

    ``family`` is the name that queries use, without a suffix of its samples' names.
    ``bounds`` are a histogram's upper ones, in order, infinity last.
    """

    family: str
    kind: str
    label: str = ""
    value: str = ""
    part: str = ""
    bounds: tuple[float, ...] = ()

    @property
    def cells(self) -> int:
        """How many numbers it has at each moment."""
        return {COUNTER: 1, GAUGE: 1, SUMMARY: 2}.get(self.kind, len(self.bounds) + 1)


class Breakdown(NamedTuple):
    """A histogram of calls that is kept by one of its labels, too, with what fails of it.

    Failed are the calls of series of which ``has_failed`` is true, or those that the counter
    ``errors`` counts under the same label.
    """

    family: str
    label: str
    has_failed: Callable[[Labels], bool] | None = None
    errors: str = ""


def _has_failed(labels: Labels) -> bool:
    return any(
        (name == "error_type" and value) or (name.endswith("_status_code") and value[:1] == "5")
        for name, value in labels
    )


ROUTES = Breakdown("http_server_request_duration_seconds", "http_route", has_failed=_has_failed)
TOOLS = Breakdown("sentinel_request_duration_seconds", "tool", errors="sentinel_errors")
BREAKDOWNS = (ROUTES, TOOLS)

Cell = list[slice | int]
"""Where in a snapshot's values the parts of a sum are: of many series at even distances, or one."""
Plan = list[tuple[Track, list[Cell]]]
"""Each track, and what each of its cells sums."""


def plan(layout: Layout) -> Plan:
    """Return what is kept of the families of ``layout``: families first, then the groups.

    It takes no look at each line of a family of the store: ten thousands of series may be new
    every few seconds.
    """
    families: Plan = []
    groups: Plan = []
    start = 0
    by_family = {b.family: b for b in BREAKDOWNS}
    by_errors = {b.errors: b for b in BREAKDOWNS if b.errors}
    for family in layout.families:
        runs = list(_runs(family, start))
        start += len(family.samples)
        if family.type in (COUNTER, GAUGE):
            suffix = "_total" if family.type == COUNTER else ""
            kept = [run for run in runs if suffix in run.offsets]
            track = Track(family.name + suffix, family.type)
            one: Cell = [run.all(suffix) for run in kept]
            families.append((track, [one]))
            if (breakdown := by_errors.get(family.name)) is not None:
                groups += _errors_by_label(breakdown, kept)
        elif family.type == SUMMARY:
            cells: list[Cell] = [
                [run.all(suffix) for run in runs if suffix in run.offsets]
                for suffix in ("_count", "_sum")
            ]
            families.append((Track(family.name, SUMMARY), cells))
        elif family.type == HISTOGRAM:
            families.append(_histogram(Track(family.name, HISTOGRAM), [(r, None) for r in runs]))
            if (breakdown := by_family.get(family.name)) is not None:
                groups += _by_label(breakdown, runs)
    return [*families, *groups]


def totals(found: Plan, values: Sequence[float]) -> list[list[float]]:
    """Return the cells of each track of a plan, out of a snapshot's values."""
    return [[_sum(cell, values) for cell in cells] for _, cells in found]


def _sum(cell: Cell, values: Sequence[float]) -> float:
    total = 0.0
    for place in cell:
        total += values[place] if isinstance(place, int) else sum(values[place])
    return total


class _Run(NamedTuple):
    """Series whose samples are in the same order: where they are.

    ``offsets`` tells the place of a sample within a series by its suffix, or a bucket's bound.
    """

    first: int
    stride: int
    series: Sequence[Labels]
    offsets: dict[str | float, int]

    @property
    def bounds(self) -> Iterator[float]:
        """The upper bounds of its buckets."""
        return (key for key in self.offsets if isinstance(key, float))

    def all(self, key: str | float) -> slice:
        """Return where that sample of each series is."""
        first = self.first + self.offsets[key]
        return slice(first, first + self.stride * (len(self.series) - 1) + 1, self.stride)

    def one(self, number: int, key: str | float) -> int:
        """Return where that sample of one series is."""
        return self.first + number * self.stride + self.offsets[key]


def _runs(family: Family, start: int) -> Iterator[_Run]:
    if not isinstance(family.samples, Samples):
        yield from _runs_of_keys(family, start)
        return
    for block in family.samples.blocks:
        offsets = {_key(suffix, labels): n for n, (suffix, labels) in enumerate(block.shape)}
        yield _Run(start, len(block.shape), block.series, offsets)
        start += len(block.shape) * len(block.series)


def _runs_of_keys(family: Family, start: int) -> Iterator[_Run]:
    """Yield a run for each series of a family whose lines are given one by one."""
    found: dict[Labels, dict[str | float, int]] = {}
    for place, key in enumerate(family.samples, start):
        suffix = key.name[len(family.name) :]
        bound = suffix == "_bucket" and family.type == HISTOGRAM
        labels = key.labels[:-1] if bound else key.labels
        found.setdefault(labels, {})[_key(suffix, key.labels[-1:] if bound else ())] = place
    for labels, offsets in found.items():
        yield _Run(0, 1, (labels,), offsets)


def _key(suffix: str, labels: Labels) -> str | float:
    return float(labels[-1][1]) if suffix == "_bucket" else suffix


_Part = tuple[_Run, int | None]
"""A run and the number of one of its series, or None for all of them."""


def _histogram(track: Track, parts: Sequence[_Part]) -> tuple[Track, list[Cell]]:
    """Sum buckets; a series without a bound of others counts there what is below its last one."""

    def place(run: _Run, number: int | None, key: str | float) -> slice | int:
        return run.all(key) if number is None else run.one(number, key)

    bounds = sorted({bound for run, _ in parts for bound in run.bounds} | {inf})
    cells: list[Cell] = [[] for _ in bounds]
    for run, number in parts:
        last: slice | int | None = None
        for cell, bound in zip(cells, bounds, strict=True):
            if bound in run.offsets:
                last = place(run, number, bound)
            if last is not None:
                cell.append(last)
    sums = [place(run, number, "_sum") for run, number in parts if "_sum" in run.offsets]
    return track._replace(bounds=tuple(bounds)), [*cells, sums]


def _by_label(breakdown: Breakdown, runs: Iterable[_Run]) -> Plan:
    groups: defaultdict[str, list[tuple[_Run, int]]] = defaultdict(list)
    for run in runs:
        for number, labels in enumerate(run.series):
            groups[dict(labels).get(breakdown.label, "")].append((run, number))
    found: Plan = []
    for value, members in groups.items():
        track = Track(breakdown.family, HISTOGRAM, breakdown.label, value)
        found.append(_histogram(track, members))
        if (has_failed := breakdown.has_failed) is not None:
            failed: Cell = [
                run.one(number, inf)
                for run, number in members
                if inf in run.offsets and has_failed(run.series[number])
            ]
            found.append((errors_of(breakdown, value), [failed]))
    return found


def _errors_by_label(breakdown: Breakdown, runs: Iterable[_Run]) -> Plan:
    groups: defaultdict[str, Cell] = defaultdict(list)
    for run in runs:
        for number, labels in enumerate(run.series):
            value = dict(labels).get(breakdown.label, "")
            groups[value].append(run.one(number, "_total"))
    return [(errors_of(breakdown, value), [found]) for value, found in groups.items()]


def errors_of(breakdown: Breakdown, value: str) -> Track:
    """Return the track that counts the failed calls of one group."""
    return Track(breakdown.family, COUNTER, breakdown.label, value, ERRORS)

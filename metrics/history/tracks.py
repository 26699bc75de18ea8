"""What is kept of a scrape's families: tracks, each some cells that are summed over series.

One track for each family; and of calls that have a route or a tool, one for each of these
with its errors. A counter has one cell, a gauge one, a summary its count and its sum, a
histogram one for each bucket, counting all below its bound, and its sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import NamedTuple

from metrics.samples import Family, Labels, Layout

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

_Places = list[int]
Plan = list[tuple[Track, list[_Places]]]
"""Each track, and for each of its cells where in a snapshot's values the parts of its sum are."""


def plan(layout: Layout) -> Plan:
    """Return what is kept of the families of ``layout``: families first, then the groups."""
    families: Plan = []
    groups: Plan = []
    start = 0
    by_family = {b.family: b for b in BREAKDOWNS}
    by_errors = {b.errors: b for b in BREAKDOWNS if b.errors}
    for family in layout.families:
        places = range(start, start + len(family.samples))
        start += len(family.samples)
        if family.type in (COUNTER, GAUGE):
            families.append(_numbers(family, places))
            if (breakdown := by_errors.get(family.name)) is not None:
                groups += _errors_by_label(breakdown, family, places)
        elif family.type in (HISTOGRAM, SUMMARY):
            series = _series(family, places)
            if family.type == SUMMARY:
                families.append(_summary(family, series))
                continue
            families.append(_histogram(Track(family.name, HISTOGRAM), series))
            if (breakdown := by_family.get(family.name)) is not None:
                groups += _by_label(breakdown, series)
    return [*families, *groups]


def totals(found: Plan, values: Sequence[float]) -> list[list[float]]:
    """Return the cells of each track of a plan, out of a snapshot's values."""
    return [[sum([values[i] for i in places]) for places in cells] for _, cells in found]


class _Series(NamedTuple):
    """Where the samples of one series are."""

    labels: Labels
    buckets: dict[float, int]
    places: dict[str, int]


def _series(family: Family, places: Iterable[int]) -> list[_Series]:
    found: dict[Labels, _Series] = {}
    for place, key in zip(places, family.samples, strict=True):
        suffix = key.name[len(family.name) :]
        bound = key.labels[-1][1] if suffix == "_bucket" else None
        labels = key.labels if bound is None else key.labels[:-1]
        if family.type == SUMMARY and not suffix:
            continue  # a quantile: nothing that can be summed
        one = found.get(labels)
        if one is None:
            one = found[labels] = _Series(labels, {}, {})
        if bound is not None:
            one.buckets[float(bound)] = place
        else:
            one.places[suffix] = place
    return list(found.values())


def _name(family: Family) -> str:
    return f"{family.name}_total" if family.type == COUNTER else family.name


def _numbers(family: Family, places: Iterable[int]) -> tuple[Track, list[_Places]]:
    kept = [
        place
        for place, key in zip(places, family.samples, strict=True)
        if not key.name.endswith("_created")
    ]
    return Track(_name(family), family.type), [kept]


def _summary(family: Family, series: list[_Series]) -> tuple[Track, list[_Places]]:
    cells = [
        [one.places[suffix] for one in series if suffix in one.places]
        for suffix in ("_count", "_sum")
    ]
    return Track(family.name, SUMMARY), cells


def _histogram(track: Track, series: list[_Series]) -> tuple[Track, list[_Places]]:
    """Sum buckets; a series without a bound of others counts there what is below its last one."""
    bounds = sorted({bound for one in series for bound in one.buckets} | {inf})
    cells: list[_Places] = [[] for _ in bounds]
    for one in series:
        place = None
        for cell, bound in zip(cells, bounds, strict=True):
            place = one.buckets.get(bound, place)
            if place is not None:
                cell.append(place)
    sums = [one.places["_sum"] for one in series if "_sum" in one.places]
    return track._replace(bounds=tuple(bounds)), [*cells, sums]


def _by_label(breakdown: Breakdown, series: list[_Series]) -> Plan:
    groups: defaultdict[str, list[_Series]] = defaultdict(list)
    for one in series:
        groups[dict(one.labels).get(breakdown.label, "")].append(one)
    found: Plan = []
    for value, members in groups.items():
        track = Track(breakdown.family, HISTOGRAM, breakdown.label, value)
        found.append(_histogram(track, members))
        if (has_failed := breakdown.has_failed) is not None:
            failed = [m.buckets[inf] for m in members if has_failed(m.labels) and inf in m.buckets]
            found.append((errors_of(breakdown, value), [failed]))
    return found


def _errors_by_label(breakdown: Breakdown, family: Family, places: Iterable[int]) -> Plan:
    groups: defaultdict[str, _Places] = defaultdict(list)
    for place, key in zip(places, family.samples, strict=True):
        if not key.name.endswith("_created"):
            groups[dict(key.labels).get(breakdown.label, "")].append(place)
    return [(errors_of(breakdown, value), [found]) for value, found in groups.items()]


def errors_of(breakdown: Breakdown, value: str) -> Track:
    """Return the track that counts the failed calls of one group."""
    return Track(breakdown.family, COUNTER, breakdown.label, value, ERRORS)

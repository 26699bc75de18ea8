"""What pages ask of the history: rates, shares of failed calls and quantiles over time.

A quantile is interpolated as PromQL's ``histogram_quantile`` does:
https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, zip_longest
from math import inf, isfinite, isnan, nan

from metrics.history.file import Row
from metrics.history.legend import Legend
from metrics.history.tracks import HISTOGRAM, Breakdown, Track, errors_of

QUANTILES = (0.5, 0.95, 0.99)
"""Those that pages show."""


def quantile(q: float, bounds: Sequence[float], counts: Sequence[float]) -> float:
    """Return the ``q`` quantile (0 to 1) of a histogram; NaN where nothing was observed.

    ``counts`` are cumulative, one for each upper bound of ``bounds``, whose last is
    infinity. Above the last finite bound that bound is the answer.
    """
    if isnan(q):
        return nan
    if not 0 <= q <= 1:
        return inf if q > 1 else -inf
    if len(bounds) < 2 or bounds[-1] != inf:
        return nan
    counts = list(accumulate(counts, max))
    if not counts[-1] > 0:
        return nan
    rank = q * counts[-1]
    place = bisect_left(counts, rank, hi=len(counts) - 1)
    if place == len(counts) - 1:
        return bounds[-2]
    if place == 0:
        if bounds[0] <= 0:
            return bounds[0]
        return bounds[0] * rank / counts[0] if counts[0] else nan  # PromQL's 0 / 0
    start, below = bounds[place - 1], counts[place - 1]
    return start + (bounds[place] - start) * (rank - below) / (counts[place] - below)


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls over some time: how many, how many of them failed, and how long they took.

    ``counts`` are those of a histogram's buckets, cumulative; ``seconds`` is all of them
    together; ``span`` is over how many seconds they came.
    """

    bounds: Sequence[float]
    counts: Sequence[float]
    seconds: float
    failed: float
    span: float

    @property
    def number(self) -> float:
        """How many there were."""
        return self.counts[-1] if self.counts else 0.0

    @property
    def rate(self) -> float:
        """Calls a second; NaN where the time is not known."""
        return self.number / self.span if self.span else nan

    @property
    def error_ratio(self) -> float:
        """The share of failed calls, 0 to 1; NaN where there were none."""
        return self.failed / self.number if self.number else nan

    def quantile(self, q: float) -> float:
        """Return the ``q`` quantile in seconds; NaN where there were none."""
        return quantile(q, self.bounds, self.counts)


class Window:
    """Some rows of the history, with the legend that says what is in them."""

    def __init__(self, legend: Legend, rows: Sequence[Row]) -> None:
        self.legend = legend
        self.rows = rows

    @property
    def times(self) -> list[float]:
        """When each row was made, in unix seconds."""
        return [row.at for row in self.rows]

    @property
    def span(self) -> float:
        """How many seconds the increases of all rows cover."""
        return sum(row.span for row in self.rows)

    def last(self, seconds: float) -> Window:
        """Return the rows of the last ``seconds`` before the newest one was made."""
        if not self.rows:
            return self
        after = self.rows[-1].at - seconds
        return Window(self.legend, [row for row in self.rows if row.at > after + 0.5])

    def split(self, seconds: float) -> list[Window]:
        """Return the rows in parts of so many seconds of the clock, oldest first."""
        parts: dict[int, list[Row]] = {}
        for row in self.rows:
            parts.setdefault(int((row.at - 0.001) // seconds), []).append(row)
        return [Window(self.legend, rows) for rows in parts.values()]

    def find(self, family: str) -> Track | None:
        """Return the track of a whole family, by the name that queries use."""
        return self._families.get(family)

    @cached_property
    def _families(self) -> dict[str, Track]:
        # the last of a name: one whose bounds changed has another
        return {track.family: track for track in self.legend.first if not track.label}

    def values(self, track: Track, cell: int = 0) -> Iterator[float]:
        """Yield one cell in each row: an increase, or a gauge's value; NaN if not known."""
        first = self.legend.first.get(track)
        for row in self.rows:
            if first is None or first + cell >= len(row.cells):
                yield nan
            else:
                value = row.cells[first + cell]
                yield value if isfinite(value) else nan

    def rates(self, track: Track, cell: int = 0) -> list[float]:
        """Return the increase of one cell a second, in each row."""
        values = self.values(track, cell)
        return [value / row.span for row, value in zip(self.rows, values, strict=True)]

    def increase(self, track: Track, cell: int = 0) -> float:
        """Return what one cell gained in all rows together."""
        return sum(value for value in self.values(track, cell) if not isnan(value))

    def groups(self, breakdown: Breakdown) -> dict[str, list[Track]]:
        """Return the histograms of each value of a breakdown's label; mostly one for each."""
        found: dict[str, list[Track]] = {}
        for track in self.legend.first:
            if track[:3] == (breakdown.family, HISTOGRAM, breakdown.label) and not track.part:
                found.setdefault(track.value, []).append(track)
        return found

    def calls(self, breakdown: Breakdown, value: str, tracks: Iterable[Track]) -> Calls:
        """Return the calls of one group in all rows together."""
        failed = self.increase(errors_of(breakdown, value))
        return total(
            (_calls(track, self._sums(track), self.span) for track in tracks), failed=failed
        )

    def calls_by_row(
        self, breakdown: Breakdown, value: str, tracks: Iterable[Track]
    ) -> Iterator[Calls]:
        """Yield the same for each row."""
        errors = self.values(errors_of(breakdown, value))
        columns = [(track, self._cells(track)) for track in tracks]
        for row, failed in zip(self.rows, errors, strict=True):
            found = [_calls(track, next(cells), row.span) for track, cells in columns]
            yield total(found, failed=0.0 if isnan(failed) else failed)

    def failed_by_row(self, breakdown: Breakdown) -> list[float]:
        """Return how many calls of all groups together failed, in each row."""
        tracks = {errors_of(breakdown, value) for value in self.groups(breakdown)}
        places = [self.legend.first[track] for track in tracks & self.legend.first.keys()]
        return [
            sum(row.cells[place] for place in places if place < len(row.cells)) for row in self.rows
        ]

    def histogram(self, track: Track) -> Iterator[Sequence[float]]:
        """Yield the cumulative counts of a histogram's buckets in each row."""
        for cells in self._cells(track):
            yield cells[:-1]

    def _cells(self, track: Track) -> Iterator[Sequence[float]]:
        first, many = self.legend.first.get(track), track.cells
        none = [0.0] * many
        for row in self.rows:
            found = none if first is None else row.cells[first : first + many]
            yield found if len(found) == many else none

    @cached_property
    def _all_sums(self) -> list[float]:
        columns = zip_longest(*(row.cells for row in self.rows), fillvalue=0.0)
        return [sum(column) for column in columns]

    def _sums(self, track: Track) -> Sequence[float]:
        first, many = self.legend.first.get(track), track.cells
        found = [] if first is None else self._all_sums[first : first + many]
        return found + [0.0] * (many - len(found))


def _calls(track: Track, cells: Sequence[float], span: float) -> Calls:
    return Calls(track.bounds, cells[:-1], cells[-1], 0.0, span)


def total(parts: Iterable[Calls], *, failed: float = 0.0) -> Calls:
    """Return the calls of several parts of the same time as one; their bounds may differ.

    ``failed`` come beside those of the parts.
    """
    given = list(parts)
    if len(given) == 1:
        return replace(given[0], failed=given[0].failed + failed)
    bounds = sorted({bound for one in given for bound in one.bounds} | {inf})
    counts = [0.0] * len(bounds)
    for one in given:
        for place, bound in enumerate(bounds):
            if below := bisect_right(one.bounds, bound):
                counts[place] += one.counts[below - 1]
    return Calls(
        bounds,
        counts,
        sum(one.seconds for one in given),
        sum(one.failed for one in given) + failed,
        max((one.span for one in given), default=0.0),
    )


def known(value: float) -> float | None:
    """Return a number that JSON can hold, in six digits, or None."""
    return float(f"{value:.6g}") if isfinite(value) else None

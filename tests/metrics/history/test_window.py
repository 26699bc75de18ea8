"""Quantiles as PromQL has them, and what is asked of rows."""

from __future__ import annotations

from array import array
from math import inf, isnan, nan

import pytest

from metrics.history.file import Row
from metrics.history.legend import Legend
from metrics.history.tracks import COUNTER, GAUGE, HISTOGRAM, TOOLS, Track, errors_of
from metrics.history.window import Calls, Window, quantile, total

BOUNDS = (0.1, 0.5, 1.0, inf)


@pytest.mark.parametrize(
    ("q", "bounds", "counts", "expected"),
    [
        # checked against Prometheus 2.42
        (0.5, BOUNDS, (10, 10, 10, 10), 0.05),
        (0.5, BOUNDS, (0, 10, 10, 10), 0.3),
        (0.9, BOUNDS, (4, 8, 9, 10), 1.0),
        (0.99, BOUNDS, (4, 8, 9, 10), 1.0),  # above the last finite bound: that bound
        (0.0, BOUNDS, (4, 8, 9, 10), 0.0),
        (1.0, BOUNDS, (4, 8, 10, 10), 1.0),
        (0.8, BOUNDS, (4, 8, 9, 10), 0.5),
        (0.25, (-1.0, 1.0, inf), (5, 10, 10), -1.0),  # no start below a bound that is not positive
        (0.75, (-1.0, 1.0, inf), (5, 10, 10), 0.0),
        (0.5, BOUNDS, (4, 3, 9, 8), 0.55),  # torn: made to grow
        (-0.1, BOUNDS, (4, 8, 9, 10), -inf),
        (1.1, BOUNDS, (4, 8, 9, 10), inf),
    ],
)
def test_quantile(
    q: float, bounds: tuple[float, ...], counts: tuple[float, ...], expected: float
) -> None:
    """It is histogram_quantile's."""
    assert quantile(q, bounds, counts) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("q", "bounds", "counts"),
    [
        (nan, BOUNDS, (1, 2, 3, 4)),
        (0.5, BOUNDS, (0, 0, 0, 0)),
        (0.0, BOUNDS, (0, 3, 5, 10)),
        (0.5, (inf,), (4,)),
        (0.5, (0.1, 0.5), (1, 2)),
        (0.5, (), ()),
    ],
)
def test_quantile_of_nothing(
    q: float, bounds: tuple[float, ...], counts: tuple[float, ...]
) -> None:
    """It is NaN where nothing was observed, or nothing can be said."""
    assert isnan(quantile(q, bounds, counts))


def window(*rows: Row, tracks: tuple[Track, ...]) -> Window:
    """Return a window of some rows."""
    return Window(Legend(1, tracks), rows)


def row(at: float, *cells: float, span: float = 5) -> Row:
    """Return a row."""
    return Row(at, span, array("f", cells))


def test_rates_and_values() -> None:
    """A counter's increases become rates; a row that is older than a track knows none."""
    calls, size = Track("calls_total", COUNTER), Track("size", GAUGE)
    found = window(row(100, 10), row(105, 20, 3), row(107, 4, nan, span=2), tracks=(calls, size))
    assert found.times == [100, 105, 107]
    assert found.rates(calls) == [2, 4, 2]
    values = list(found.values(size))
    assert values[1] == 3
    assert isnan(values[0])
    assert isnan(values[2])
    assert found.increase(calls) == 34
    assert found.span == 12
    assert found.last(5).times == [105, 107]
    assert found.find("calls_total") == calls
    assert found.find("other") is None


def test_calls_of_a_group() -> None:
    """Calls of a tool, their failures and quantiles, together and row by row."""
    track = Track("sentinel_request_duration_seconds", HISTOGRAM, "tool", "a", "", BOUNDS)
    failed = errors_of(TOOLS, "a")
    found = window(
        row(100, 0, 10, 10, 10, 3.5, 1),
        row(105, 0, 0, 10, 10, 8.5, 4),
        tracks=(track, failed),
    )
    groups = found.groups(TOOLS)
    assert groups == {"a": [track]}
    calls = found.calls(TOOLS, "a", groups["a"])
    assert (calls.number, calls.rate, calls.error_ratio) == (20, 2, 0.25)
    assert calls.seconds == 12
    assert calls.quantile(0.5) == pytest.approx(0.5)
    by_row = list(found.calls_by_row(TOOLS, "a", groups["a"]))
    assert [one.quantile(0.5) for one in by_row] == pytest.approx([0.3, 0.75])
    assert [one.failed for one in by_row] == [1, 4]


def test_calls_whose_buckets_changed() -> None:
    """A group with other bounds since a deployment is still one group."""
    old = Track("sentinel_request_duration_seconds", HISTOGRAM, "tool", "a", "", (1.0, inf))
    new = Track("sentinel_request_duration_seconds", HISTOGRAM, "tool", "a", "", (0.5, 1.0, inf))
    found = window(row(100, 2, 4, 9), row(105, 0, 0, 0, 1, 2, 3, 5), tracks=(old, new))
    calls = found.calls(TOOLS, "a", found.groups(TOOLS)["a"])
    assert list(calls.bounds) == [0.5, 1, inf]
    assert list(calls.counts) == [1, 4, 7]
    assert (calls.number, calls.seconds) == (7, 14)


def test_no_calls() -> None:
    """Nothing has no ratio, no rate and no quantile."""
    none = total([])
    assert none.number == 0
    assert all(map(isnan, (none.rate, none.error_ratio, none.quantile(0.5))))
    assert Calls(BOUNDS, (1, 2, 3, 4), 2, 1, 5).error_ratio == 0.25

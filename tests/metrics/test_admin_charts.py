"""What is drawn of a family, and the same for reading."""

from __future__ import annotations

from array import array
from math import inf

from metrics.admin_charts import chart, chart_table, rate_now, sparks
from metrics.history.file import Row
from metrics.history.legend import Legend
from metrics.history.tracks import COUNTER, GAUGE, HISTOGRAM, SUMMARY, Track
from metrics.history.window import Window

TRACKS = (
    Track("calls_total", COUNTER),
    Track("size_bytes", GAUGE),
    Track("took_seconds", HISTOGRAM, bounds=(0.1, 1.0, inf)),
    Track("rows", SUMMARY),
)


def row(at: float, *cells: float) -> Row:
    """Return a row of a minute."""
    return Row(at, 60, array("f", cells))


WINDOW = Window(
    Legend(1, TRACKS),
    [
        row(1_800_000_060, 60, 1, 0, 6, 6, 3, 12, 4),
        row(1_800_000_120, 120, 2, 6, 6, 12, 9, 6, 4),
        row(1_800_000_360, 30, 0, 0, 0, 0, 0, 0, 0),
    ],
)


def test_rate_now() -> None:
    """It is that of the last minute; a gauge has none, nor what was never seen."""
    assert rate_now(WINDOW, "calls_total") == 0.5
    assert rate_now(WINDOW, "took_seconds") == 0
    assert rate_now(WINDOW, "size_bytes") is None
    assert rate_now(WINDOW, "other") is None
    assert rate_now(None, "calls_total") is None


def test_sparks() -> None:
    """Rates of what is counted, values of what is not."""
    names = ["calls_total", "size_bytes", "took_seconds", "rows", "other"]
    assert sparks(WINDOW, names) == {
        "calls_total": [1, 2, 0.5],
        "size_bytes": [1, 2, 0],
        "took_seconds": [0.1, 0.2, 0],
        "rows": [0.2, 0.1, 0],
    }
    assert sparks(None, names) == {}


def test_chart_of_a_histogram() -> None:
    """Buckets stand apart, a second, and quantiles are those of each row; none is None."""
    found = chart(WINDOW, "took_seconds", "seconds")
    assert found is not None
    assert found["heat"] == [[0, 0.1, 0], [0.1, 0, 0.1], [0, 0, 0]]
    assert found["bounds"] == [0.1, 1, None]
    p50, p95, _ = found["quantiles"]
    assert p50 == {"label": "p50", "values": [0.55, 0.1, None]}
    assert p95 == {"label": "p95", "values": [0.955, 1, None]}


def test_chart_of_a_gauge() -> None:
    """Its values, in its unit."""
    found = chart(WINDOW, "size_bytes", "bytes")
    assert found is not None
    assert (found["unit"], found["series"]) == (
        "bytes",
        [{"label": "value", "values": [1, 2, 0]}],
    )
    assert chart(WINDOW, "other", "") is None
    assert chart(None, "size_bytes", "") is None


def test_table() -> None:
    """A line for five minutes: rates and quantiles over them, a gauge's last value."""
    columns, lines = chart_table(WINDOW, "took_seconds")
    assert columns == ["Rate a second", "p50", "p95", "p99"]
    assert lines == [(1_800_000_120, [0.15, 0.55, 1, 1]), (1_800_000_360, [0, None, None, None])]
    assert chart_table(WINDOW, "size_bytes")[1] == [(1_800_000_120, [2]), (1_800_000_360, [0])]
    assert chart_table(None, "size_bytes") == ([], [])

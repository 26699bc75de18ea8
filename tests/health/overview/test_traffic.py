"""Requests and tool calls out of the history's rows."""

from __future__ import annotations

from array import array
from math import inf

from health.overview import traffic
from metrics.history.file import Row
from metrics.history.legend import Legend
from metrics.history.tracks import COUNTER, HISTOGRAM, TOOLS, Track, errors_of
from metrics.history.window import Window

BOUNDS = (0.1, 1.0, inf)
FAMILY = "sentinel_request_duration_seconds"
REQUESTS, CALLS = traffic.KINDS


def window(tools: int, *, fail: int = 0) -> Window:
    """Return two rows: of tool number n, n + 1 calls and then 10 more, ``fail`` of them failed."""
    legend = Legend(1, [Track(FAMILY, HISTOGRAM, bounds=BOUNDS)])
    first, second = [0.0] * 4, [0.0] * 4
    for n in range(tools):
        legend.add(Track(FAMILY, HISTOGRAM, "tool", f"t{n}", "", BOUNDS))
        legend.add(errors_of(TOOLS, f"t{n}"))
        first += [0, n + 1, n + 1, 1, 0]
        second += [10, 10, 10, 1, fail]
    for row in (first, second):
        for cell in range(4):
            row[cell] = sum(row[4 + 5 * n + cell] for n in range(tools))
    return Window(legend, [Row(100, 5, array("f", first)), Row(105, 5, array("f", second))])


def texts(given: Window, *, everything: bool = False) -> list[list[str]]:
    """Return the table's cells as text."""
    table = traffic.table(traffic.of(given, CALLS), everything=everything)
    return [[cell.text for cell in row] for row in table.rows]


def test_table() -> None:
    """The busiest come first, below the row of all."""
    assert texts(window(3, fail=2)) == [
        ["all 3", "3.6/s", "36", "16.7 %", "60 ms", "730 ms", "946 ms", ""],
        ["t2", "1.3/s", "13", "15.4 %", "65 ms", "805 ms", "961 ms", ""],
        ["t1", "1.2/s", "12", "16.7 %", "60 ms", "730 ms", "946 ms", ""],
        ["t0", "1.1/s", "11", "18.2 %", "55 ms", "505 ms", "901 ms", ""],
    ]


def test_sparkline() -> None:
    """It is the rate of each row."""
    table = traffic.table(traffic.of(window(1), CALLS))
    assert list(table.rows[0][-1].spark) == [0.2, 2]


def test_many() -> None:
    """Twenty-five rows are shown, or all of them; how many more there are is said."""
    given = window(40)
    assert len(texts(given)) == 26
    assert len(texts(given, everything=True)) == 41
    table = traffic.table(traffic.of(given, CALLS))
    assert (table.more, table.note) == (15, "15 more, all of them less busy.")


def test_chart() -> None:
    """The whole, row by row; what is not known is None."""
    found = traffic.chart(traffic.of(window(2, fail=5), CALLS))
    assert found["times"] == [100, 105]
    assert found["rate"] == [0.6, 4]
    assert found["error_ratio"] == [0, 0.5]
    assert found["p50"] == [0.55, 0.05]
    empty = traffic.chart(traffic.of(window(0), CALLS))
    assert empty["error_ratio"] == [None, None]
    assert empty["p99"] == [None, None]


def test_problems() -> None:
    """A tool that fails often is named, unless it was hardly called."""
    assert list(traffic.problems(traffic.of(window(1, fail=5), CALLS), 5)) == []
    found = list(traffic.problems(traffic.of(window(11, fail=5), CALLS), 5))
    assert found == [
        "23.8 % of 21 calls of tool t10 failed in the last 5 min",
        "25 % of 20 calls of tool t9 failed in the last 5 min",
    ]


def test_nothing() -> None:
    """Without calls there is nothing to show."""
    assert not traffic.of(window(3), REQUESTS).has_calls
    assert not traffic.of(Window(Legend(1, [Track("c", COUNTER)]), []), CALLS).has_calls

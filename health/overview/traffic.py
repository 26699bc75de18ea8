"""Requests and tool calls over the last minutes: how many, how many failed, how long they took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite, nan
from typing import Any, NamedTuple

from health.overview import words
from health.overview.tables import Cell, Table
from metrics.history.tracks import ROUTES, TOOLS, Breakdown
from metrics.history.window import QUANTILES, Calls, Window, known, total

SHOWN = 25
"""Rows of a table, if not all are asked for."""
NO_ROUTE = "(no route)"


class Kind(NamedTuple):
    """One sort of calls."""

    name: str
    title: str
    label: str
    breakdown: Breakdown


KINDS = (
    Kind("requests", "Requests", "Route", ROUTES),
    Kind("tools", "Tool calls", "Tool", TOOLS),
)


class Traffic(NamedTuple):
    """One sort of calls over some time; ``groups`` are busiest first."""

    kind: Kind
    groups: list[tuple[str, Calls]]
    whole: Calls
    window: Window

    @property
    def has_calls(self) -> bool:
        """Whether anything was ever counted of it."""
        return bool(self.groups)


def of(window: Window, kind: Kind) -> Traffic:
    """Return what the rows of ``window`` say of one sort of calls."""
    groups = [
        (value, window.calls(kind.breakdown, value, tracks))
        for value, tracks in window.groups(kind.breakdown).items()
    ]
    groups.sort(key=lambda group: (-group[1].number, group[0]))
    return Traffic(kind, groups, total(calls for _, calls in groups), window)


def chart(traffic: Traffic) -> dict[str, Any]:
    """Return the whole over time, row by row; None where there is no figure."""
    window, breakdown = traffic.window, traffic.kind.breakdown
    family = window.find(breakdown.family)
    by_row: Iterable[Calls] = ()
    if family is not None:
        by_row = window.calls_by_row(breakdown, "", [family])
    failed = window.failed_by_row(breakdown)
    rates: list[float | None] = []
    ratios: list[float | None] = []
    quantiles: list[list[float | None]] = [[] for _ in QUANTILES]
    for calls, errors in zip(by_row, failed, strict=False):
        rates.append(known(calls.rate))
        ratios.append(known(errors / calls.number if calls.number else nan))
        for column, q in zip(quantiles, QUANTILES, strict=True):
            column.append(known(calls.quantile(q)))
    return {
        "times": [round(at, 3) for at in window.times] if rates else [],
        "rate": rates,
        "error_ratio": ratios,
        **{f"p{q * 100:g}": column for q, column in zip(QUANTILES, quantiles, strict=True)},
    }


def table(traffic: Traffic, *, everything: bool = False) -> Table:
    """Return a row for each route or tool, and one for all of them."""
    kind, window = traffic.kind, traffic.window
    shown = traffic.groups if everything else traffic.groups[:SHOWN]
    tracks = window.groups(kind.breakdown)
    rows = [
        _row(
            Cell(value or NO_ROUTE, page=("family", kind.breakdown.family)),
            calls,
            _summed([window.rates(t, len(t.bounds) - 1) for t in tracks[value]]),
        )
        for value, calls in shown
    ]
    if len(traffic.groups) > 1:
        rows.insert(0, _row(Cell(f"all {len(traffic.groups)}"), traffic.whole, ()))
    left = len(traffic.groups) - len(shown)
    return Table(
        kind.name,
        kind.title,
        (kind.label, "Rate", "Calls", "Errors", "p50", "p95", "p99", "Rate over time"),
        frozenset(range(1, 7)),
        rows,
        note=f"{left} more, all of them less busy." if left else "",
        more=left,
    )


def _row(name: Cell, calls: Calls, spark: Sequence[float | None]) -> list[Cell]:
    failing = calls.error_ratio >= FAILING
    return [
        name,
        Cell(words.rate(calls.rate)),
        Cell(words.number(calls.number)),
        Cell(words.ratio(calls.error_ratio), state="unhealthy" if failing else ""),
        *(Cell(words.seconds(calls.quantile(q))) for q in QUANTILES),
        Cell("", spark=spark),
    ]


FAILING = 0.05
"""The share of failed calls from which on they are shown as trouble."""
NAMED = 5
"""How many of them are named."""
FEW = 20
"""With fewer calls than that their share says nothing."""


def problems(traffic: Traffic, minutes: int) -> Iterable[str]:
    """Say which routes or tools fail often, those with the most failures first."""
    failing = [
        (value, calls)
        for value, calls in traffic.groups
        if calls.number >= FEW and calls.error_ratio >= FAILING
    ]
    failing.sort(key=lambda group: -group[1].failed)
    label = traffic.kind.label.lower()
    for value, calls in failing[:NAMED]:
        yield (
            f"{words.ratio(calls.error_ratio)} of {words.number(calls.number)} calls of"
            f" {label} {value or NO_ROUTE} failed in the last {minutes} min"
        )
    if (left := len(failing) - NAMED) > 0:
        yield f"{left} more {label}{'' if left == 1 else 's'} of which 5 % or more failed"


def _summed(columns: list[list[float]]) -> list[float | None]:
    return [known(sum(c for c in row if isfinite(c))) for row in zip(*columns, strict=True)]

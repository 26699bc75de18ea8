"""What the admin pages draw of a family: its last hour, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from metrics.history.tracks import COUNTER, GAUGE, HISTOGRAM, SUMMARY, Track
from metrics.history.window import QUANTILES, Window, known, quantile

NOW_SECONDS = 60.0
"""Over how much time the rate of now is taken."""
TABLE_SECONDS = 300.0
"""How much time a row of the chart's table stands for."""


def rate_now(window: Window | None, name: str) -> float | None:
    """Return the increase a second of the last minute; None where there is none."""
    if window is None or (track := window.find(name)) is None or track.kind == GAUGE:
        return None
    last = window.last(NOW_SECONDS)
    return known(last.increase(track, _count_of(track)) / last.span) if last.span else None


def sparks(window: Window | None, names: Iterable[str]) -> dict[str, list[float | None]]:
    """Return a family's course: rates, or a gauge's values."""
    found = {}
    for name in names if window is not None else ():
        if window is not None and (track := window.find(name)) is not None:
            found[name] = _course(window, track)
    return found


def chart(window: Window | None, name: str, unit: str) -> dict[str, Any] | None:
    """Return what is drawn of a family over the window's time; None if it has no history."""
    if window is None or (track := window.find(name)) is None:
        return None
    times = [round(at, 3) for at in window.times]
    lines = [
        {"label": "value" if track.kind == GAUGE else "rate", "values": _course(window, track)}
    ]
    found: dict[str, Any] = {
        "kind": track.kind,
        "times": times,
        "unit": unit if track.kind == GAUGE else "/s",
        "series": lines,
    }
    if track.kind == HISTOGRAM:
        counts = [list(row) for row in window.histogram(track)]
        found["bounds"] = [bound if isfinite(bound) else None for bound in track.bounds]
        found["heat"] = [
            [count / row.span for count in _apart(cells)]
            for row, cells in zip(window.rows, counts, strict=True)
        ]
        found["quantiles"] = [
            {
                "label": f"p{q * 100:g}",
                "values": [known(quantile(q, track.bounds, row)) for row in counts],
            }
            for q in QUANTILES
        ]
        found["quantile_unit"] = unit
    return found


def chart_table(
    window: Window | None, name: str
) -> tuple[list[str], list[tuple[float, list[float | None]]]]:
    """Return the same for reading: the columns, and for each five minutes when and what."""
    if window is None or (track := window.find(name)) is None:
        return [], []
    columns = ["Value"] if track.kind == GAUGE else ["Rate a second"]
    if track.kind == HISTOGRAM:
        columns += [f"p{q * 100:g}" for q in QUANTILES]
    found = []
    for part in window.split(TABLE_SECONDS):
        if track.kind == GAUGE:
            row = [known(list(part.values(track))[-1])]
        else:
            row = [known(part.increase(track, _count_of(track)) / part.span)]
        if track.kind == HISTOGRAM:
            counts = [part.increase(track, cell) for cell in range(len(track.bounds))]
            row += [known(quantile(q, track.bounds, counts)) for q in QUANTILES]
        found.append((part.times[-1], row))
    return columns, found


def _course(window: Window, track: Track) -> list[float | None]:
    if track.kind == GAUGE:
        return [known(value) for value in window.values(track)]
    return [known(rate) for rate in window.rates(track, _count_of(track))]


def _count_of(track: Track) -> int:
    """Return which cell counts what was observed."""
    return {COUNTER: 0, SUMMARY: 0, HISTOGRAM: len(track.bounds) - 1}[track.kind]


def _apart(cumulative: Sequence[float]) -> list[float]:
    """Return what each bucket has by itself."""
    before = [0.0, *cumulative[:-1]]
    return [max(0.0, count - below) for count, below in zip(cumulative, before, strict=True)]

"""What is kept of a layout."""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import inf

from metrics.history.tracks import COUNTER, GAUGE, HISTOGRAM, SUMMARY, Track, plan, totals
from metrics.samples import Block, Family, Labels, Layout, SampleKey, Samples


def family(name: str, kind: str, *samples: tuple[str, Labels]) -> Family:
    """Return a family of samples, given by suffix and labels."""
    keys = tuple(SampleKey(name + suffix, labels) for suffix, labels in samples)
    return Family(name, kind, "", "", keys)


def histogram(name: str, *series: tuple[Labels, tuple[str, ...]]) -> Family:
    """Return a histogram, given by each series' labels and bounds."""
    samples: list[tuple[str, Labels]] = []
    for labels, bounds in series:
        samples += [("_bucket", (*labels, ("le", bound))) for bound in bounds]
        samples += [("_count", labels), ("_sum", labels)]
    return family(name, "histogram", *samples)


def as_blocks(layout: Layout) -> Layout:
    """Return the same lines as the store gives them: a block for series of one shape."""
    families = []
    for one in layout.families:
        series: dict[Labels, list[tuple[str, Labels]]] = {}
        for key in one.samples:
            suffix = key.name[len(one.name) :]
            own = suffix == "_bucket" or (one.type == "summary" and not suffix)
            labels, more = (key.labels[:-1], key.labels[-1:]) if own else (key.labels, ())
            series.setdefault(labels, []).append((suffix, more))
        blocks = [
            Block(tuple(shape), tuple(labels for labels, _ in group))
            for shape, group in itertools.groupby(series.items(), key=lambda item: item[1])
        ]
        families.append(replace(one, samples=Samples(one.name, tuple(blocks))))
    return Layout(tuple(families))


def kept(layout: Layout, values: list[float]) -> dict[Track, list[float]]:
    """Return each track with its cells."""
    found = plan(layout)
    tracks = [track for track, _ in found]
    assert len(set(tracks)) == len(tracks)
    assert all(track.cells == len(cells) for track, cells in found)
    blocks = as_blocks(layout)
    assert [list(one.samples) for one in blocks.families] == [
        list(one.samples) for one in layout.families
    ]
    in_blocks = plan(blocks)
    assert [track for track, _ in in_blocks] == tracks
    assert totals(in_blocks, values) == totals(found, values)
    return dict(zip(tracks, totals(found, values), strict=True))


def test_sums_over_series() -> None:
    """A family is one track, whatever labels its series have; ``_created`` is no count."""
    layout = Layout(
        (
            family("c", COUNTER, ("_total", (("l", "a"),)), ("_total", (("l", "b"),))),
            family("d", COUNTER, ("_total", ()), ("_created", ())),
            family("g", GAUGE, ("", (("l", "a"),)), ("", (("l", "b"),))),
            family("s", SUMMARY, ("", (("quantile", "0.5"),)), ("_count", ()), ("_sum", ())),
            family("i", "info", ("_info", ())),
        )
    )
    assert kept(layout, [1, 2, 3, 1e9, 5, 6, 0.1, 7, 8, 1]) == {
        Track("c_total", COUNTER): [3],
        Track("d_total", COUNTER): [3],
        Track("g", GAUGE): [11],
        Track("s", SUMMARY): [7, 8],
    }


def test_histogram_with_bounds_of_their_own() -> None:
    """Series with fewer bounds count, at one that they lack, what is below the one before."""
    layout = Layout(
        (histogram("h", ((("l", "a"),), ("1.0", "2.0", "+Inf")), ((("l", "b"),), ("1.5", "+Inf"))),)
    )
    assert kept(layout, [1, 2, 3, 3, 30, 10, 20, 20, 40]) == {
        Track("h", HISTOGRAM, bounds=(1, 1.5, 2, inf)): [1, 11, 12, 23, 70]
    }


def test_routes() -> None:
    """Requests are kept by route too, with those that failed."""
    name = "http_server_request_duration_seconds"

    def series(route: str, status: str, error: str = "") -> tuple[Labels, tuple[str, ...]]:
        labels = (("http_route", route), ("http_response_status_code", status))
        return (*labels, *((("error_type", error),) if error else ())), ("1.0", "+Inf")

    layout = Layout(
        (
            histogram(
                name,
                series("a", "200"),
                series("a", "404"),
                series("a", "500"),
                series("a", "200", "ValueError"),
                series("b", "200"),
            ),
        )
    )
    values: list[float] = []
    for n in range(1, 6):
        values += [0, n, n, n * 10]
    found = kept(layout, values)
    assert found[Track(name, HISTOGRAM, bounds=(1, inf))] == [0, 15, 150]
    assert found[Track(name, HISTOGRAM, "http_route", "a", "", (1, inf))] == [0, 10, 100]
    assert found[Track(name, COUNTER, "http_route", "a", "errors")] == [7]
    assert found[Track(name, COUNTER, "http_route", "b", "errors")] == [0]


def test_tools() -> None:
    """Calls are kept by tool too; what failed of them is another family's."""
    name = "sentinel_request_duration_seconds"
    layout = Layout(
        (
            histogram(name, ((("tool", "t"),), ("+Inf",))),
            family(
                "sentinel_errors",
                COUNTER,
                ("_total", (("tool", "t"), ("error_type", "error"))),
                ("_total", (("tool", "t"), ("error_type", "killed"))),
            ),
        )
    )
    found = kept(layout, [9, 9, 90, 2, 3])
    assert found[Track(name, HISTOGRAM, "tool", "t", "", (inf,))] == [9, 90]
    assert found[Track(name, COUNTER, "tool", "t", "errors")] == [5]

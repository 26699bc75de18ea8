"""Gauges: the first write, their place in a lane, and how they are merged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from metrics.shared import Store
from metrics.shared.files.catalog import FamilyKey, FamilyRecord
from metrics.shared.files.lanes import HEADER_SIZE, size_for
from metrics.shared.gauges import gauge_entries, merge_gauge
from tests.metrics.shared.making import make_value
from tests.metrics.shared.programs import gauges
from tests.support.harness import call
from tests.support.store_peers import figures


def test_gauge_at_the_very_end_of_a_lane_that_cannot_grow(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gauge half of whose cells would fit into the lane counts wholly in memory."""
    from metrics.system import flock

    fill = (size_for(0) - HEADER_SIZE) // 8
    for number in range(fill - 5):
        make_value(store, "c", [str(number)]).inc(1)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(flock, "allocate", full)
    key = FamilyKey("g", "gauge", "max", ("l",), ())
    for number in range(4):
        store.series(key, (str(number),), "help")[0].set(number + 7)
    found = figures(store.snapshot())
    assert [found[f'g{{l="{i}"}}'] for i in range(4)] == [7.0, 8.0, 9.0, 10.0]
    monkeypatch.undo()
    store._hold.try_at_once()
    found = figures(store.snapshot())
    assert [found[f'g{{l="{i}"}}'] for i in range(4)] == [7.0, 8.0, 9.0, 10.0]
    assert store._hold.memory == {}


@pytest.mark.parametrize(
    ("mode", "entries", "merged"),
    [
        ("min", [(3.0, 1.0), (-2.0, 2.0), (-9.0, 0.0)], -2.0),
        ("max", [(3.0, 1.0), (-2.0, 2.0), (9.0, 0.0)], 3.0),
        ("sum", [(3.0, 1.0), (-2.0, 2.0), (9.0, 0.0)], 1.0),
        ("sum", [(math.inf, 1.0), (-math.inf, 2.0)], math.nan),
        ("sum", [(1e308, 1.0), (1e308, 2.0)], math.inf),
        ("mostrecent", [(3.0, 1.0), (-2.0, 2.0), (9.0, 0.0)], -2.0),
        ("livemostrecent", [(3.0, 5.0), (-2.0, 2.0)], 3.0),
        ("livesum", [], 0.0),
    ],
)
def test_merging_gauges(mode: str, entries: list[tuple[float, float]], merged: float) -> None:
    """Values that were never set do not count; all others merge as the mode says."""
    found = merge_gauge(mode, entries)
    assert found == merged or (math.isnan(found) and math.isnan(merged))


def test_gauge_entries_of_the_living_and_the_dead() -> None:
    """A live gauge of a dead process is left out, and what was set before a removal is."""
    images = {0: [1.0, 10.0, 5.0, 9.0], 1: [2.0, 20.0, 0.0, 0.0], 2: [3.0, 0.0, 4.0, 30.0]}
    keeps = FamilyRecord(1, FamilyKey("g", "gauge", "sum", (), ()), "")
    live = FamilyRecord(1, FamilyKey("g", "gauge", "livesum", (), ()), "")
    assert gauge_entries(keeps, [0], images, {1}, 0.0) == (
        {0: 1.0, 1: 2.0},
        [(1.0, 10.0), (5.0, 9.0), (2.0, 20.0), (4.0, 30.0)],
    )
    assert gauge_entries(keeps, [0], images, {1}, 10.0) == ({1: 2.0}, [(2.0, 20.0), (4.0, 30.0)])
    assert gauge_entries(live, [0], images, {1}, 0.0) == ({1: 2.0}, [(2.0, 20.0)])


def test_a_process_may_begin_by_setting_a_gauge(tmp_path: Path) -> None:
    """Setting a gauge takes a lane just as adding to a counter does."""
    done = call(tmp_path, gauges.set_first)
    assert (done.returncode, done.stderr) == (0, "")

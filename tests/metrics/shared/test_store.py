"""What a store reads of what it has written, to the bit."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from metrics.shared import Store
from metrics.shared.errors import REASONS
from metrics.shared.files.catalog import FamilyKey
from metrics.shared.files.lanes import size_for
from tests.metrics.shared.making import make_value
from tests.support.store_peers import figures


def test_snapshot_of_a_new_directory(store: Store, tmp_path: Path) -> None:
    """Reading what is not there shows no figures but the store's own, and creates nothing."""
    snapshot = store.snapshot()
    assert [family.name for family in snapshot.layout.families] == ["sentinel_store_faults"]
    assert list(snapshot.values) == [0.0] * len(REASONS)
    assert snapshot.left_out == ()
    assert store.workers() == []
    assert not (tmp_path / "run").exists()


def test_layout_stays_the_same_object_while_lines_do(store: Store) -> None:
    """The layout is new only when a line came or went, and values follow its order."""
    one = make_value(store, "b", ["x"])
    one.inc(1.5)
    first = store.snapshot()
    one.inc(1)
    second = store.snapshot()
    assert second.layout is first.layout
    assert figures(second) == {'b_total{l0="x"}': 2.5}
    make_value(store, "a").inc(1)
    third = store.snapshot()
    assert third.layout is not first.layout
    assert [f.name for f in third.layout.families] == ["a", "b", "sentinel_store_faults"]
    assert figures(third) == {'b_total{l0="x"}': 2.5, "a_total": 1.0}


@pytest.mark.parametrize("amount", [5e-324, 0.1, 1e308, 2.0**53])
def test_values_are_read_bit_by_bit(store: Store, amount: float) -> None:
    """Every double that a counter may hold comes out as it went in."""
    make_value(store, "c").inc(amount)
    assert figures(store.snapshot()) == {"c_total": amount}


def test_lanes_grow_without_losing_a_value(store: Store, tmp_path: Path) -> None:
    """Series beyond a lane's first size make it longer, and all values stay."""
    values = [make_value(store, "c", [str(i)]) for i in range(2000)]
    for number, value in enumerate(values):
        value.inc(number)
    assert figures(store.snapshot()) == {f'c_total{{l0="{i}"}}': float(i) for i in range(2000)}
    assert (tmp_path / "run" / "lane-0").stat().st_size == size_for(2000)


def test_negative_infinite_and_nan_counts_are_left_out(store: Store, tmp_path: Path) -> None:
    """A cell that no counter can hold is named, and the rest of the lane counts."""
    bad, good = make_value(store, "bad"), make_value(store, "good")
    bad.inc(1)
    good.inc(2)
    for amount in (-5.0, math.nan, math.inf):
        bad.set(amount)
        snapshot = store.snapshot()
        assert figures(snapshot) == {"bad_total": 0.0, "good_total": 2.0}
        assert snapshot.left_out == (f"lane-0: cell 0 holds {amount!r}",)


def test_sums_may_be_negative(store: Store) -> None:
    """A summary's sum of negative observations is a figure like another."""
    key = FamilyKey("s", "summary", "", (), ())
    count, total = store.series(key, (), "help")
    count.inc(2)
    total.inc(-7.5)
    snapshot = store.snapshot()
    assert figures(snapshot) == {"s_count": 2.0, "s_sum": -7.5}
    assert snapshot.left_out == ()

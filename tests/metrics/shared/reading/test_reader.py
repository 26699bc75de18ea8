"""What a scrape makes of lanes that it cannot read, or that change meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metrics.samples import Snapshot
from metrics.shared import Store
from metrics.shared.files.catalog import FamilyKey
from metrics.shared.files.directory import Directory
from metrics.shared.reading.reader import OwnMemory, Reader
from tests.metrics.shared.making import make_value
from tests.support.store_peers import figures


def test_reader_alone_takes_no_lane(store: Store, tmp_path: Path) -> None:
    """A process that only reads leaves no trace among the workers."""
    make_value(store, "c").inc(1)
    other = Store(tmp_path / "run")
    assert figures(other.snapshot()) == {"c_total": 1.0}
    assert [worker.number for worker in other.workers()] == [0]
    files = Directory(str(tmp_path / "run"))
    files.index.refresh()
    plain = Reader().snapshot(str(tmp_path / "run"), files, OwnMemory({}, [], {}))
    assert figures(plain) == {"c_total": 1.0}
    files.close()
    other.claim()
    assert [worker.number for worker in store.workers()] == [0, 1]


def test_a_scrape_that_cannot_be_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault while the lanes are read gives an empty snapshot that says so, and no error."""
    store = Store(tmp_path / "run")

    def broken(*args: object) -> None:
        raise RuntimeError("dictionary changed size during iteration")

    monkeypatch.setattr(store._reader, "snapshot", broken)
    snapshot = store.snapshot()
    assert snapshot.values == ()
    assert snapshot.left_out == ("the shared store: see the log",)


def test_a_series_made_while_a_scrape_is_read_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finaliser that makes a series while all are gone through enters it in the index later."""
    store = Store(tmp_path / "run")
    key = FamilyKey("c", "counter", "", ("l",), ())
    store.series(key, ("one",), "help")[0].inc(1)
    read = store._reader.snapshot

    def interrupted(*args: Any) -> Snapshot:
        store.series(key, ("two",), "help")[0].inc(2)
        return read(*args)

    monkeypatch.setattr(store._reader, "snapshot", interrupted)
    assert "two" not in str(store.snapshot().layout)
    monkeypatch.undo()
    snapshot = store.snapshot()
    assert [value for value in snapshot.values if value] == [1.0, 2.0]

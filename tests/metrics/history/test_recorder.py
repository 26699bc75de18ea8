"""Who writes, and what an increase is."""

from __future__ import annotations

import os
import time
from math import nan
from pathlib import Path

import pytest

from metrics import shared
from metrics.history.file import Rows
from metrics.history.recorder import Recorder
from metrics.history.tracks import COUNTER, GAUGE, Track
from metrics.history.window import Window
from metrics.samples import Family, Layout, SampleKey, Snapshot
from metrics.shared import Store
from metrics.system.run_dir import RunDirError
from tests.support import harness

BEGIN = 1_800_000_000.0
LAYOUT = Layout(
    (
        Family("calls", "counter", "", "", (SampleKey("calls_total", ()),)),
        Family("size", "gauge", "", "", (SampleKey("size", ()),)),
    )
)
CALLS, SIZE = Track("calls_total", COUNTER), Track("size", GAUGE)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store whose directory is there."""
    return shared.Store(tmp_path)


def write(recorder: Recorder, number: int, calls: float, size: float) -> None:
    """Write the row of one moment."""
    assert recorder.is_writer()
    recorder.write(Snapshot(LAYOUT, [calls, size]), BEGIN + 5 * number)


def window(tmp_path: Path) -> Window:
    """Return what is kept."""
    with Rows(str(tmp_path), BEGIN + 3000) as rows:
        return Window(rows.legend, rows.steps())


def test_increases(tmp_path: Path, store: Store) -> None:
    """The first row knows no increase; a total that fell counts from nothing."""
    recorder = Recorder(store)
    for number, (calls, size) in enumerate([(100, 1), (110, -2), (110, nan), (7, 4)]):
        write(recorder, number, calls, size)
    found = window(tmp_path)
    assert list(found.values(CALLS)) == [0, 10, 0, 7]
    assert list(found.values(SIZE))[:2] == [1, -2]
    assert list(found.values(SIZE))[3] == 4


def test_another_goes_on(tmp_path: Path, store: Store) -> None:
    """One writes at a time; the next one loses no count, and knows how long it was away."""
    first, second = Recorder(store), Recorder(store)
    write(first, 0, 100, 0)
    assert not second.is_writer()
    first.leave()
    write(second, 4, 180, 0)
    assert not first.is_writer()
    found = window(tmp_path)
    assert list(found.values(CALLS)) == [0, 80]
    assert found.rates(CALLS) == [0, 4]


def test_new_families(tmp_path: Path, store: Store) -> None:
    """What is first counted while the history runs counts whole."""
    recorder = Recorder(store)
    write(recorder, 0, 100, 0)
    layout = Layout(
        (*LAYOUT.families, Family("new", "counter", "", "", (SampleKey("new_total", ()),)))
    )
    recorder.write(Snapshot(layout, [100, 0, 3]), BEGIN + 5)
    recorder.write(Snapshot(layout, [100, 0, 5]), BEGIN + 10)
    assert list(window(tmp_path).values(Track("new_total", COUNTER)))[1:] == [3, 2]


def test_files_that_are_taken_away(tmp_path: Path, store: Store) -> None:
    """A run directory that was emptied is written anew."""
    recorder = Recorder(store)
    write(recorder, 0, 100, 0)
    for name in os.listdir(tmp_path):
        os.unlink(tmp_path / name)
    write(recorder, 1, 110, 0)
    assert window(tmp_path).times == [BEGIN + 5]


def test_no_directory_yet(tmp_path: Path) -> None:
    """Nothing is made before something was counted."""
    assert not Recorder(shared.Store(tmp_path / "not yet")).is_writer()
    assert not os.listdir(tmp_path)


def test_directory_of_somebody_else(tmp_path: Path) -> None:
    """Nothing is written into a directory that others can write to."""
    planted = tmp_path / "run"
    planted.mkdir()
    planted.chmod(0o777)
    with pytest.raises(RunDirError, match="can be written by others"):
        Recorder(shared.Store(planted)).is_writer()
    assert not os.listdir(planted)


def told_by_history(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the recorder has logged."""
    return [one.getMessage() for one in caplog.records if one.name.startswith("metrics.history")]


def test_full_disk(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On a full disk no row is written, which is told once; with space again it goes on."""
    recorder = Recorder(shared.Store(small_disk))
    ballast = harness.fill_disk(small_disk)
    with caplog.at_level("INFO", "metrics.history"):
        for _ in range(3):
            recorder.step()
        (told,) = told_by_history(caplog)
        assert "cannot be kept, will go on trying: [Errno 28] No space left" in told
        assert not list(small_disk.glob("history*.new"))
        ballast.unlink()
        recorder.step()
        assert told_by_history(caplog)[1:] == ["the history for the admin's pages is kept again"]
    with Rows(str(small_disk), time.time()) as rows:
        assert len(rows.steps()) == 1

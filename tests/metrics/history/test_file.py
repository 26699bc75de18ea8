"""The file of the last hour: what is written is read, damage is a gap, nothing grows."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from math import inf
from pathlib import Path

import pytest

from metrics.history import STEP
from metrics.history.file import (
    MIN_CELLS,
    MINUTE,
    ROWS,
    STEPS,
    Row,
    Rows,
    Totals,
    Writer,
    size_of,
)
from metrics.history.legend import LEGEND, MAX_CELLS, HistoryError
from metrics.history.tracks import COUNTER, GAUGE, HISTOGRAM, Track

CALLS = Track("calls_total", COUNTER)
SIZE = Track("size", GAUGE)
BEGIN = 1_800_000_000.0


def write(writer: Writer, at: float, cells: Sequence[float]) -> None:
    """Write a row with totals of the same numbers."""
    writer.add(Row(at, STEP, cells), Totals(at, cells))


def filled(directory: Path, rows: int) -> Writer:
    """Return the writer of a file with so many rows: 1 call in each, and the row's number."""
    writer = Writer(str(directory))
    writer.add_tracks([CALLS, SIZE])
    for number in range(rows):
        write(writer, BEGIN + STEP * number, [1, number])
    return writer


def times(rows: Sequence[Row]) -> list[float]:
    """Return when the rows were made, as numbers of steps since the beginning."""
    return [(row.at - BEGIN) / STEP for row in rows]


def test_an_hour_and_no_more(tmp_path: Path) -> None:
    """Of two hours the last is there, in order; its minutes sum increases; the size stays."""
    writer = filled(tmp_path, 2 * STEPS)
    size = (tmp_path / ROWS).stat().st_size
    assert size == size_of(MIN_CELLS)
    now = BEGIN + STEP * (2 * STEPS - 1)
    with Rows(str(tmp_path), now) as rows:
        assert list(rows.legend.first) == [CALLS, SIZE]
        steps, minutes = rows.steps(), rows.minutes()
        last = rows.steps(60)
    assert times(steps) == list(range(STEPS, 2 * STEPS))
    assert times(last) == list(range(2 * STEPS - 12, 2 * STEPS))
    assert len(minutes) == 61
    assert {row.cells[0] for row in minutes[1:-1]} == {12}
    assert {row.span for row in minutes[1:-1]} == {60}
    assert minutes[-1].cells[1] == 2 * STEPS - 1
    assert all(row.at // MINUTE != minutes[0].at // MINUTE for row in minutes[1:])
    for number in range(2 * STEPS, 3 * STEPS):
        write(writer, BEGIN + STEP * number, [1, number])
    assert (tmp_path / ROWS).stat().st_size == size


def test_old_rows_are_no_history_of_now(tmp_path: Path) -> None:
    """After a pause what is older than an hour is not shown, though it still stands there."""
    filled(tmp_path, 100)
    with Rows(str(tmp_path), BEGIN + 3600 + 50 * STEP) as rows:
        assert times(rows.steps()) == list(range(51, 100))


def test_next_process_goes_on(tmp_path: Path) -> None:
    """Another writer finds the legend, the rows and the totals."""
    filled(tmp_path, 10).close()
    writer = Writer(str(tmp_path))
    assert list(writer.legend.first) == [CALLS, SIZE]
    assert (writer.totals.at, list(writer.totals.cells)) == (BEGIN + 9 * STEP, [1, 9])
    write(writer, BEGIN + 10 * STEP, [1, 10])
    with Rows(str(tmp_path), BEGIN + 10 * STEP) as rows:
        assert times(rows.steps()) == list(range(11))


def test_room_for_more(tmp_path: Path) -> None:
    """The file grows with the tracks, keeping what it had, up to its bound."""
    writer = filled(tmp_path, 10)
    writer.add_tracks(Track(f"c{n}_total", COUNTER) for n in range(MIN_CELLS))
    write(writer, BEGIN + 10 * STEP, [1, 10, *([7] * MIN_CELLS)])
    assert (tmp_path / ROWS).stat().st_size == size_of(2 * MIN_CELLS)
    with Rows(str(tmp_path), BEGIN + 10 * STEP) as rows:
        steps = rows.steps()
        assert [row.cells[1] for row in steps] == list(range(11))
        assert steps[-1].cells[rows.legend.first[Track("c9_total", COUNTER)]] == 7
    bounds = (*map(float, range(300)), inf)
    writer.add_tracks(Track(f"h{n}", HISTOGRAM, bounds=bounds) for n in range(40))
    assert (tmp_path / ROWS).stat().st_size == size_of(MAX_CELLS)
    assert writer.legend.left_out == 14
    assert Track("h3", HISTOGRAM, bounds=bounds) in Writer(str(tmp_path)).legend.first
    assert sorted(os.listdir(tmp_path)) == [ROWS, LEGEND]


@pytest.mark.parametrize("seed", range(20))
def test_damage_is_a_gap(tmp_path: Path, seed: int) -> None:
    """Whatever bytes are overwritten: right rows or none, and the next writer goes on."""
    chance = random.Random(seed)
    filled(tmp_path, 200).close()
    data = bytearray((tmp_path / ROWS).read_bytes())
    for _ in range(20):
        at = chance.randrange(len(data))
        data[at : at + 64] = chance.randbytes(64)
    if seed % 2:
        del data[chance.randrange(len(data)) :]
    (tmp_path / ROWS).write_bytes(data)
    now = BEGIN + 199 * STEP
    try:
        with Rows(str(tmp_path), now) as rows:
            found = rows.steps()
    except HistoryError:
        found = []
    assert all(row.cells[1] == (row.at - BEGIN) / STEP for row in found)
    writer = Writer(str(tmp_path))
    writer.add_tracks([CALLS, SIZE])
    write(writer, now + STEP, [5, 200])
    with Rows(str(tmp_path), now + STEP) as rows:
        assert list(rows.steps()[-1].cells) == [5, 200]


@pytest.mark.parametrize(
    "legend",
    [
        "",
        "{",
        "[]",
        "null",
        '{"generation": "x"}',
        '{"generation": 1, "left_out": 0, "tracks": [["a"]]}',
        '{"generation": 1, "left_out": 0, "tracks": [["a", "counter", "", "", "", ["x"]]]}',
        "\udcff",
    ],
)
def test_damaged_legend(tmp_path: Path, legend: str) -> None:
    """Without its legend a file says nothing; a new one is begun."""
    filled(tmp_path, 10).close()
    (tmp_path / LEGEND).write_text(legend, errors="surrogateescape")
    with pytest.raises(HistoryError):
        Rows(str(tmp_path), BEGIN)
    writer = Writer(str(tmp_path))
    assert not writer.legend.first
    assert writer.totals.at == 0


def test_legend_of_another_file(tmp_path: Path) -> None:
    """Rows are never read by a legend that is not theirs."""
    filled(tmp_path, 10).close()
    known = json.loads((tmp_path / LEGEND).read_text())
    (tmp_path / LEGEND).write_text(json.dumps({**known, "generation": known["generation"] + 1}))
    with pytest.raises(HistoryError, match="another legend"):
        Rows(str(tmp_path), BEGIN)


def test_nothing_there(tmp_path: Path) -> None:
    """Where nothing was written there is nothing to read."""
    with pytest.raises(FileNotFoundError):
        Rows(str(tmp_path), BEGIN)

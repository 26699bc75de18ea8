"""The index on the disk, read record by record."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from metrics.shared.errors import RecordTooLargeError
from metrics.shared.files.catalog import FamilyKey
from metrics.shared.files.directory import Directory
from metrics.shared.files.index_records import MAX_PAYLOAD, pack_record


def test_index_is_read_by_others_record_by_record(tmp_path: Path) -> None:
    """Two open indexes give one series one cell, and cells never overlap."""
    one, two = Directory(str(tmp_path)), Directory(str(tmp_path))
    histogram = FamilyKey("h", "histogram", "", ("l",), ("1.0", "2.0", "+Inf"))
    gauge = FamilyKey("g", "gauge", "all", ("l",), ())
    cells: dict[tuple[str, str], int] = {}
    for number in range(50):
        for files, key in ((one, histogram), (two, gauge), (two, histogram)):
            with files.index.appending() as appender:
                family = appender.family(key, "help")
                cell = appender.series(family, (str(number),))
            assert cells.setdefault((key.name, str(number)), cell) == cell
    ends = sorted((cell, cell + 4) for cell in cells.values())
    assert all(end <= begin for (_, end), (begin, _) in pairwise(ends))
    assert ends[0][0] == 0
    three = Directory(str(tmp_path))
    three.index.refresh()
    assert [f.key for f in three.index.catalog.by_key.values()] == [histogram, gauge]
    assert {f.key.name: f.series for f in three.index.catalog.by_key.values()} == {
        name: {(str(i),): cells[name, str(i)] for i in range(50)} for name in "hg"
    }
    for files in (one, two, three):
        assert files.index.left_out() == []
        files.close()


def test_record_that_is_too_large_is_refused() -> None:
    """A record beyond what a reader takes is never written."""
    assert len(pack_record(2, 0, b"x" * MAX_PAYLOAD)) == MAX_PAYLOAD + 16
    with pytest.raises(RecordTooLargeError, match="262145 bytes; 262144 fit"):
        pack_record(2, 0, b"x" * (MAX_PAYLOAD + 1))

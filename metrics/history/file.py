"""The file of the last hour: rows of numbers at fixed places, each under the time it was made.

A row a `STEP` for the last hour, and a row a minute, which sums the increases of its steps.
A number is what a counter gained since the row before, or a gauge's value; which cell is
whose stands in a second file, the legend. One process writes, any number read, and none
waits for another: a row carries a checksum, and one that does not fit is a gap.

The size is fixed by the number of cells: `size_of`; 0.8 MiB for `MIN_CELLS`, 24.5 MiB for
`MAX_CELLS`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
import zlib
from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from metrics.history import STEP
from metrics.history.legend import MAX_CELLS, HistoryError, Legend
from metrics.history.tracks import GAUGE, Track
from metrics.system import flock

STEPS = 720
MINUTE = 60
MINUTES = 61
"""One more than an hour has: the minute that has just begun is not whole."""

MIN_CELLS = 256

ROWS = "history"

_HEADER = struct.Struct("<8sQI4x")  # magic, generation, cells a row
_HEADER_SIZE = 4096
_MAGIC = b"SNTLHIS1"
_TOTALS_HEAD = struct.Struct("<IId")  # checksum, cells that are used, when
_ROW_HEAD = struct.Struct("<IIdd")  # checksum, cells that are used, when, seconds that it spans


class Row(NamedTuple):
    """The numbers of one moment (unix seconds), and how many seconds their increases span."""

    at: float
    span: float
    cells: Sequence[float]


class Totals(NamedTuple):
    """What the cells stood at, and when (unix seconds; 0: it is not known)."""

    at: float
    cells: Sequence[float]


def size_of(cells: int) -> int:
    """Return the size in bytes of a file whose rows have so many cells."""
    return _row_at(cells, STEPS + MINUTES)


def _stride(cells: int) -> int:
    return _ROW_HEAD.size + 4 * cells


def _row_at(cells: int, number: int) -> int:
    return _HEADER_SIZE + _TOTALS_HEAD.size + 8 * cells + number * _stride(cells)


def _step_row(at: float) -> int:
    return int(at // STEP) % STEPS


def _minute_row(at: float) -> int:
    return STEPS + int(at // MINUTE) % MINUTES


class _File:
    """The open file of rows."""

    def __init__(self, fd: int, generation: int, capacity: int) -> None:
        self.fd = fd
        self.generation = generation
        self.capacity = capacity

    @classmethod
    def open(cls, path: str, flags: int) -> Self:
        """Open an existing file. Raises OSError, HistoryError."""
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            head = os.pread(fd, _HEADER.size, 0)
            if len(head) < _HEADER.size:
                raise HistoryError("the file has no header")
            magic, generation, capacity = _HEADER.unpack(head)
            sized = MIN_CELLS <= capacity <= MAX_CELLS and os.fstat(fd).st_size >= size_of(capacity)
            if magic != _MAGIC or not sized:
                raise HistoryError("the file is none of ours, or was cut")
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, generation, capacity)

    def read(self, number: int) -> Row | None:
        """Return a row; None if there is none, or it is damaged. Raises OSError."""
        row = self._read(number)
        return self._read(number) if row is None else row  # it may have been half written

    def _read(self, number: int) -> Row | None:
        data = os.pread(self.fd, _stride(self.capacity), _row_at(self.capacity, number))
        if len(data) < _ROW_HEAD.size:
            return None
        checksum, used, at, span = _ROW_HEAD.unpack_from(data)
        payload = data[_ROW_HEAD.size : _ROW_HEAD.size + 4 * used]
        if not at or used > self.capacity or zlib.crc32(payload, int(at)) != checksum:
            return None
        return Row(at, span, array("f", payload))

    def write(self, number: int, row: Row) -> None:
        """Write a row. Raises OSError."""
        payload = array("f", row.cells).tobytes()
        head = _ROW_HEAD.pack(zlib.crc32(payload, int(row.at)), len(row.cells), row.at, row.span)
        os.pwrite(self.fd, head + payload, _row_at(self.capacity, number))

    def read_totals(self) -> Totals:
        """Return the totals that the last row was made from; none if they are damaged."""
        data = os.pread(self.fd, _TOTALS_HEAD.size + 8 * self.capacity, _HEADER_SIZE)
        checksum, used, at = _TOTALS_HEAD.unpack_from(data)
        payload = data[_TOTALS_HEAD.size : _TOTALS_HEAD.size + 8 * used]
        if used > self.capacity or zlib.crc32(payload, int(at)) != checksum:
            return Totals(0.0, ())
        return Totals(at, array("d", payload))

    def write_totals(self, totals: Totals) -> None:
        """Keep the totals, for the process that goes on after this one. Raises OSError."""
        payload = array("d", totals.cells).tobytes()
        head = _TOTALS_HEAD.pack(zlib.crc32(payload, int(totals.at)), len(totals.cells), totals.at)
        os.pwrite(self.fd, head + payload, _HEADER_SIZE)

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)


class Writer:
    """Writes rows, for the one process that holds the lock. Goes on with what is there."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._file, self.legend = self._take_up()
        self.totals = self._file.read_totals()
        """The cells' totals at the last row; fewer than in the legend where not known."""

    def _take_up(self) -> tuple[_File, Legend]:
        try:
            legend = Legend.read(self._directory)
            file = _File.open(os.path.join(self._directory, ROWS), os.O_RDWR)
        except (OSError, HistoryError):
            pass
        else:
            if file.generation == legend.generation and legend.cells <= file.capacity:
                return file, legend
            file.close()
        legend = Legend(secrets.randbits(63))
        file = self._create(legend.generation, MIN_CELLS)
        return file, legend

    def _create(self, generation: int, capacity: int, old: _File | None = None) -> _File:
        """Put a new file in place, whole; with the rows of ``old``. Raises OSError."""
        path = os.path.join(self._directory, ROWS)
        new = f"{path}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        fd = flock.open_file(new)
        try:
            flock.allocate(fd, 0, size_of(capacity))
            os.pwrite(fd, _HEADER.pack(_MAGIC, generation, capacity), 0)
            file = _File(fd, generation, capacity)
            if old is None:
                file.write_totals(Totals(0.0, ()))
            else:
                file.write_totals(old.read_totals())
                for number in range(STEPS + MINUTES):
                    if (row := old.read(number)) is not None:
                        file.write(number, row)
            os.rename(new, path)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise
        return file

    def add_tracks(self, tracks: Iterable[Track]) -> None:
        """Give new tracks their cells, making room for them. Raises OSError."""
        legend = self.legend
        new = [track for track in tracks if track not in legend.first]
        if not new:
            return
        legend = Legend(legend.generation, legend.first)
        legend.left_out = sum(not legend.add(track) for track in new)
        changed = legend.cells != self.legend.cells or legend.left_out != self.legend.left_out
        if not changed:
            return
        if legend.cells > self._file.capacity:
            capacity = self._file.capacity
            while capacity < legend.cells:
                capacity *= 2
            file = self._create(legend.generation, capacity, self._file)
            self._file.close()
            self._file = file
        legend.write(self._directory)
        self.legend = legend

    def add(self, row: Row, totals: Totals) -> None:
        """Write a row, and add it to its minute's. Raises OSError."""
        file = self._file
        number = _minute_row(row.at)
        minute = file.read(number)
        if minute is None or minute.at // MINUTE != row.at // MINUTE:
            minute = Row(row.at, 0.0, ())
        file.write(_step_row(row.at), row)
        file.write(number, _summed(minute, row, self.legend))
        file.write_totals(totals)
        self.totals = totals

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def is_current(self) -> bool:
        """Whether the file is still the one of its name."""
        return flock.same_file(self._file.fd, os.path.join(self._directory, ROWS))


def _summed(minute: Row, row: Row, legend: Legend) -> Row:
    cells = list(row.cells)
    before = minute.cells
    for track, first in legend.first.items():
        if track.kind != GAUGE:
            for cell in range(first, min(first + track.cells, len(before), len(cells))):
                cells[cell] += before[cell]
    return Row(row.at, minute.span + row.span, cells)


class Rows:
    """What is kept of the hour before ``now`` (unix seconds), oldest first.

    Raises OSError, HistoryError where there is nothing to be read.
    """

    def __init__(self, directory: str, now: float) -> None:
        self.now = now
        self.legend = Legend.read(directory)
        self._file = _File.open(os.path.join(directory, ROWS), os.O_RDONLY)
        if self._file.generation != self.legend.generation:
            self._file.close()
            raise HistoryError("the file belongs to another legend")

    def steps(self, seconds: float = STEP * STEPS) -> list[Row]:
        """Return the rows of every `STEP`. Raises OSError."""
        last = int(self.now // STEP) + 1
        count = min(STEPS - 1, int(seconds // STEP) + 2)
        return self._read([n % STEPS for n in range(last - count, last + 1)], seconds)

    def minutes(self) -> list[Row]:
        """Return the rows of every minute. Raises OSError."""
        return self._read(range(STEPS, STEPS + MINUTES), MINUTE * MINUTES)

    def _read(self, numbers: Iterable[int], seconds: float) -> list[Row]:
        rows = [row for n in numbers if (row := self._file.read(n)) is not None]
        after = self.now - seconds
        return sorted(row for row in rows if after < row.at <= self.now + STEP)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

"""A bounded file of the last results: records at fixed places, of which the oldest goes first.

The elected prober writes, any process reads, and none waits for another: each record
carries its number and a checksum, and one that does not fit is left out. `SIZE` bytes,
whatever happens.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterable
from math import isnan, nan
from typing import NamedTuple

from health.core import board_file
from metrics.system import flock
from metrics.system.run_dir import RunDir

NAME = "results"
"""The file, in the run directory's folder of the health app."""
RECORDS = 65_536
_HEADER = struct.Struct("<8sQ")  # magic, the number of the next record
_MAGIC = b"SNTLRES1"
_HEADER_SIZE = 64
_RECORD = struct.Struct("<Qd8sfB3x")  # number, unix time, whose it is, latency, healthy
_CHECKSUM = struct.Struct("<I")
_STRIDE = _RECORD.size + _CHECKSUM.size
SIZE = _HEADER_SIZE + RECORDS * _STRIDE
"""Of the file, in bytes."""


def folder(run_dir: str | os.PathLike[str]) -> str:
    """Return where the file is: beside the board."""
    return os.path.join(run_dir, board_file.DIRECTORY)


class Result(NamedTuple):
    """What one check showed, and when (unix seconds); ``latency`` is in seconds."""

    at: float
    healthy: bool
    latency: float | None


class Ring:
    """Writes results, for the one process that probes. Goes on where the last one ended."""

    def __init__(self, run_dir: RunDir | str | os.PathLike[str]) -> None:
        self._run_dir = RunDir.of(run_dir)
        self._path = os.path.join(folder(self._run_dir), NAME)
        self._fd: int | None = None
        self._next = 0

    def add(self, results: Iterable[tuple[str, Result]]) -> None:
        """Write the results of some backends, given by name. Raises OSError."""
        if self._fd is None or not flock.same_file(self._fd, self._path):
            self.close()
            self._open()
        assert self._fd is not None
        for name, result in results:
            latency = nan if result.latency is None else result.latency
            record = _RECORD.pack(self._next, result.at, _digest(name), latency, result.healthy)
            data = record + _CHECKSUM.pack(zlib.crc32(record))
            os.pwrite(self._fd, data, _place(self._next))
            self._next += 1
        os.pwrite(self._fd, _HEADER.pack(_MAGIC, self._next), 0)

    def _open(self) -> None:
        self._run_dir.ensure()
        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        fd = flock.open_file(self._path)
        try:
            flock.allocate(fd, 0, SIZE)
            self._next = _next_number(fd)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def read(
    run_dir: str | os.PathLike[str], names: Iterable[str], *, last: int = RECORDS
) -> dict[str, list[Result]]:
    """Return each backend's results among the ``last`` that were written, oldest first.

    Raises OSError; FileNotFoundError where no process of this host has probed.
    """
    wanted = {_digest(name): name for name in names}
    found: dict[str, list[Result]] = {name: [] for name in wanted.values()}
    fd = os.open(os.path.join(folder(run_dir), NAME), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        end = _next_number(fd)
        number = max(0, end - min(last, RECORDS))
        while number < end:
            many = min(end - number, RECORDS - number % RECORDS)  # up to the place of the oldest
            data = os.pread(fd, many * _STRIDE, _place(number))
            for start in range(0, len(data) - _STRIDE + 1, _STRIDE):
                record = _unpack(data[start : start + _STRIDE], number + start // _STRIDE)
                if record is not None and (name := wanted.get(record[0])) is not None:
                    found[name].append(record[1])
            number += many
    finally:
        os.close(fd)
    return found


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=8).digest()


def _place(number: int) -> int:
    return _HEADER_SIZE + number % RECORDS * _STRIDE


def _unpack(data: bytes, number: int) -> tuple[bytes, Result] | None:
    """Return whose result it is, and the result; None if it is not whole, or an older one."""
    if zlib.crc32(data[: _RECORD.size]) != _CHECKSUM.unpack_from(data, _RECORD.size)[0]:
        return None
    given, at, digest, latency, healthy = _RECORD.unpack_from(data)
    if given != number:
        return None
    return digest, Result(at, bool(healthy), None if isnan(latency) else latency)


def _next_number(fd: int) -> int:
    """Return the number of the next record: the header's, or what the records say."""
    head = os.pread(fd, _HEADER.size, 0)
    if len(head) == _HEADER.size:
        magic, number = _HEADER.unpack(head)
        if magic == _MAGIC and (number == 0 or _is_there(fd, number - 1)):
            return int(number)
    last = -1
    data = os.pread(fd, RECORDS * _STRIDE, _HEADER_SIZE)
    for start in range(0, len(data) - _STRIDE + 1, _STRIDE):
        (number,) = struct.unpack_from("<Q", data, start)
        is_newer = number > last and number % RECORDS == start // _STRIDE
        if is_newer and _unpack(data[start : start + _STRIDE], number) is not None:
            last = number
    return last + 1


def _is_there(fd: int, number: int) -> bool:
    data = os.pread(fd, _STRIDE, _place(number))
    return len(data) == _STRIDE and _unpack(data, number) is not None

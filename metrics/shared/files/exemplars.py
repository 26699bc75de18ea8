"""Exemplars of a lane: a file of slots beside it, one slot a series that has one.

An exemplar is written rarely and is text, so it goes by a plain write rather than
through the map; a checksum tells a reader that a slot was only half written.
"""

from __future__ import annotations

import json
import os
import re
import struct
import zlib
from collections.abc import Iterable

from prometheus_client.samples import Exemplar

from metrics.system import flock

SLOT_SIZE = 1024
_HEAD = struct.Struct("<III4x")  # checksum, payload's length, cell
NAME = re.compile(r"exemplars-(0|[1-9][0-9]{0,3})")


def file_numbers(names: Iterable[str]) -> set[int]:
    """Return the numbers of the lanes that have exemplars, by the files of a directory."""
    return {int(match[1]) for name in names if (match := NAME.fullmatch(name))}


def path_for(directory: str, number: int) -> str:
    """Name the file of a lane's exemplars."""
    return os.path.join(directory, f"exemplars-{number}")


def _pack(cell: int, exemplar: Exemplar) -> bytes | None:
    fields = [exemplar.labels, exemplar.value, exemplar.timestamp]
    payload = json.dumps(fields, separators=(",", ":")).encode()
    if len(payload) > SLOT_SIZE - _HEAD.size:
        return None
    checksum = zlib.crc32(payload, cell)
    return (_HEAD.pack(checksum, len(payload), cell) + payload).ljust(SLOT_SIZE, b"\0")


def _unpack(slot: bytes) -> tuple[int, Exemplar] | None:
    checksum, length, cell = _HEAD.unpack_from(slot)
    payload = slot[_HEAD.size : _HEAD.size + length]
    if not length or len(payload) < length or zlib.crc32(payload, cell) != checksum:
        return None
    labels, value, timestamp = json.loads(payload)
    return cell, Exemplar(labels, value, timestamp)


def read(path: str) -> dict[int, Exemplar]:
    """Return the exemplars of a lane by cell; what is torn is left out."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return {}
    found = {}
    for at in range(0, len(data) - SLOT_SIZE + 1, SLOT_SIZE):
        if entry := _unpack(data[at : at + SLOT_SIZE]):
            found[entry[0]] = entry[1]
    return found


class ExemplarFile:
    """The exemplars of this process, in the file beside its lane."""

    def __init__(self, path: str, inherited: bool) -> None:
        """Open the file; ``inherited`` says whether an earlier process's count."""
        self._fd = flock.open_file(path)
        self._slots: dict[int, int] = {}
        self.newest: dict[int, Exemplar] = {}
        if not inherited:
            os.ftruncate(self._fd, 0)
        size = os.fstat(self._fd).st_size // SLOT_SIZE * SLOT_SIZE
        data = os.pread(self._fd, size, 0)
        for at in range(0, size, SLOT_SIZE):
            if entry := _unpack(data[at : at + SLOT_SIZE]):
                self._slots[entry[0]] = at
                self.newest[entry[0]] = entry[1]
        self._end = size

    def put(self, cell: int, exemplar: Exemplar) -> None:
        """Store an exemplar; one too long for a slot is not kept. Raises OSError."""
        slot = _pack(cell, exemplar)
        if slot is None:
            return
        self.newest[cell] = exemplar
        at = self._slots.get(cell)
        if at is None:
            at = self._end
            flock.allocate(self._fd, at, SLOT_SIZE)
            self._slots[cell] = at
            self._end = at + SLOT_SIZE
        os.pwrite(self._fd, slot, at)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)

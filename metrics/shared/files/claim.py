"""What the claim file keeps of the index, in case the index is cut or damaged."""

from __future__ import annotations

import os
import struct
import zlib
from typing import NamedTuple

from metrics.shared.files.index_records import MAX_CELLS


class Reserve:
    """The directory's second memory: generation and next cell, in the claim file.

    With it an index that was cut short, or lost its header, does not give a cell
    away twice. It also counts how often the index turned out damaged and how many bytes
    that took, so that all processes read it again and agree. It is written under the
    index's lock.
    """

    _STRUCT = struct.Struct("<8sQQQQI")
    _MAGIC = b"SNTLCLM1"
    _REPAIRS_AT = 24

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def read(self) -> Reserved | None:
        """Return what is kept, or None where there is nothing to trust."""
        return self.look()[0]

    def look(self) -> tuple[Reserved | None, bytes]:
        """Return what `read` and `repairs` return, in one go."""
        data = os.pread(self.fd, self._STRUCT.size, 0)
        raw = data[self._REPAIRS_AT : self._REPAIRS_AT + 8]
        if len(data) < self._STRUCT.size:
            return None, raw
        magic, generation, cell, repairs, damaged, checksum = self._STRUCT.unpack(data)
        if magic != self._MAGIC or checksum != zlib.crc32(data[:-4]) or cell > MAX_CELLS:
            return None, raw
        return Reserved(generation, cell, repairs, damaged), raw

    def repairs(self) -> bytes:
        """Return the number of repairs as it stands there, only to compare it."""
        return os.pread(self.fd, 8, self._REPAIRS_AT)

    def write(self, kept: Reserved) -> None:
        """Store everything. Raises OSError."""
        data = struct.pack("<8sQQQQ", self._MAGIC, *kept)
        os.pwrite(self.fd, data + struct.pack("<I", zlib.crc32(data)), 0)


class Reserved(NamedTuple):
    """What a `Reserve` keeps."""

    generation: int
    cell: int
    repairs: int
    damaged: int

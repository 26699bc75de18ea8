"""A lane: one process's array of doubles, mapped into its memory.

Cell i stands at the same place in every lane. A lane belongs to the process that
holds the exclusive ``flock`` of its file; when the process dies, however it dies, the
kernel frees the lock, and the next process that needs a lane counts on from its values.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import time
from collections.abc import Iterable

from metrics.shared.errors import TooManyLanesError
from metrics.system import flock, process_identity

MAGIC = b"SNTLLAN1"
HEADER_SIZE = 4096
HEADER = struct.Struct("<8sQ5d64s4d")
"""Magic, the index's generation, then doubles: process id (0: it has ended in order), when
the lane was taken (unix seconds), requests in progress, when the oldest of them began
(0: none), last activity (infinite: that cannot be seen now); then the process's kind, how
many requests it takes at once (0: not known), the file's size, and the process's pid
namespace and start (clock ticks since boot), which tell what its id means (0: not known)."""
PID, TAKEN_AT, IN_PROGRESS, OLDEST_BEGAN, LAST_ACTIVE, CAPACITY, SIZE = 2, 3, 4, 5, 6, 15, 16
"""Places in the header, in units of 8 bytes."""
KIND = slice(56, 120)
"""The place of the kind in the header, in bytes."""

FIRST_CELLS = 1024
SPARE_CELLS = 4
"""How many cells a lane has beyond those it is to hold: with the first cell of a series
of up to so many cells, it holds all."""
MAX_LANES = 1024
NAME = re.compile(r"lane-(0|[1-9][0-9]{0,3})")
SOCKET_NAME = re.compile(r"scrape-(0|[1-9][0-9]{0,3})")
"""The socket on which a lane's process answers other processes' scrapes."""


def lane_numbers(names: Iterable[str]) -> list[int]:
    """Return the numbers of the lanes among the files of a directory, in order."""
    return sorted(int(match[1]) for name in names if (match := NAME.fullmatch(name)))


def lane_path(directory: str, number: int) -> str:
    """Name the file of a lane."""
    return os.path.join(directory, f"lane-{number}")


def socket_name(number: int) -> str:
    """Name the socket on which the process of a lane answers other processes' scrapes."""
    return f"scrape-{number}"


def size_for(cells: int) -> int:
    """Return the size of a lane's file that holds ``cells``: doubled, then by 1 MiB."""
    wanted = HEADER_SIZE + 8 * max(cells + SPARE_CELLS, FIRST_CELLS)
    step = 1 << 20
    return 1 << (wanted - 1).bit_length() if wanted <= step else -(-wanted // step) * step


class Lane:
    """The lane of this process: mapped, locked, its own until the process ends."""

    def __init__(self, number: int, fd: int, path: str, generation: int) -> None:
        self.number = number
        self.path = path
        self.generation = generation
        self.fd = fd
        self.size = 0
        """How many bytes of the file are mapped; a file that is shorter has been cut."""
        self.cells = memoryview(bytearray()).cast("d")
        self.head = self.cells

    @classmethod
    def claim(cls, directory: str, cells: int, generation: int, kind: str) -> tuple[Lane, bool]:
        """Take the first lane that is free; the caller holds the claim lock.

        Returns the lane and whether it holds an earlier process's values.
        Raises OSError, TooManyLanesError.
        """
        for number in range(MAX_LANES):
            path = lane_path(directory, number)
            fd = flock.open_file(path)
            try:
                if not flock.try_lock(fd):
                    os.close(fd)
                    continue
                if not flock.same_file(fd, path):  # its claim file was lost, or cleaned away
                    os.close(fd)
                    continue
                lane = cls(number, fd, path, generation)
                inherited = lane._belongs_to(generation)
                if not inherited and os.fstat(fd).st_size:
                    # Values of another index mean nothing here. A new file, since a
                    # file that is shrunk is a SIGBUS for each process that has it mapped.
                    os.unlink(path)
                    old, fd = fd, flock.open_file(path)
                    lane.fd = fd
                    os.close(old)
                    flock.try_lock(fd)
                lane.grow(cells)
                lane._sign(generation, kind)
                return lane, inherited
            except BaseException:
                os.close(fd)
                raise
        raise TooManyLanesError(f"all {MAX_LANES} lanes are taken")

    def _belongs_to(self, generation: int) -> bool:
        data = os.pread(self.fd, 16, 0)
        return len(data) == 16 and struct.unpack("<8sQ", data) == (MAGIC, generation)

    def rename(self, kind: str) -> None:
        """Say that the lane's process is of another kind now."""
        self._bytes[KIND] = kind.encode("ascii", "replace")[:63].ljust(64, b"\0")

    def _sign(self, generation: int, kind: str) -> None:
        name = kind.encode("ascii", "replace")[:63]
        now = time.time()
        self._bytes[: HEADER.size] = HEADER.pack(
            MAGIC,
            generation,
            os.getpid(),
            now,
            0.0,
            0.0,
            now,
            name,
            0.0,
            len(self._bytes),
            process_identity.pid_namespace(),
            process_identity.start_ticks(),
        )

    def heal(self, generation: int, kind: str) -> int:
        """Make the lane as long as it is mapped, if it was cut, and sign it if need be.

        Returns how many bytes were gone. Until then a write to one of them, by whatever
        process has the lane mapped, is its end by SIGBUS. Raises OSError.
        """
        have = os.fstat(self.fd).st_size
        gone = max(0, len(self._bytes) - have)
        if gone:
            flock.allocate(self.fd, have, gone)
        if not self._belongs_to(generation):
            self._sign(generation, kind)
        return gone

    def covers(self, cell: int) -> bool:
        """Whether there is room for a series' first cells, of a gauge all."""
        return cell + SPARE_CELLS <= len(self.cells)

    @property
    def is_current(self) -> bool:
        """Whether the path still names this lane's file."""
        return flock.same_file(self.fd, self.path)

    def grow(self, cells: int) -> None:
        """Make room for ``cells``: more blocks, and a second map of the same pages.

        A thread that still writes through the first map keeps it. Raises OSError.
        """
        if len(self.cells) >= cells + SPARE_CELLS:
            return
        have = os.fstat(self.fd).st_size
        size = max(size_for(cells), have)
        if size > have:
            flock.allocate(self.fd, have, size - have)
        mapped = mmap.mmap(self.fd, size)
        self._bytes = memoryview(mapped)
        self.size = size
        whole = self._bytes[: size // 8 * 8].cast("d")
        self.head = whole[: HEADER_SIZE // 8]
        self.head[SIZE] = size
        self.cells = whole[HEADER_SIZE // 8 :]

    def let_go(self) -> None:
        """Close it without unlocking: what a child does with its parent's lane.

        The lock belongs to the open file, which the parent has open too; the map has
        to go with the descriptor, because it keeps the file open as well.
        """
        empty = memoryview(bytearray())
        self.cells = self.head = empty.cast("d")
        self._bytes = empty
        self.size = 0
        os.close(self.fd)


def signed(data: bytes, generation: int) -> bool:
    """Whether ``data`` begins as a lane of this index does."""
    return struct.unpack_from("<8sQ", data) == (MAGIC, generation)


def size_in(data: bytes) -> float:
    """Return how long the file of a lane was made, as its header says."""
    return float(struct.unpack_from("<d", data, 8 * SIZE)[0])

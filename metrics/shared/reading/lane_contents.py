"""What the lanes of a directory hold at one moment, and whose processes live.

Files are read, never mapped: one that is cut short meanwhile is a short read, where a
map would end this process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from metrics.samples import Worker
from metrics.shared.errors import StoreError
from metrics.shared.files import lanes
from metrics.shared.files.directory import Directory
from metrics.system.flock import is_locked

BATCH = 64
"""How many lanes are open at once: a process may not be allowed a thousand files."""

Image: TypeAlias = "memoryview[float]"
"""What the cells of a lane held."""


class DamagedLaneError(StoreError):
    """A lane cannot be read; the message says why."""

    reason = "damaged"


@dataclass(frozen=True, slots=True)
class LaneImages:
    """What each lane that could be read holds, and the numbers of those that are owned."""

    contents: dict[int, bytes]
    living: set[int]

    def cells(self) -> dict[int, Image]:
        """Return the cells of each lane."""
        return {
            number: memoryview(data)[lanes.HEADER_SIZE :].cast("d")
            for number, data in self.contents.items()
        }

    def workers(self) -> tuple[Worker, ...]:
        """Return the process of each lane whose header makes sense."""
        found = (
            _worker_in(data, number, number in self.living)
            for number, data in self.contents.items()
        )
        return tuple(worker for worker in found if worker is not None)


def read_lanes(
    files: Directory, numbers: Sequence[int], cells: int, left_out: list[str]
) -> LaneImages:
    """Return the first ``cells`` cells of the lanes with these ``numbers``.

    Cells that a lane has no room for are 0. ``left_out`` gets what cannot be read; if
    it cannot be seen which processes live, all count as alive.
    """
    read = LaneImages({}, set())
    for begin in range(0, len(numbers), BATCH):
        with _opened(files.path, numbers[begin : begin + BATCH], left_out) as fds:
            _read_all(fds, read.contents, cells, files, left_out)
            try:
                with files.claiming():
                    read.living.update(number for number, fd in fds.items() if is_locked(fd))
            except (OSError, StoreError) as e:
                left_out.append(f"which processes live: {e}")
                read.living.update(fds)
    return read


def _read_all(
    fds: Mapping[int, int],
    contents: dict[int, bytes],
    cells: int,
    files: Directory,
    left_out: list[str],
) -> None:
    for number, fd in fds.items():
        try:
            contents[number] = _read(fd, number, cells, files, left_out)
        except DamagedLaneError:
            # It may be a lane that is being taken just now; wait for its taker, which may
            # have put another file there.
            try:
                with files.claiming():
                    _open_anew(fd, files.path, number)
                    contents[number] = _read(fd, number, cells, files, left_out)
            except (OSError, StoreError) as e:
                left_out.append(f"lane-{number}: {e}")
        except OSError as e:
            left_out.append(f"lane-{number}: {e.strerror}")


@contextmanager
def _opened(path: str, numbers: Iterable[int], left_out: list[str]) -> Iterator[dict[int, int]]:
    fds: dict[int, int] = {}
    try:
        for number in numbers:
            try:
                fds[number] = _open(path, number)
            except FileNotFoundError:
                continue
            except OSError as e:
                left_out.append(f"lane-{number}: {e.strerror}")
        yield fds
    finally:
        for fd in fds.values():
            os.close(fd)


def _open(path: str, number: int) -> int:
    return os.open(lanes.lane_path(path, number), os.O_RDONLY | os.O_CLOEXEC)


def _open_anew(fd: int, path: str, number: int) -> None:
    """Let ``fd`` be the file that is there now. Raises OSError."""
    new = _open(path, number)
    try:
        os.dup2(new, fd, inheritable=False)
    finally:
        os.close(new)


def _read(fd: int, number: int, cells: int, files: Directory, left_out: list[str]) -> bytes:
    """Return a lane's header and its first cells. Raises OSError, DamagedLaneError."""
    wanted = lanes.HEADER_SIZE + 8 * cells
    data = os.pread(fd, wanted, 0)
    if len(data) < lanes.HEADER_SIZE:
        raise DamagedLaneError("cut short")
    if not lanes.signed(data, files.index.generation):
        raise DamagedLaneError("its header is damaged, or it belongs to another index")
    if len(data) < wanted:
        if len(data) < lanes.size_in(data):
            left_out.append(f"lane-{number}: cut short to {len(data)} bytes")
        data = data[: len(data) // 8 * 8].ljust(wanted, b"\0")
    return data


def _worker_in(data: bytes, number: int, alive: bool) -> Worker | None:
    """Return what a lane's header says of its process, or None where that cannot be."""
    header = lanes.HEADER.unpack_from(data)
    _magic, _generation, pid, taken, in_progress, oldest, last, kind, *rest = header
    capacity, _size, namespace, ticks = rest
    try:
        return Worker(
            number=number,
            pid=int(pid),
            kind=kind.rstrip(b"\0").decode("ascii", "replace"),
            started=taken,
            alive=alive,
            in_progress=int(in_progress),
            oldest_began=oldest,
            last_active=last,
            capacity=int(capacity),
            pid_namespace=int(namespace),
            start_ticks=int(ticks),
        )
    except (ValueError, OverflowError):
        return None

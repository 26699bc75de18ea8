"""The store's directory as one process has it open: the claim file and the index."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from metrics.shared.errors import REASONS
from metrics.shared.files.claim import Reserve
from metrics.shared.files.exemplars import NAME as EXEMPLARS
from metrics.shared.files.index import Index
from metrics.shared.files.lanes import NAME as LANE
from metrics.shared.files.lanes import SOCKET_NAME, lane_numbers, lane_path
from metrics.system import flock
from metrics.system.flock import LockBusyError

CLAIM_FILE_SIZE = 4096
_FAULTS = struct.Struct(f"<{len(REASONS)}Q")
_CHECKSUM = struct.Struct("<Q")
_FAULTS_AT = 512


class Directory:
    """The open claim file and index. Raises OSError or StoreError when it cannot open."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._claim_fd = self._open_claim()
        self._stuck = False
        try:
            self.index = Index(os.path.join(path, "index"), Reserve(self._claim_fd))
        except BaseException:
            os.close(self._claim_fd)
            raise

    def _open_claim(self) -> int:
        fd = flock.open_file(os.path.join(self.path, "claim"))
        try:
            have = os.fstat(fd).st_size
            if have < CLAIM_FILE_SIZE:
                flock.allocate(fd, have, CLAIM_FILE_SIZE - have)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def close(self) -> None:
        """Close both files."""
        os.close(self._claim_fd)
        self.index.close()

    def reopen_after_fork(self) -> None:
        """Open both anew, what was read staying as it is. Raises OSError."""
        fd = self._open_claim()
        os.close(self._claim_fd)
        self._claim_fd = self.index.reserve.fd = fd
        self.index.reopen_after_fork()

    @property
    def is_current(self) -> bool:
        """Whether the directory still holds these files, and the index is whole."""
        return self.index.is_current

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Hold the lock under which lanes are claimed and processes are looked for.

        Without it a process that only looks would make another one pass over a free lane.
        Raises LockBusyError.
        """
        wait = flock.STUCK_WAIT_SECONDS if self._stuck else flock.FIRST_WAIT_SECONDS
        try:
            with flock.locked(self._claim_fd, wait):
                self._stuck = False
                yield
        except LockBusyError:
            self._stuck = True
            raise

    def count_faults(self, counts: Mapping[str, int]) -> bool:
        """Add to the counts of faults that all processes share.

        They lie in a block that the claim file has from its beginning, so that even
        a full disk can be reported. Returns False where that failed too.
        """
        try:
            with self.claiming():
                new = [total + counts.get(reason, 0) for reason, total in self.faults().items()]
                data = _FAULTS.pack(*new)
                os.pwrite(self._claim_fd, data + _CHECKSUM.pack(zlib.crc32(data)), _FAULTS_AT)
        except (OSError, struct.error):
            return False
        return True

    def faults(self) -> dict[str, int]:
        """Return how often the store failed since the directory is there, by reason.

        What is damaged starts from 0.
        """
        data = os.pread(self._claim_fd, _FAULTS.size + _CHECKSUM.size, _FAULTS_AT)
        counts, checksum = data[: _FAULTS.size], data[_FAULTS.size :]
        if checksum != _CHECKSUM.pack(zlib.crc32(counts)):
            counts = bytes(_FAULTS.size)
        totals = _FAULTS.unpack(counts)
        return dict(zip(REASONS, totals, strict=True))


def _is_any_owned(path: str, numbers: Iterable[int]) -> bool:
    """Whether a process has one of the lanes; the caller holds the claim lock."""
    for number in numbers:
        try:
            fd = os.open(lane_path(path, number), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if flock.is_locked(fd):
                return True
        finally:
            os.close(fd)
    return False


def reset_if_idle(path: str | os.PathLike[str]) -> bool:
    """Empty the store's directory if no process owns a lane; say whether that was so.

    Counters start at zero then, as they do when any service starts. Raises OSError.
    """
    path = os.fspath(path)
    try:
        fd = os.open(os.path.join(path, "claim"), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        with flock.locked(fd, flock.FIRST_WAIT_SECONDS):
            names = os.listdir(path)
            if _is_any_owned(path, lane_numbers(names)):
                return False
            for name in names:
                patterns = (LANE, EXEMPLARS, SOCKET_NAME)
                if name != "index" and not any(one.fullmatch(name) for one in patterns):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(path, name))
            os.pwrite(fd, bytes(CLAIM_FILE_SIZE), 0)
    finally:
        os.close(fd)
    return True

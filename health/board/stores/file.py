"""A document in a file of the run directory, which all processes of the host read."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from health.board.stores.base import Reach
from health.core import board_file
from health.core.document import Document
from health.election import Election
from health.election.file import FileElection
from metrics.system.flock import FileLock, LockBusyError
from metrics.system.run_dir import RunDir

if TYPE_CHECKING:
    from health.core.document import Change


class FileStore:
    """A document in ``run_dir/health/board``, rewritten beside and renamed.

    Readers never see half a document and need one ``stat`` to know that theirs is the
    current one. A damaged file reads as a damaged document, and the next write mends it.
    """

    reach = Reach.HOST

    PATIENCE_SECONDS = 1.0
    """How long a writer waits for others while none of them writes."""

    def __init__(self, run_dir: RunDir | Path) -> None:
        self.run_dir = RunDir.of(run_dir)
        self.directory = self.run_dir / board_file.DIRECTORY
        self.path = str(self.directory / board_file.NAME)
        self._lock_path = self.directory / "board.lock"
        self._cached: tuple[board_file.Key | None, Document] = (None, board_file.EMPTY)
        self._last_good = board_file.EMPTY

    def read(self) -> Document:
        """Return the document; one system call while nobody has written since."""
        try:
            info = os.stat(self.path)
        except FileNotFoundError:
            return board_file.EMPTY
        except OSError:
            return board_file.DAMAGED
        key, document = self._cached
        if key == board_file.key_of(info):
            return document
        key, document = board_file.read(self.path)
        if not document.damaged:
            self._last_good = document
        if key is not None:
            self._cached = key, document
        return document

    def update(self, change: Change) -> Document:
        """Replace the document under a lock between all processes. Raises OSError."""
        directory = self.prepare()
        with self._writing():
            current = self.read()
            base = self._last_good if current.damaged else current
            document = change(base).stamped()
            self._write(board_file.seal(document), directory)
        return document

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the lock of writers, and wait for it as long as others get on with their writing.

        Raises LockBusyError when nobody has written for as long as the lock is waited for:
        its holder is stopped.
        """
        lock = FileLock(self._lock_path, patience=self.PATIENCE_SECONDS)
        while True:
            before = self._version()
            try:
                lock.__enter__()
            except LockBusyError:
                if self._version() == before:
                    raise
            else:
                break
        try:
            yield
        finally:
            lock.release()

    def _version(self) -> board_file.Key | None:
        try:
            return board_file.key_of(os.stat(self.path))
        except OSError:
            return None

    def election(self) -> Election:
        """Return a candidate for the lock beside the board, which the kernel frees."""
        return FileElection(self.directory / "prober.lock", prepare=self.prepare)

    def prepare(self) -> Path:
        """Create the directory if need be, refuse one that is not ours, and return it.

        Raises OSError, whose message says what to mend.
        """
        self.run_dir.ensure()
        if not self.directory.is_dir():
            self.directory.mkdir(mode=0o700, exist_ok=True)
            self._give_to_owner(str(self.directory))
        return self.directory

    def _write(self, content: bytes, directory: Path) -> None:
        beside = str(directory / "board.new")  # ours alone while we hold the lock
        try:
            with open(beside, "wb", opener=_private) as file:
                file.write(content)
            self._give_to_owner(beside)
            # The kernel's own time stamps may be the same for two files in a row.
            stamp = time.time_ns()
            key, _ = self._cached
            if key is not None and stamp <= key[0]:
                stamp = key[0] + 1
            os.utime(beside, ns=(stamp, stamp))
            os.replace(beside, self.path)
        except BaseException:
            if os.path.exists(beside):
                os.unlink(beside)
            raise

    def _give_to_owner(self, path: str) -> None:
        """Let the user read it whom root's server hands its workers to."""
        if os.geteuid() == 0:
            owner = os.stat(self.run_dir)
            os.chown(path, owner.st_uid, owner.st_gid)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

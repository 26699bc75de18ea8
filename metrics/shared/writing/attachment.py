"""How a process hangs on the directory: its open files, its lane, its memory meanwhile.

All of it can fail, and is tried again; what was counted meanwhile waits in ``memory``,
a cell's number to what has to be added to it.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from metrics.shared.errors import ReplacedError, reason_of
from metrics.shared.files.lanes import PID, Lane
from metrics.shared.writing.activity import Activity
from metrics.shared.writing.takeover import drop_damaged_counts, retire_gauges
from metrics.system.failure_log import FailureLog
from metrics.system.run_dir import RunDir

if TYPE_CHECKING:
    from metrics.shared.files.directory import Directory
    from metrics.shared.files.exemplars import ExemplarFile

logger = logging.getLogger("metrics.shared")

RETRY_SECONDS = 1.0
"""How long after a fault the directory is left alone before it is tried again."""


class Attachment:
    """One process's hold on a directory. For one thread at a time; the store sees to it."""

    def __init__(self, run_dir: RunDir, kind: Callable[[], str]) -> None:
        self.activity = Activity()
        self.files: Directory | None = None
        self.lane: Lane | None = None
        self.exemplars: ExemplarFile | None = None
        self.memory: dict[int, float] = {}
        self.unsaved_faults: dict[str, int] = {}
        self._kind = kind
        self._run_dir = run_dir
        self._owner: int | None = None
        self._retry_at = 0.0
        self._failures = FailureLog(logger)
        self._to_log: list[tuple[int, str, tuple[object, ...]]] = []

    # --- files ------------------------------------------------------------------------

    def open(self) -> tuple[Directory, bool]:
        """Return the open directory, and whether it is another one than last time.

        Raises OSError, StoreError.
        """
        files = self.files
        if files is not None and files.path == self.directory and files.is_current:
            return files, False
        self._run_dir.ensure(owner=self._owner)
        from metrics.shared.files.directory import Directory  # not in one that never counts

        new = Directory(self.directory)
        if files is not None and files.path != self.directory:
            files.close()
        elif files is not None:
            try:
                if files.index.was_cut:
                    new.index.note_repair()
            except BaseException:
                new.close()
                raise
            self._to_log.append(
                (logging.WARNING, "The shared metrics store in %s was replaced or cut.", ())
            )
            files.close()
        self.files = new
        return new, True

    @property
    def directory(self) -> str:
        """The path of the directory."""
        return self._run_dir.path

    def move_to(self, directory: str, owner: int) -> None:
        """Leave the directory for another one, of the user ``owner``, at the next `open`."""
        self._run_dir = RunDir(directory, is_guessable=self._run_dir.is_guessable)
        self._owner = owner
        self._retry_at = 0.0

    def claim(self, files: Directory) -> Lane:
        """Return this process's lane, taking one if it has none.

        Raises OSError, StoreError.
        """
        if self.lane is not None:
            self.lane.rename(self._kind())
            return self.lane
        with files.claiming():
            if not files.is_current:  # or it was emptied while no process had a lane
                raise ReplacedError("the index was replaced")
            files.index.refresh()
            catalog = files.index.catalog
            lane, inherited = Lane.claim(
                self.directory, catalog.next_cell, files.index.generation, self._kind()
            )
            if inherited:
                retire_gauges(lane.cells, catalog.by_key.values())
                values = lane.cells.tolist()
                if not (min(values) >= 0.0 and math.isfinite(sum(values))):
                    drop_damaged_counts(lane.cells, catalog.by_key.values())
        self.lane = lane
        from metrics.shared.files import exemplars

        path = exemplars.path_for(self.directory, lane.number)
        if os.path.exists(path):
            self.exemplars = exemplars.ExemplarFile(path, inherited)
        self.activity.attach(lane.head)
        return lane

    def open_exemplars(self) -> ExemplarFile | None:
        """Return the file of this process's exemplars; None without a lane. Raises OSError."""
        if self.exemplars is None and self.lane is not None:
            from metrics.shared.files import exemplars

            path = exemplars.path_for(self.directory, self.lane.number)
            self.exemplars = exemplars.ExemplarFile(path, inherited=False)
        return self.exemplars

    def tend(self) -> None:
        """Read what is new in the index, and mend the lane's file. Raises OSError."""
        if self.files is not None:
            self._save_faults()
            self.files.index.refresh()
            if self.lane is not None:
                gone = self.lane.heal(self.files.index.generation, self._kind())
                if gone:
                    message = "In %s lane-%d was cut short by %d bytes: their counts are lost."
                    self._to_log.append((logging.ERROR, message, (self.lane.number, gone)))

    def leave_lost_lane(self, cells: Iterable[int]) -> None:
        """If the lane is lost, take the values of ``cells`` out and let it go."""
        if (lane := self.lane) is None or not self.lane_is_lost:
            return
        for cell in cells:
            if cell < len(lane.cells):
                self.memory[cell] = self.memory.get(cell, 0.0) + lane.cells[cell]
        self.activity.detach()
        self._let_go()

    @property
    def lane_is_lost(self) -> bool:
        """Whether the lane's file is gone, or belongs to another index than the open one."""
        lane, files = self.lane, self.files
        if lane is None or files is None:
            return False
        return lane.generation != files.index.generation or not lane.is_current

    @property
    def is_astray(self) -> bool:
        """Whether the directory is there, but what this process counts is not in it."""
        lane, files = self.lane, self.files
        if lane is None or files is None or not os.path.isdir(self.directory):
            return False
        return self.lane_is_lost or not files.is_current

    def leave(self) -> None:
        """Say in the lane that its process has ended in order."""
        if self.lane is not None:
            self.lane.head[PID] = 0.0

    def _let_go(self) -> None:
        lane, self.lane = self.lane, None
        if lane is not None:
            lane.let_go()
        if self.exemplars is not None:
            self.exemplars.close()
            self.exemplars = None

    def after_fork_in_child(self) -> None:
        """Let go of what is the parent's."""
        self.memory = {}
        self.unsaved_faults = {}
        self._retry_at = 0.0
        self._to_log = []
        self.activity.forget()
        self._let_go()
        if self.files is not None:
            try:
                self.files.reopen_after_fork()
            except OSError:
                self.files.close()
                self.files = None

    # --- values -----------------------------------------------------------------------

    def apply(self, cell: int, amount: float, when: float, absolute: bool) -> None:
        """Add to a cell or set it, and the one behind it to ``when`` unless that is 0."""
        lane = self.lane
        if lane is not None and lane.covers(cell):
            lane.cells[cell] = amount if absolute else lane.cells[cell] + amount
            if when:
                lane.cells[cell + 1] = when
            return
        self.memory[cell] = amount if absolute else self.memory.get(cell, 0.0) + amount
        if when:
            self.memory[cell + 1] = when

    def get(self, cell: int) -> float:
        """Return what this process holds of a cell."""
        lane = self.lane
        if lane is not None and lane.covers(cell):
            return lane.cells[cell]
        return self.memory.get(cell, 0.0)

    def move(self, moves: Mapping[int, int]) -> None:
        """Move values of this process to other cells, by way of memory."""
        lane = self.lane
        carried = {}
        for old, new in moves.items():
            carried[new] = self.memory.pop(old, 0.0)
            if lane is not None and old < len(lane.cells):
                carried[new] += lane.cells[old]
                lane.cells[old] = 0.0
        for cell, amount in carried.items():
            self.memory[cell] = self.memory.get(cell, 0.0) + amount

    def store_memory(self, lane: Lane) -> None:
        """Move from memory to the lane what has its place there."""
        for cell in [cell for cell in self.memory if cell < len(lane.cells)]:
            lane.cells[cell] += self.memory.pop(cell)

    # --- faults -----------------------------------------------------------------------

    @property
    def may_try(self) -> bool:
        """Whether enough time has passed since the last fault to try again."""
        return time.monotonic() >= self._retry_at

    def try_at_once(self) -> None:
        """Do not wait any longer."""
        self._retry_at = 0.0

    def fail(self, error: Exception, *, pause: bool = True) -> None:
        """Count a fault, log the first of its kind, and wait before the next try."""
        if pause:
            self._retry_at = time.monotonic() + RETRY_SECONDS
        reason = reason_of(error)
        self.unsaved_faults[reason] = self.unsaved_faults.get(reason, 0) + 1
        if self._failures.is_new(reason):
            message = (
                "The shared metrics store in %s cannot be written (%s: %s). Process %d counts in"
                " memory until it can; its figures show only in scrapes that it answers itself."
            )
            self._to_log.append((logging.ERROR, message, (reason, error, os.getpid())))
        self._save_faults()

    def _save_faults(self) -> None:
        counts = self.unsaved_faults
        if counts and self.files is not None and self.files.count_faults(counts):
            self.unsaved_faults = {}

    def recovered(self) -> None:
        """Say, if a fault was logged, that it is over."""
        if self._failures.all_ended():
            self._to_log.append(
                (logging.WARNING, "The shared metrics store in %s works again.", ())
            )

    def log(self) -> None:
        """Log what happened. To be called without a lock: a log handler may count, too."""
        while self._to_log:
            level, message, words = self._to_log.pop(0)
            logger.log(level, message, self.directory, *words)

"""Keeps the history: a thread in each process that serves, of which one at a time writes.

Which one a lock decides, which the kernel frees when its holder dies; another goes on with
the same file then. What an increase is, is decided here: a total that fell begins anew, as
when the store was emptied.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from metrics import shared
from metrics.conf import conf
from metrics.history import STEP
from metrics.system import forks, uwsgi
from metrics.system.failure_log import FailureLog
from metrics.system.flock import FileLock
from metrics.system.run_dir import RunDir, RunDirError

if TYPE_CHECKING:
    from metrics.history.file import Totals, Writer
    from metrics.history.tracks import Plan
    from metrics.samples import Layout, Snapshot

logger = logging.getLogger(__name__)

LOCK = "history.lock"
LONGEST_SPAN = 3600.0
"""Seconds. Nobody counted for longer than that: the increases are of no known time."""


class Recorder:
    """Writes a row of the history each `STEP`, while this process holds the lock."""

    def __init__(self, store: shared.Store, run_dir: RunDir | None = None) -> None:
        self._store = store
        self._run_dir = run_dir or RunDir(store.directory)
        self._directory = ""
        self._lock: FileLock | None = None
        self._writer: Writer | None = None
        self._layout: Layout | None = None
        self._plan: Plan = []
        self._failures = FailureLog(logger)

    def run(self) -> None:
        """Write, or stand by, for ever."""
        while True:
            time.sleep(STEP - time.time() % STEP)
            self.step()

    def step(self) -> None:
        """Write a row, if this process is the one that writes; never raises."""
        try:
            if self.is_writer():
                self.write(self._store.snapshot(), time.time())
        except Exception as e:  # noqa: BLE001 - whatever it is, the service goes on
            self.leave()
            message = "the history for the admin's pages cannot be kept, will go on trying: %s"
            self._failures.failed(message, e)
        else:
            if self._failures.ended():
                logger.info("the history for the admin's pages is kept again")

    def is_writer(self) -> bool:
        """Whether this process is the one that writes; takes the lock if it is free.

        Raises OSError.
        """
        directory = self._store.directory
        if directory != self._directory or (self._lock and not self._lock.is_current):
            self.leave()
        if self._lock is None:
            if not os.path.isdir(directory):  # nothing has been counted yet
                return False
            if problem := self._run_dir.problem():  # as one that somebody else has planted
                raise RunDirError(problem)
            self._directory = directory
            self._lock = FileLock(Path(directory, LOCK))
        return self._lock.try_acquire()

    def write(self, snapshot: Snapshot, now: float) -> None:
        """Write what was gained since the last row. Raises OSError."""
        # Each process that serves has a recorder, and one of them writes.
        from metrics.history.file import Row, Totals, Writer
        from metrics.history.tracks import GAUGE, plan, totals

        if self._writer is not None and not self._writer.is_current:
            self._close()
        if self._writer is None:
            self._writer = Writer(self._directory)
            self._layout = None
        writer = self._writer
        if self._layout is not snapshot.layout:
            self._plan = plan(snapshot.layout)
            writer.add_tracks([track for track, _ in self._plan])
            self._layout = snapshot.layout
        before = writer.totals
        cells = [0.0] * writer.legend.cells
        after = [*before.cells, *cells[len(before.cells) :]]
        for (track, _), found in zip(self._plan, totals(self._plan, snapshot.values), strict=True):
            first = writer.legend.first.get(track)
            if first is None:  # no room
                continue
            for cell, total in enumerate(found, first):
                after[cell] = total
                cells[cell] = total if track.kind == GAUGE else _gained(before, cell, total)
        span = now - before.at
        if not 0 < span < LONGEST_SPAN:
            span = float(STEP)
        writer.add(Row(now, span, cells), Totals(now, after))

    def leave(self) -> None:
        """Let another process write."""
        self._close()
        if self._lock is not None:
            self._lock.release()
        self._lock = None

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def _gained(before: Totals, cell: int, total: float) -> float:
    """Return what a total has gained; all of it, if it is new or has begun again."""
    if not before.at:  # what was counted before there was a history has no known time
        return 0.0
    old = before.cells[cell] if cell < len(before.cells) else 0.0
    return total - old if old <= total else total


_guard = threading.Lock()
forks.hold(_guard)
_started_in = 0
"""The process that has its recorder."""


def ensure_started() -> None:
    """See `metrics.history.keep`."""
    global _started_in
    with _guard:
        if _started_in == os.getpid():
            return
        _started_in = os.getpid()
    try:
        store = shared.current()
        if store is None or not conf.history or not uwsgi.runs_threads():
            return
        run = Recorder(store, conf.run_dir).run
        threading.Thread(target=run, name="sentinel history", daemon=True).start()
    except Exception:
        logger.exception("this process does not keep the history for the admin's pages")

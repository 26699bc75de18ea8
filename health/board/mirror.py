"""A copy of a cache's board in the run directory, for programs that can only read files.

``sentinel-health`` is one: it knows neither Django nor its caches.
"""

from __future__ import annotations

import logging
from pathlib import Path

from health.board.stores.file import FileStore
from health.core.document import Document
from health.families import FAULTS
from metrics.system.failure_log import FailureLog
from metrics.system.run_dir import RunDir

logger = logging.getLogger(__name__)


class Mirror:
    """Writes what a process sees of the board into the file that a file store would have.

    Of the processes of a host one does so, until it dies; ages go on from there, so that
    a copy which nobody renews grows stale.
    """

    def __init__(self, run_dir: RunDir | Path) -> None:
        self._store = FileStore(run_dir)
        self._election = self._store.election()
        self._shown: Document | None = None
        self._failures = FailureLog(logger)

    def show(self, document: Document) -> None:
        """Write ``document`` if it is another than before and this process's to write.

        Never raises; a run directory that cannot be written is logged once.
        """
        if document is self._shown or document.damaged:
            return
        try:
            if self._election.win():
                self._store.update(lambda _: document)
                self._shown = document
            self._failures.ended()
        except OSError as e:
            FAULTS.labels("mirror").inc()
            self._failures.failed("cannot copy the health board for sentinel-health: %s", e)

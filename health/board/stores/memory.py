"""A document of one process, as tests have it, or a service without a run directory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from health.board.stores.base import Reach
from health.core.document import Document
from health.election import AloneElection, Election
from metrics.system import forks

if TYPE_CHECKING:
    from health.core.document import Change

_memory_lock = threading.RLock()
forks.hold(_memory_lock)


class MemoryStore:
    """A document of this process alone."""

    reach = Reach.PROCESS

    def __init__(self) -> None:
        self._document = Document()

    def read(self) -> Document:
        """Return the document."""
        return self._document

    def update(self, change: Change) -> Document:
        """Replace the document."""
        with _memory_lock:
            self._document = change(self._document).stamped()
            return self._document

    def election(self) -> Election:
        """Return one that this process has won."""
        return AloneElection()

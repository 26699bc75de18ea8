"""A document of one process, as tests have it, or a service without a run directory."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from health.board.stores.base import Reach
from health.core.document import Document
from health.election import AloneElection, Election

if TYPE_CHECKING:
    from health.core.document import Change

_memory_lock = threading.RLock()
os.register_at_fork(
    before=_memory_lock.acquire,
    after_in_parent=_memory_lock.release,
    after_in_child=_memory_lock.release,
)


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

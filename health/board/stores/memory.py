"""Where a document lives: in this process, or in a file that all processes read."""

from __future__ import annotations

import os
import threading

from health.board.stores.base import Change, stamped
from health.core.document import Document

_memory_lock = threading.RLock()
os.register_at_fork(
    before=_memory_lock.acquire,
    after_in_parent=_memory_lock.release,
    after_in_child=_memory_lock.release,
)


class MemoryStore:
    """A document of this process alone."""

    def __init__(self) -> None:
        self._document = Document()

    def read(self) -> Document:
        """Return the document."""
        return self._document

    def update(self, change: Change) -> Document:
        """Replace the document."""
        with _memory_lock:
            self._document = stamped(change(self._document))
            return self._document

"""Where a document lives: in this process, or in a file that all processes read."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from health.core import clock
from health.core.document import Document
from health.core.record import replace

Change = Callable[[Document], Document]


class Store(Protocol):
    """Holds one document for a number of readers and writers."""

    def read(self) -> Document:
        """Return the document as it is now, empty when nobody has written yet.

        Quick (microseconds), and it never raises: a document that cannot be read is
        marked as damaged.
        """
        ...

    def update(self, change: Change) -> Document:
        """Replace the document by what ``change`` makes of it, and return that.

        No other writer comes between. Raises OSError when it cannot be written.
        """
        ...


def stamped(document: Document) -> Document:
    """Return ``document`` with the time of writing, here and now."""
    return replace(
        document,
        boot=clock.boot_id(),
        written=clock.now(),
        written_at=time.time(),
        damaged=False,
    )

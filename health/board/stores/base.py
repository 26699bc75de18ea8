"""What every store of the board can do."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from health.core.document import Document
from health.election import Election

if TYPE_CHECKING:
    from health.core.document import Change


class Reach(Enum):
    """Who sees the same document."""

    PROCESS = "this process alone"
    HOST = "the processes of this host"
    HOSTS = "the processes of several hosts"


class Store(Protocol):
    """Holds one document for a number of readers and writers."""

    @property
    def reach(self) -> Reach:
        """Who sees the document."""
        ...

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

    def election(self) -> Election:
        """Return a new candidate in the election of the one process that probes for it."""
        ...

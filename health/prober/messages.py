"""The messages that the prober's schedule gets: from its pool, its publisher, and a stop."""

from __future__ import annotations

import queue
from collections.abc import Collection
from dataclasses import dataclass

from health.prober.pool import Run


@dataclass(frozen=True, slots=True)
class Returned:
    """A probe came to its end."""

    run: Run


@dataclass(frozen=True, slots=True)
class Published:
    """The results of these backends are on the board, or could not be written."""

    backends: Collection[str]


@dataclass(frozen=True, slots=True)
class Lost:
    """Another process became the prober."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The prober is to end."""


Message = Returned | Published | Lost | Stop
Inbox = queue.SimpleQueue[Message]

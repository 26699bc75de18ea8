"""The election of the one process that probes: a lock that is freed when its holder dies.

`Election` is the protocol; each store of the board makes the one that belongs to it.
"""

from __future__ import annotations

from typing import Protocol


class Election(Protocol):
    """Decides who probes for a board."""

    @property
    def renew_seconds(self) -> float:
        """How often the winner must win again."""
        ...

    def win(self) -> bool:
        """Become the prober, or go on being it; whether this process is it now.

        Never blocks for long; raises Exception when that cannot be found out.
        """
        ...

    def resign(self) -> None:
        """Let another be the prober, if this process is it."""
        ...


class AloneElection:
    """For a board that nobody else sees."""

    renew_seconds = 1.0

    def win(self) -> bool:
        """Return True."""
        return True

    def resign(self) -> None:
        """Do nothing."""

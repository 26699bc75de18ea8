"""Which one process probes: a lock that is freed when its holder dies."""

from __future__ import annotations

from typing import Protocol

from health.board.stores.file import FileStore
from health.conf import CACHE_PREFIX, FILE, conf
from health.election.file import FileElection


class Election(Protocol):
    """Decides who probes for a board."""

    @property
    def renew_seconds(self) -> float:
        """How often whoever won must win again."""
        ...

    def win(self) -> bool:
        """Become the prober, or go on being it; whether this process is it now.

        Never blocks for long; raises Exception when it cannot be told.
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


def configured() -> Election:
    """Return the election that belongs to the store of the settings."""
    if conf.health_store != FILE:
        from health.election.cache import CacheElection

        return CacheElection(conf.health_store.removeprefix(CACHE_PREFIX))
    if conf.run_dir is None:
        return AloneElection()
    return FileElection(FileStore(conf.run_dir, strict=conf.run_dir_is_auto))

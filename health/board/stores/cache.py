"""The board in a Django cache, so that many hosts share one board and one prober.

Hosts agree on no clock: each tells the age of what it reads by how long ago it saw it
change, and asks the writer's wall clock only where it has not been looking.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache

from health.board.stores.base import Reach
from health.connections import scoped_connections
from health.core import clock
from health.core.board_file import EMPTY, seal, unseal
from health.core.document import Document
from health.election import Election
from health.election.cache import PREFIX, CacheElection
from health.families import FAULTS
from metrics.system.failure_log import FailureLog
from metrics.system.flock import LockBusyError

if TYPE_CHECKING:
    from health.core.document import Change

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often each process looks for a new board."""

PATIENCE_SECONDS = 1.0
"""How long to wait for another writer, and for the first look at the board."""

LOCK_SECONDS = 5
"""After how long the lock of a writer that died is free."""


class CacheStore:
    """A document in the cache ``alias``.

    Readers never wait for the cache: a thread of each process follows it, and calls
    ``show`` with each document that it sees; that must not raise.
    """

    reach = Reach.HOSTS

    def __init__(self, alias: str, show: Callable[[Document], None] | None = None) -> None:
        self._alias = alias
        self._show = show
        self._document = Document(damaged=True)
        self._generation: tuple[str, float] | None = None
        self._looked_at: float | None = None
        self._lock = threading.Lock()
        self._pid = 0
        self._looked = threading.Event()
        self._failures = FailureLog(logger)

    def read(self) -> Document:
        """Return what was last seen; damaged until the cache has been read once."""
        if self._pid != os.getpid():
            self._follow()
        return self._document

    def update(self, change: Change) -> Document:
        """Replace the document under a lock in the cache.

        Raises OSError when another holds the lock, and whatever the cache raises.
        """
        cache = caches[self._alias]
        token = uuid.uuid4().hex
        _lock(cache, token)
        try:
            document = change(self._load(cache)).stamped()
            cache.set(f"{PREFIX}:board", seal(document), timeout=None)
            with self._lock:
                self._document, self._generation = document, _generation(document)
                self._looked_at = clock.now()
        finally:
            if cache.get(f"{PREFIX}:lock") == token:
                cache.delete(f"{PREFIX}:lock")
        return document

    def election(self) -> Election:
        """Return a candidate for the lease in the same cache."""
        return CacheElection(self._alias)

    def _follow(self) -> None:
        """Start the thread that follows the cache, and let it have a first look."""
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._looked.clear()
            threading.Thread(target=self._poll, name="sentinel-board", daemon=True).start()
        self._looked.wait(PATIENCE_SECONDS)

    def _poll(self) -> None:
        while True:
            try:
                with scoped_connections():
                    self._document = self._load(caches[self._alias])
            except Exception as e:  # noqa: BLE001 - a cache raises what it likes
                FAULTS.labels("cache").inc()
                self._failures.failed(
                    "cannot read the health board from cache %s: %s", self._alias, e
                )
            else:
                self._failures.ended()
            self._looked.set()
            if self._show is not None:
                self._show(self._document)
            time.sleep(POLL_SECONDS)

    def _load(self, cache: BaseCache) -> Document:
        """Return the board of the cache, with its times on this host's clock."""
        content = cache.get(f"{PREFIX}:board")
        now = clock.now()
        with self._lock:
            unseen = None if self._looked_at is None else now - self._looked_at
            self._looked_at = now
            if content is None:
                self._generation = None
                return EMPTY
            try:
                document = unseal(content if isinstance(content, bytes) else b"")
            except ValueError:
                self._generation = None
                return Document(damaged=True)
            if _generation(document) == self._generation:
                return self._document
            self._generation = _generation(document)
            age = max(0.0, time.time() - document.written_at)
            if unseen is not None:
                age = min(age, unseen)  # it was not there when we last looked
            return document.shifted(now - age - document.written)


def _generation(document: Document) -> tuple[str, float]:
    return document.boot, document.written


def _lock(cache: BaseCache, token: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not cache.add(f"{PREFIX}:lock", token, timeout=LOCK_SECONDS):
        if time.monotonic() > deadline:
            raise LockBusyError("another process is writing the health board and does not end")
        time.sleep(0.01)

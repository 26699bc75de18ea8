"""`BackendHealthMap`: what is known of each backend, to be read and reported to."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from health.board.stores.base import Reach, Store
from health.board.stores.memory import MemoryStore
from health.conf.backends import MAX_NAME, is_name
from health.conf.values import is_seconds
from health.core import clock
from health.core.backend import BackendHealth, Observation
from health.core.document import Document, Event
from health.election import Election
from health.families import FAULTS
from health.redact import redact

if TYPE_CHECKING:
    from health.core.document import Change

logger = logging.getLogger(__name__)

Announce = Callable[[Mapping[str, BackendHealth], Sequence[Event]], None]
"""Told of the backends that were checked and of the changes, after they are on the board."""


class BackendHealthMap:
    """What is known of each backend, with ages.

    ``BackendHealthMap()`` keeps all to itself, as tests want it; `BOARD` is the one
    that the processes of the service share. Every method may be called from any
    thread, before and after a fork.
    """

    def __init__(
        self,
        store: Store | Callable[[], Store] | None = None,
        *,
        announce: Announce | None = None,
    ) -> None:
        if store is None:
            store = MemoryStore()
        self._store = store if callable(store) else lambda: store
        self._announce = announce

    def report(
        self,
        name: str,
        healthy: bool,
        latency: float | None = None,
        error: str | None = None,
        *,
        max_age: float | None = None,
    ) -> None:
        """Say what was seen of a backend just now; a gateway may report its own traffic.

        ``latency`` is in seconds; ``error`` is for logs and for users who may see it, and
        credentials are taken out of it. A backend that nobody probes follows each
        report, and does not grow stale unless ``max_age`` (seconds) says so; for
        one that is configured a report is one more check under its RISE and FALL.
        A board that cannot be written is logged, not raised. Raises ValueError for a
        name that SENTINEL_BACKENDS could not have, and for times that are none.
        """
        _demand_report(name, healthy, latency, error, max_age)
        seen = Observation(healthy, latency, None if error is None else redact(error))
        try:
            self.observe({name: seen}, prepare=lambda d: d.with_max_age(name, max_age))
        except Exception as e:  # noqa: BLE001 - a cache raises what it likes
            FAULTS.labels("board").inc()
            logger.error("cannot write the health board, %s goes unreported: %s", name, e)

    def observe(
        self,
        seen: Mapping[str, Observation],
        *,
        prepare: Change | None = None,
        finish: Change | None = None,
    ) -> tuple[Event, ...]:
        """Put one check of each backend on the board, and return the changes.

        ``prepare`` and ``finish`` change the document before and after that, in the
        same write. Raises OSError when the board cannot be written.
        """
        events: tuple[Event, ...] = ()

        def change(document: Document) -> Document:
            nonlocal events
            if prepare is not None:
                document = prepare(document)
            document, events = document.observe(seen, at=time.time(), clock=clock.now())
            return document if finish is None else finish(document)

        document = self.update(change)
        if self._announce is not None:
            self._announce({name: document.backends[name] for name in seen}, events)
        return events

    def snapshot(self) -> Mapping[str, BackendHealth]:
        """Return what is known now, by name; it does not change any more."""
        return self.document().backends

    def document(self) -> Document:
        """Return the whole document; microseconds, and it never raises."""
        return self._store().read()

    def update(self, change: Change) -> Document:
        """Change the document with no other writer in between. Raises OSError."""
        return self._store().update(change)

    def forget(self, name: str) -> None:
        """Take a backend off the board. Raises OSError when that cannot be written."""
        self.update(lambda document: document.without(name))

    def clear(self) -> None:
        """Take every backend off the board, as when a service starts anew. Raises OSError."""
        self.update(lambda document: document.cleared())

    @property
    def reach(self) -> Reach:
        """Who sees this board."""
        return self._store().reach

    def election(self) -> Election:
        """Return a new candidate in the election of the one process that probes for it."""
        return self._store().election()

    @property
    def is_empty(self) -> bool:
        """Whether no backend is known."""
        return not self.snapshot()

    def is_healthy(self, name: str) -> bool:
        """Whether ``name`` is known to be healthy, and that is not stale."""
        backend = self.snapshot().get(name)
        return backend is not None and backend.state(clock.now()) == "healthy"

    def any_healthy(self) -> bool:
        """Whether at least one backend is healthy."""
        return any(self.is_healthy(name) for name in self)

    def all_healthy(self) -> bool:
        """Whether every backend is healthy; True for none."""
        return all(self.is_healthy(name) for name in self)

    def __iter__(self) -> Iterator[str]:
        return iter(self.snapshot())

    def __len__(self) -> int:
        return len(self.snapshot())

    def __contains__(self, name: object) -> bool:
        return name in self.snapshot()

    def __getitem__(self, name: str) -> BackendHealth:
        return self.snapshot()[name]


def _demand_report(
    name: str, healthy: bool, latency: float | None, error: str | None, max_age: float | None
) -> None:
    """Refuse what would only be noticed when the board is read."""
    if not is_name(name):
        raise ValueError(f"a name is 1 to {MAX_NAME} printable characters, not {name!r:.120}")
    if not isinstance(healthy, bool):
        raise ValueError(f"healthy must be True or False, not {healthy!r}")
    if error is not None and not isinstance(error, str):
        raise ValueError(f"error must be text or None, not {type(error).__name__}")
    for what, seconds in (("latency", latency), ("max_age", max_age)):
        if seconds is not None and not is_seconds(seconds):
            raise ValueError(f"{what} must be None or seconds, 0 or more, not {seconds!r}")

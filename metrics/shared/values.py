"""The value classes that prometheus_client's metrics write through.

A write is one `cells[i] += x` and takes no lock. CPython with its global lock looks
for another thread to run, and for signals and garbage to handle, only at calls, at
backward jumps and at function entry; there is none of these between the read and the
store, so nothing can come between them (tests read the bytecode of every supported
version, and count under a storm of threads and signals). A lock would cost five times
the write itself. Where there is no global lock, `inc` takes the store's.
"""

from __future__ import annotations

import sys
import time
from typing import Protocol

from prometheus_client.samples import Exemplar

ATOMIC = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether a read, an addition and a store in one expression cannot be interrupted."""


class Cells(Protocol):
    """What a value needs of the store: its cells, and the way for what cannot go there."""

    @property
    def cells(self) -> memoryview[float]:
        """The cells of this process's lane; empty while it has none that holds all series."""

    def slow_add(self, value: Value, amount: float, when: float = 0.0) -> None:
        """Add to a value whose cell is not in ``cells``."""

    def slow_set(self, value: Value, amount: float, when: float = 0.0) -> None:
        """Set a value whose cell is not in ``cells``."""

    def slow_get(self, value: Value) -> float:
        """Return this process's share of such a value."""

    def put_exemplar(self, value: Value, exemplar: Exemplar) -> None:
        """Keep the newest exemplar of a value."""

    def get_exemplar(self, value: Value) -> Exemplar | None:
        """Return the newest exemplar of a value."""


class Value:
    """A number that only grows, in one cell: a counter, a bucket, a count or a sum.

    The cell may hold more than this object counted: what a process left that had the lane
    before, or a metric that was unregistered and made again. ``_base`` is how much that is.
    """

    __slots__ = ("__weakref__", "_base", "_store", "cell", "offset")
    _multiprocess = True

    def __init__(self, store: Cells, cell: int, offset: int) -> None:
        self._store = store
        self.cell = cell
        self._base = 0.0
        self.offset = offset

    def inc(self, amount: float) -> None:
        """Add ``amount``."""
        try:
            self._store.cells[self.cell] += amount
        except IndexError:
            self._store.slow_add(self, amount)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set this process's share to ``value``; prometheus_client resets counters so."""
        self._base = 0.0
        try:
            self._store.cells[self.cell] = value
        except IndexError:
            self._store.slow_set(self, value)

    def get(self) -> float:
        """Return what was counted through this object, or another of the same metric."""
        try:
            return self._store.cells[self.cell] - self._base
        except IndexError:
            return self._store.slow_get(self)

    def set_exemplar(self, exemplar: Exemplar) -> None:
        """Keep ``exemplar`` as the newest of this series in this process."""
        self._store.put_exemplar(self, exemplar)

    def get_exemplar(self) -> Exemplar | None:
        """Return this process's newest exemplar."""
        return self._store.get_exemplar(self)


class GaugeValue(Value):
    """A number that goes up and down, and beside it the moment of its last change."""

    __slots__ = ()

    def inc(self, amount: float) -> None:
        """Add ``amount``, which may be negative."""
        now = time.time()
        cell = self.cell
        try:
            cells = self._store.cells
            cells[cell] += amount
            cells[cell + 1] = now
        except IndexError:
            self._store.slow_add(self, amount, now)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set it; ``timestamp`` is in unix seconds, and now if not given."""
        now = timestamp or time.time()
        cell = self.cell
        try:
            cells = self._store.cells
            cells[cell] = value
            cells[cell + 1] = now
        except IndexError:
            self._store.slow_set(self, value, now)


if not ATOMIC:  # pragma: no cover - needs a build without the global lock

    class LockedValue(Value):
        """`Value` for a Python in which threads run side by side."""

        __slots__ = ()

        def inc(self, amount: float) -> None:
            """Add ``amount``."""
            self._store.slow_add(self, amount)

    class LockedGaugeValue(GaugeValue):
        """`GaugeValue` for a Python in which threads run side by side."""

        __slots__ = ()

        def inc(self, amount: float) -> None:
            """Add ``amount``, which may be negative."""
            self._store.slow_add(self, amount, time.time())

    Value, GaugeValue = LockedValue, LockedGaugeValue  # type: ignore[misc]

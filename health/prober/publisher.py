"""Puts the prober's results on the board, in a thread of its own.

A store that is slow or gone therefore never delays the clock that times out probes.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from health.board.health_map import BackendHealthMap
from health.connections import scoped_connections
from health.core.backend import Observation
from health.election import Election
from health.families import FAULTS
from health.results.ring import Result, Ring
from metrics.system.failure_log import FailureLog

if TYPE_CHECKING:
    from health.core.document import Change

logger = logging.getLogger(__name__)

GAP_SECONDS = 0.05
"""The least time between two writes: what comes in between is written together."""


class Publisher:
    """Writes batches of results, and keeps the election won, once it was.

    ``published`` gets the names whose results are on the board, or could not be
    written; ``lost`` is called when another process became the prober. ``prepare``
    puts the backends into a document that may have lost them, and ``finish`` adds the
    verdict, in the same write. ``results`` keeps each by itself, for people to look at.
    """

    def __init__(
        self,
        board: BackendHealthMap,
        election: Election,
        *,
        renew_seconds: float,
        published: Callable[[Collection[str]], None],
        lost: Callable[[], None],
        prepare: Change,
        finish: Change,
        results: Ring | None = None,
    ) -> None:
        self._board = board
        self._election = election
        self._renew_seconds = renew_seconds
        self._published = published
        self._lost = lost
        self._prepare = prepare
        self._finish = finish
        self._results = results
        self._inbox: queue.SimpleQueue[tuple[str, Observation] | None] = queue.SimpleQueue()
        self._failures = FailureLog(logger)
        self._not_kept = FailureLog(logger)
        self._thread = threading.Thread(target=self._run, name="sentinel-publisher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, backend: str, seen: Observation) -> None:
        """Queue a result; it is written within `GAP_SECONDS`, unless the store is slow."""
        self._inbox.put((backend, seen))

    def stop(self, seconds: float) -> None:
        """Write what is left, and wait for the end at most so long."""
        self._inbox.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        renew_at = time.monotonic() + self._renew_seconds
        stopping = False
        while not stopping:
            batch, stopping = self._collect(max(0.0, renew_at - time.monotonic()))
            if time.monotonic() >= renew_at:
                if not stopping and not self._renew():
                    self._lost()
                    return
                renew_at = time.monotonic() + self._renew_seconds
            if batch:
                self._write(batch)
                self._published(batch)
                self._keep(batch)
                time.sleep(GAP_SECONDS)

    def _collect(self, seconds: float) -> tuple[dict[str, Observation], bool]:
        """Wait for a result, take all that there are, and tell whether to stop."""
        batch: dict[str, Observation] = {}
        try:
            item = self._inbox.get(timeout=seconds)
            while item is not None:
                batch[item[0]] = item[1]
                item = self._inbox.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _renew(self) -> bool:
        try:
            with scoped_connections():
                return self._election.win()
        except Exception as e:  # noqa: BLE001 - a cache raises what it likes
            FAULTS.labels("election").inc()
            logger.warning("cannot tell whether this is still the prober: %s", e)
            return False

    def _write(self, batch: dict[str, Observation]) -> None:
        try:
            with scoped_connections():  # a cache may be a table, and receivers may use the ORM
                self._board.observe(batch, prepare=self._prepare, finish=self._finish)
        except Exception as e:  # noqa: BLE001 - a cache raises what it likes
            FAULTS.labels("board").inc()
            self._failures.failed("cannot write the health board, will go on trying: %s", e)
        else:
            if self._failures.ended():
                logger.info("the health board can be written again")

    def _keep(self, batch: dict[str, Observation]) -> None:
        if self._results is None:
            return
        now = time.time()
        try:
            self._results.add(
                (name, Result(now, seen.healthy, seen.latency)) for name, seen in batch.items()
            )
        except OSError as e:
            self._not_kept.failed("cannot keep the probes' results, will go on trying: %s", e)
        else:
            if self._not_kept.ended():
                logger.info("the probes' results can be kept again")

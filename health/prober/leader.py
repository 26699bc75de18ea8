"""The prober: whose turn it is to probe, and how it starts and ends.

One process of those that share a board probes; the others stand by. Three kinds of
thread do the work, so that none can hold up another: the loop of
`health.prober.schedule`, which only looks at the clock; a pool, in which probes may
hang; and the publisher, which writes.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Mapping

from health.board import BOARD
from health.board.health_map import BackendHealthMap
from health.conf import conf
from health.conf.backends import BackendConfig
from health.connections import scoped_connections
from health.core.document import Document
from health.election import Election
from health.families import FAULTS, HUNG_PROBES
from health.prober.history import Recorder
from health.prober.messages import Inbox, Lost, Published, Returned, Stop
from health.prober.outcome import make_probe
from health.prober.pool import ProbePool
from health.prober.publisher import Publisher
from health.prober.schedule import Round, Target
from health.readiness.assessment import settle
from health.results.ring import Ring
from metrics.system.failure_log import FailureLog

logger = logging.getLogger(__name__)


class Prober:
    """Probes ``backends`` (those of the settings) and puts the results on ``board``.

    Runs in a thread between `start` and `stop`, or in the caller's with `run_forever`.
    Start it after a fork, never before.
    """

    def __init__(
        self,
        board: BackendHealthMap = BOARD,
        backends: Mapping[str, BackendConfig] | None = None,
        *,
        election: Election | None = None,
    ) -> None:
        self._board = board
        self._backends = conf.backends if backends is None else backends
        self._election = board.election() if election is None else election
        self._inbox: Inbox = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._leading = False

    @property
    def is_leading(self) -> bool:
        """Whether this is the one that probes, rather than standing by."""
        return self._leading

    def start(self) -> None:
        """Run in a daemon thread of this process."""
        self._thread = threading.Thread(
            target=self.run_forever, name="sentinel-prober", daemon=True
        )
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """End `run_forever`, from any thread, and wait for the thread of `start` so long."""
        self._stopping.set()
        self._inbox.put(Stop())
        if self._thread is not None:
            self._thread.join(seconds)

    def run_forever(self) -> None:
        """Stand by until it is this process's turn, then probe, until `stop`."""
        failures = FailureLog(logger)
        waiting = False
        self._board.document()  # one in a cache is followed from the first look on
        while not self._stopping.is_set():
            try:
                with scoped_connections():
                    won = self._election.win()
                failures.all_ended()
                if won:
                    waiting = False
                    self._lead()
                elif not waiting:
                    waiting = True
                    logger.info("another process probes: process %d stands by", os.getpid())
            except Exception as e:  # noqa: BLE001 - whatever it is, probing goes on
                FAULTS.labels("election").inc()
                message = "the prober cannot do its work, will go on trying: %s"
                failures.failed(message, e, cause=e)
            self._stopping.wait(self._standby_seconds)

    @property
    def _standby_seconds(self) -> float:
        """How often to see whether the holder is gone: often enough in the shortest interval."""
        return min([1.0, *(c.interval / 4 for c in self._backends.values())])

    def _declare(self, document: Document) -> Document:
        return document.declare(c.unchecked for c in self._backends.values())

    def _ring(self) -> Ring | None:
        """Return where results are kept: in the run directory, if the board is the service's."""
        if self._board is not BOARD or conf.run_dir is None:
            return None
        return Ring(conf.run_dir)

    def _lead(self) -> None:
        logger.info("probing %d backend(s) from process %d", len(self._backends), os.getpid())
        inbox = self._inbox
        publisher = Publisher(
            self._board,
            self._election,
            renew_seconds=self._election.renew_seconds,
            published=lambda backends: inbox.put(Published(backends)),
            lost=lambda: inbox.put(Lost()),
            prepare=self._declare,
            finish=settle,
            results=self._ring(),
        )
        pool = ProbePool(lambda run: inbox.put(Returned(run)))
        recorder = Recorder(self._board) if self._board is BOARD else None
        targets = {
            name: Target(c, make_probe(c), time.monotonic()) for name, c in self._backends.items()
        }
        self._leading = True
        publisher.start()
        try:
            with scoped_connections():
                self._board.update(self._declare)
            if recorder is not None:
                recorder.start()
            Round(self._board, targets, pool, publisher, inbox, self._stopping).run()
        finally:
            self._leading = False
            publisher.stop(2.0)  # before the resignation: it renews what that gives up
            if recorder is not None and recorder.is_alive:
                recorder.stop(2.0)
            pool.close()
            self._inbox = queue.SimpleQueue()  # late answers go to the old one
            with scoped_connections():
                self._election.resign()
            for target in targets.values():
                HUNG_PROBES.dec(target.hung)
                target.probe.close()

"""Stores transitions and tells the webhook, off the probes' path.

The board itself remembers what was not stored yet, so that a database that is down,
or a prober that is killed, loses no transition.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time

from django.db import DatabaseError
from django.utils import timezone

from health.board.health_map import BackendHealthMap
from health.conf import conf
from health.connections import scoped_connections
from health.core.document import Event
from health.families import FAULTS
from health.models import Transition
from health.prober.webhook import Webhook
from metrics.system.failure_log import FailureLog

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often to see whether there is something new."""

MAX_PAUSE_SECONDS = 60.0
"""The longest pause between two tries while the database or the webhook fails."""

CLEAN_SECONDS = 3600.0
"""How often old transitions are deleted."""


class Recorder:
    """A thread of the elected prober that follows the board."""

    def __init__(self, board: BackendHealthMap) -> None:
        self._board = board
        self._webhook = Webhook()
        self._failures = FailureLog(logger)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sentinel-recorder", daemon=True)
        self._clean_at = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Store what is left, and wait for the end at most so long."""
        self._stopping.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        pauses = {"transitions": LOOK_SECONDS, "webhook": LOOK_SECONDS}
        due = dict.fromkeys(pauses, 0.0)
        last = False
        while not last:
            last = self._stopping.wait(LOOK_SECONDS)
            for doing, act in (("transitions", self.store), ("webhook", self.tell)):
                if time.monotonic() < due[doing] and not last:
                    continue
                try:
                    with scoped_connections():
                        act()
                    pauses[doing] = LOOK_SECONDS
                    self._failures.ended(doing)
                except Exception as e:  # noqa: BLE001 - neither may end the other, nor the thread
                    FAULTS.labels(doing).inc()
                    hint = " (has manage.py migrate been run?)" if _lacks_table(e) else ""
                    self._failures.failed(
                        "%s: failed, will go on trying: %s%s", doing, e, hint, key=doing
                    )
                    pauses[doing] = min(pauses[doing] * 2, MAX_PAUSE_SECONDS)
                    due[doing] = time.monotonic() + pauses[doing]

    def store(self) -> None:
        """Store the transitions that were not stored yet, and delete old ones.

        Raises what the database raises.
        """
        document = self._board.document()
        pending = [event for event in document.events if event.sequence > document.recorded]
        days = conf.transition_days
        if days and (pending or time.monotonic() >= self._clean_at):
            Transition.objects.bulk_create([_row(event) for event in pending])
            if time.monotonic() >= self._clean_at:
                oldest = timezone.now() - datetime.timedelta(days=days)
                Transition.objects.filter(at__lt=oldest).delete()
                self._clean_at = time.monotonic() + CLEAN_SECONDS
        if pending:
            if lost := pending[0].sequence - document.recorded - 1:
                logger.error("transitions: %d were forgotten before they could be stored", lost)
            self._board.update(lambda d: d.recorded_up_to(pending[-1].sequence))

    def tell(self) -> None:
        """Send what the webhook is to know. Raises what the request raises."""
        if conf.webhook is None:
            return
        told = self._webhook.tell(self._board.snapshot().values(), conf.webhook)
        if told:
            self._board.update(lambda document: document.with_told(told))


def _lacks_table(error: Exception) -> bool:
    """Whether a database says that a table is missing, as before the first migration."""
    words = ("no such table", "does not exist", "doesn't exist")
    return isinstance(error, DatabaseError) and any(word in str(error) for word in words)


def _row(event: Event) -> Transition:
    return Transition(
        backend=event.backend[:100],
        was=event.was,
        healthy=event.to,
        at=datetime.datetime.fromtimestamp(event.at, datetime.UTC),
        error=event.error or "",
    )

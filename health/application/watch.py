"""Look at the application's processes: their lanes, and signs of life beside them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from health.application import life_signs
from health.application.workers import Application, condition_of
from health.conf import conf
from metrics import shared
from metrics.samples import Worker

if TYPE_CHECKING:
    import psutil

RESTART_SECONDS = 10.0
"""How long a server that lives may be without a worker before it counts as dead."""


class _Memory:
    """What earlier looks at the lanes showed, which the present one may not."""

    def __init__(self) -> None:
        self.seen: Sequence[Worker] = ()
        self._pids: frozenset[int] = frozenset()
        self._parents: list[psutil.Process] = []
        self._alive_at = time.monotonic()
        self._was_alive = False

    def look(
        self, workers: Sequence[Worker], *, lives: bool = False, lived: bool = False
    ) -> Sequence[Worker]:
        """Return ``workers``, or what was seen last if there are none.

        Lanes do not go away. None at all, where there were some, means that they could
        not be read. ``lives`` and ``lived`` tell of workers without a lane.
        """
        self.seen = workers or self.seen
        self._was_alive = self._was_alive or lives or lived or bool(self.seen)
        if lives:
            self._alive_at = time.monotonic()
        if pids := frozenset(w.pid for w in self.seen if w.alive and w.pid):
            self._alive_at = time.monotonic()
            if pids != self._pids:
                self._pids = pids
                self._parents = _parents(w.pid for w in self.seen if w.alive and w.is_running)
        return self.seen

    def is_restarting(self) -> bool:
        """Whether new workers may be on their way, as after gunicorn's HUP.

        That ends the old ones before the new ones have loaded the application.
        """
        if not self._was_alive:
            return False
        if time.monotonic() - self._alive_at > RESTART_SECONDS:
            return False
        return not self._parents or any(parent.is_running() for parent in self._parents)


def _parents(pids: Iterable[int]) -> list[psutil.Process]:
    import psutil  # most processes look at no other

    parents = {}
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(psutil.Process(pid).ppid())
            parents[parent.pid] = parent
    return list(parents.values())


_memory = _Memory()


def observe() -> Application | None:
    """Return what the application is doing now; None where nothing can be known of it.

    Its lanes tell. Under `serve` the application's processes show life beside them:
    with a run directory that is full, unwritable or gone no lane may tell of a worker
    that serves. Elsewhere a directory without any lane, this process's own included,
    proves no death.
    """
    store, life = shared.current(), life_signs.current()
    if store is None and life is None:
        return None
    lanes = [] if store is None else store.workers()
    workers = [w for w in lanes if w.kind in conf.application_kinds]
    unseen: bool | None = False
    lived = life is not None and life.anyone_lived()
    if not any(w.alive for w in workers):
        if life is not None:
            unseen = life.anyone_lives()
        elif not lanes:
            unseen = None
    seen = _memory.look(workers, lives=unseen is True, lived=lived)
    now, stuck = time.time(), conf.stuck_seconds
    return Application(
        tuple((w, condition_of(w, now, stuck)) for w in (seen if life is None else workers)),
        now,
        _memory.is_restarting(),
        unseen,
        lived,
    )

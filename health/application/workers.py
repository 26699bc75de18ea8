"""What a worker may be doing, and what that means for the application."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from metrics.samples import Worker

NOT_STARTED = "application not started"
NONE_ALIVE = "no application worker alive"
ALL_STUCK = "all application workers stuck"


class Condition(StrEnum):
    """What a worker is doing."""

    IDLE = "idle"
    """No request in progress."""
    BUSY = "busy"
    """Requests in progress, and room for more."""
    SATURATED = "saturated"
    """As many requests in progress as it takes at once."""
    STUCK = "stuck"
    """Saturated, and no request of it ended or began for SENTINEL_STUCK_SECONDS."""
    DEAD = "dead"
    """Gone without a word, as if killed, and no other has taken its lane."""
    LEFT = "left"
    """Gone in order, as after gunicorn's TTOU, and no other has taken its lane."""


SHOWN = tuple(condition for condition in Condition if condition is not Condition.LEFT)
"""What is shown to people; a worker that has left in order is not."""
_GONE = (Condition.DEAD, Condition.LEFT)


@dataclass(frozen=True)
class Application:
    """The application's workers at one moment: each with its condition."""

    workers: tuple[tuple[Worker, Condition], ...]
    now: float
    is_restarting: bool = False
    """Whether the server that starts the workers lives, and has had no time for new ones."""
    unseen_life: bool | None = False
    """Whether a worker lives that has no lane; None: that is unknown."""
    had_unseen_life: bool = False
    """Whether there was such a worker earlier."""

    def count(self, condition: Condition) -> int:
        """Return how many workers are in ``condition``."""
        return sum(1 for _, c in self.workers if c is condition)

    @property
    def alive(self) -> list[Worker]:
        """The workers whose processes live."""
        return [w for w, condition in self.workers if condition not in _GONE]

    @property
    def requests_in_progress(self) -> int:
        """How many requests all of them are working on."""
        return sum(worker.in_progress for worker in self.alive)

    @property
    def oldest_request_seconds(self) -> float:
        """How long the oldest request in progress has been so; 0.0 if there is none."""
        began = [w.oldest_began for w in self.alive if w.in_progress and w.oldest_began]
        return max(0.0, self.now - min(began)) if began else 0.0

    @property
    def is_saturated(self) -> bool:
        """Whether a new request would have to wait for a worker."""
        full = self.count(Condition.SATURATED) + self.count(Condition.STUCK)
        return bool(self.alive) and full == len(self.alive)

    @property
    def is_blind(self) -> bool:
        """Whether the lanes do not tell what the application is doing."""
        return not self.alive and self.unseen_life is not False

    @property
    def has_started(self) -> bool:
        """Whether there was a worker, or may be one unseen."""
        return bool(self.workers) or self.had_unseen_life or self.is_blind

    @property
    def trouble(self) -> str | None:
        """Why the application counts as dead, or None while it lives.

        Being saturated is not death, nor is what is unknown.
        """
        if self.is_blind:
            return None
        if self.alive:
            return ALL_STUCK if self.count(Condition.STUCK) == len(self.alive) else None
        if self.is_restarting:
            return None
        return NONE_ALIVE if self.has_started else NOT_STARTED


def condition_of(worker: Worker, now: float, stuck_seconds: float | None) -> Condition:
    """Return what ``worker`` is doing at ``now`` (unix seconds)."""
    if not worker.alive:
        return Condition.DEAD if worker.pid else Condition.LEFT
    if not worker.in_progress:
        return Condition.IDLE
    if not worker.capacity or worker.in_progress < worker.capacity:
        return Condition.BUSY
    if stuck_seconds is not None and now - worker.last_active > stuck_seconds:
        return Condition.STUCK
    return Condition.SATURATED

"""Let callers that wait at the same time share one run of the same work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from metrics.system import forks

T = TypeVar("T")


class Coalescer(Generic[T]):
    """Run a function once for all callers that ask before it can start.

    A caller gets no result of a run that began before it asked, so that what it counted
    before is in the result; unless its deadline is too near for a run of its own. At most
    one run is under way and one more is waited for, however many callers there are. A run
    that does not end holds a caller up until its deadline, and no longer.
    """

    def __init__(self) -> None:
        self._reset()
        forks.after_in_child(self._reset)

    def _reset(self) -> None:
        """Forget everything: in a forked child the thread that was at work is gone."""
        self._changed = threading.Condition()
        self._busy = False
        self._runs = 0
        self._finished = 0
        self._seconds = 0.0
        self._outcome: tuple[T | None, Exception | None] = (None, None)

    def run(self, work: Callable[[], T], deadline: float) -> T:
        """Return what ``work`` gives, run by this caller or by another one.

        ``deadline`` is in seconds of `time.monotonic`. A caller that waited for a run takes
        its result when less time is left than that run took: one of its own would end too
        late. A caller that waits in vain until the deadline runs the work for itself alone,
        beside the run under way. What ``work`` raises is raised in all callers that share it.
        """
        with self._changed:
            ours = self._runs + 1
            waited = self._busy
            while self._busy and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
                if self._finished >= ours:
                    break
            if self._finished >= ours:
                return self._result(self._outcome)
            alone = self._busy
            if not alone:
                is_late = waited and deadline - time.monotonic() < self._seconds
                if is_late and self._outcome[1] is None:
                    return self._result(self._outcome)
                self._busy = True
                self._runs = number = self._runs + 1
        if alone:
            return work()
        began = time.monotonic()
        outcome: tuple[T | None, Exception | None] = (None, RuntimeError("the scrape was cut off"))
        try:
            outcome = (work(), None)
        except Exception as e:  # noqa: BLE001 - raised below, to everybody
            outcome = (None, e)
        finally:
            with self._changed:
                self._busy = False
                self._seconds = time.monotonic() - began
                self._finished, self._outcome = number, outcome
                self._changed.notify_all()
        return self._result(outcome)

    @staticmethod
    def _result(outcome: tuple[T | None, Exception | None]) -> T:
        result, error = outcome
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # None only where T has it

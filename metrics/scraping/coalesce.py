"""Let callers that wait at the same time share one piece of work."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedFlight(Generic[T]):
    """Run a function once for all who ask while it cannot start yet.

    A caller gets no result whose work began before he asked, so what he counted before
    is in it, unless the time that he has is too short for that. At most one run is
    under way and one more is waited for, however many callers there are; only those
    whose time is up do not wait for a run that does not end.
    """

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

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

        ``deadline`` is in seconds of `time.monotonic`. Who has less time left than the
        run took that he waited for takes its result: his own would not end in time.
        Who waits in vain until the deadline does the work for himself alone, beside
        the run under way. What ``work`` raises is raised to all who share it.
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

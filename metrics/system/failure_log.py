"""Log a failure that may come back many times a second once, and its end."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

MOST = 1000
"""How many failures are remembered: texts of other people's code may differ each time."""


class FailureLog:
    """Logs the first of a row of failures; the next row begins when the failure is over.

    Failures are told apart by a key. Those beyond ``most`` at a time are not logged.
    """

    def __init__(self, logger: logging.Logger, *, most: int = MOST) -> None:
        self._logger = logger
        self._most = most
        self._failing: set[str] = set()

    def failed(
        self,
        message: str,
        *words: object,
        key: str = "",
        level: int = logging.ERROR,
        cause: BaseException | None = None,
    ) -> None:
        """Log ``message % words`` if the failure is new, with the traceback of ``cause``."""
        if self.is_new(key):
            self._logger.log(level, message, *words, exc_info=cause)

    def is_new(self, key: str = "") -> bool:
        """Whether the failure was over, or never was; it counts as logged from now on."""
        if key in self._failing or len(self._failing) >= self._most:
            return False
        self._failing.add(key)
        return True

    def ended(self, key: str = "") -> bool:
        """Whether there was a failure that is over now."""
        was = key in self._failing
        self._failing.discard(key)
        return was

    def all_ended(self, *, but: Collection[Any] = ()) -> bool:
        """End all failures but those whose keys are given; whether there was one to end."""
        ended = any(key not in but for key in self._failing)
        self._failing.intersection_update(but)
        return ended

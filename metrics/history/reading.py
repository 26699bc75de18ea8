"""The history as a page asks for it: some minutes of it, or why there is none."""

from __future__ import annotations

import time
from typing import NamedTuple

from metrics import shared
from metrics.conf import conf
from metrics.history import STEP
from metrics.history.file import Rows
from metrics.history.legend import HistoryError
from metrics.history.window import Window

SPANS = (5, 15, 60)
"""Over how many minutes figures can be asked for; the last is all that there is."""
WHOLE = SPANS[-1]
LATE = 3 * STEP
"""Seconds after which a history that got no row has stopped."""


class History(NamedTuple):
    """What was read: a row each `STEP`, or for the whole hour a row a minute.

    ``missing`` says in plain words why there is no window, or why it does not go on.
    """

    window: Window | None
    missing: str


def read(minutes: int = WHOLE) -> History:
    """Return the last ``minutes``. Never raises."""
    if not conf.history:
        return History(None, "no rates and charts: SENTINEL_HISTORY is False")
    store = shared.current()
    if store is None:
        return History(None, f"no rates and charts: {conf.why_nothing_is_shared}")
    now = time.time()
    try:
        with Rows(store.directory, now) as rows:
            found = rows.minutes() if minutes == WHOLE else rows.steps(60 * minutes)
    except (OSError, HistoryError):
        why = "no rates and charts yet: a process that serves begins them within seconds"
        return History(None, why)
    window = Window(rows.legend, found)
    if found and now - found[-1].at <= LATE:
        return History(window, "")
    since = f" for {now - found[-1].at:.0f} s" if found else ""
    why = f"rates and charts have had no new figures{since}: no process keeps them"
    return History(window, why)

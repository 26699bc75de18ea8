"""Deadlines, and threads whose results are waited for."""

from __future__ import annotations

import threading
import time
from typing import Any


def soon(seconds: float = 30.0) -> float:
    """Return a deadline."""
    return time.monotonic() + seconds


def in_background(work: Any) -> tuple[threading.Thread, list[Any]]:
    """Run ``work`` in a thread; return it and the list that its result will be in."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results

"""Probers that run for the time of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from health.board.health_map import BackendHealthMap
from health.conf.backends import parse
from health.prober.leader import Prober


@contextmanager
def probing(backends: dict[str, Any], board: BackendHealthMap) -> Iterator[BackendHealthMap]:
    """Run a prober on a board."""
    prober = Prober(board, parse(backends))
    prober.start()
    try:
        yield board
    finally:
        prober.stop()

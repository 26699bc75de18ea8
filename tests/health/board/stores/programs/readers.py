"""Forty processes that read a board while it changes: ``python -m ... RUN_DIR``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from health.board.stores.file import FileStore
from health.core.backend import Observation
from health.core.document import Document

COUNT = 40
SECONDS = 3.0


def both(healthy: bool) -> Callable[[Document], Document]:
    """Return a change that gives two backends one state."""
    seen = {name: Observation(healthy) for name in ("a", "b")}
    return lambda document: document.observe(seen, at=time.time(), clock=1.0)[0]


def read(run_dir: Path) -> int:
    """Read again and again, with no half of a write; return how many changes were seen."""
    reader = FileStore(run_dir)
    changes, last, end = 0, None, time.monotonic() + SECONDS
    while time.monotonic() < end:
        document = reader.read()
        a, b = document.backends["a"], document.backends["b"]
        assert not document.damaged
        assert a.healthy is b.healthy
        assert a.since == b.since
        changes, last = changes + (document is not last), document
        time.sleep(0.002)
    return changes


def main(run_dir: Path) -> None:
    """Write while children read, and print whether all of them saw many changes."""
    writer = FileStore(run_dir)
    writer.update(both(True))
    children = []
    for _ in range(COUNT):
        child = os.fork()
        if not child:
            os._exit(0 if read(run_dir) > 5 else 1)
        children.append(child)
    end = time.monotonic() + SECONDS
    healthy = True
    while time.monotonic() < end:
        writer.update(both(healthy))
        healthy = not healthy
        time.sleep(0.005)
    print([os.waitpid(child, 0)[1] for child in children] == [0] * COUNT)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

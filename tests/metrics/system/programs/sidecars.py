"""Processes of which there may be several with one process id."""

from __future__ import annotations

from metrics import shared
from metrics.registry import METRICS
from metrics.scraping.options import Options
from metrics.scraping.scraper import SCRAPER
from metrics.system.process_kind import declare_process_kind


def stand_by() -> None:
    """Count once, print whether no other process has a lane, and wait for a line."""
    declare_process_kind("sidecar")
    store = shared.current()
    assert store is not None
    METRICS.record_request("echo", "success", 0.5)
    print(store.is_alone(), flush=True)
    input()


def look() -> None:
    """Print the workers of the store, and a scrape of what they count and of their threads."""
    store = shared.current()
    assert store is not None
    print([(w.pid, w.kind, w.alive) for w in store.workers()])
    names = frozenset({"sentinel_requests_total", "process_threads"})
    print(SCRAPER.render(options=Options(names)).text, end="")

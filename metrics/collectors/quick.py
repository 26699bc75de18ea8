"""What a scrape may run in its own thread."""

from __future__ import annotations

from prometheus_client.registry import Collector


class QuickCollector(Collector):
    """A collector that waits for nothing: it reads memory, or what the store has in files.

    It is run in the thread of the scrape, where any other has a thread of its own.
    """

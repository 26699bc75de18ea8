"""Probe of a Django cache."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache

from health.probes.base import Probe, ProbeError


@dataclass
class CacheProbe(Probe):
    """Writes, reads and deletes a key of its own in the Django cache ``alias``.

    A cache that reads from replicas gets half of the timeout, and a second at most, to
    show what was written.
    """

    alias: str = "default"

    def __post_init__(self) -> None:
        if self.alias not in settings.CACHES:
            raise ValueError(f"CACHES has no {self.alias!r}; it has {', '.join(settings.CACHES)}")
        if isinstance(caches[self.alias], DummyCache):
            raise ValueError(f"CACHES[{self.alias!r}] is a DummyCache, which keeps nothing")

    def check(self, timeout: float) -> None:
        """Make one round trip."""
        deadline = time.monotonic() + min(1.0, timeout / 2)
        cache = caches[self.alias]
        key, value = f"sentinel-probe:{uuid.uuid4().hex}", uuid.uuid4().hex
        try:
            cache.set(key, value, timeout=60)
            found = cache.get(key)
            while found is None and time.monotonic() < deadline:
                time.sleep(0.02)
                found = cache.get(key)
            cache.delete(key)
        finally:
            cache.close()
        if found != value:
            raise ProbeError("what was written could not be read back")

    def doubts(self) -> Iterator[str]:
        """Tell of a cache that is memory of this process."""
        if isinstance(caches[self.alias], LocMemCache):
            yield (
                f"CACHES[{self.alias!r}] is a LocMemCache, each process's own:"
                " it is well while the process is"
            )

"""The election of one prober for all hosts that share a cache."""

from __future__ import annotations

import logging
import uuid

from django.core.cache import caches

from health.conf import conf

logger = logging.getLogger(__name__)

PREFIX = "sentinel-health"
"""With what the keys of the board and of its election begin."""


class CacheElection:
    """One prober for all hosts: a lease in the cache, renewed by its holder."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._token = uuid.uuid4().hex
        shortest = min((c.interval for c in conf.backends.values()), default=10.0)
        self._seconds = max(1, min(10, int(shortest * 0.75)))  # caches know no parts of one
        self.renew_seconds = self._seconds / 3

    def win(self) -> bool:
        """Take the lease or renew it. Raises whatever the cache raises."""
        cache, key = caches[self._alias], f"{PREFIX}:prober"
        if cache.add(key, self._token, timeout=self._seconds):
            return True
        if cache.get(key) != self._token:
            return False
        return cache.touch(key, self._seconds)

    def resign(self) -> None:
        """End the lease, if it is ours; a cache that does not answer lets it lapse."""
        cache, key = caches[self._alias], f"{PREFIX}:prober"
        try:
            if cache.get(key) == self._token:
                cache.delete(key)
        except Exception as e:  # noqa: BLE001 - a cache raises what it likes
            logger.info("the prober's lease will lapse by itself: %s", e)

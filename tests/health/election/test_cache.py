"""A lease in a cache."""

from __future__ import annotations

from pathlib import Path

from django.test import override_settings

from health.election.cache import CacheElection
from tests.support.harness import wait_until
from tests.support.misbehaving import Redis, redis_cache


def test_one_prober_for_all_hosts(tmp_path: Path) -> None:
    """The lease is one host's until it lapses or is given back."""
    backends = {"b": {"PROBE": "a.b", "INTERVAL": 2, "TIMEOUT": 1}}
    with (
        Redis(tmp_path) as redis,
        redis_cache(redis),
        override_settings(SENTINEL_BACKENDS=backends),
    ):
        first, second, third = (CacheElection("default") for _ in range(3))
        assert first.renew_seconds < 0.5  # the lease of a second outlives a late renewal
        assert first.win()
        assert first.win()
        assert not second.win()
        wait_until(second.win, "the lease of a host that died")
        assert not first.win()
        second.resign()
        assert third.win()

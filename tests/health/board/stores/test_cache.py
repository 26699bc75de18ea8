"""A board in a cache that hosts share."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from health.board.health_map import BackendHealthMap
from health.board.stores.cache import CacheStore
from health.core import clock
from tests.support.harness import wait_until
from tests.support.misbehaving import Redis, redis_cache
from tests.support.probers import probing


def test_hosts_share_a_board_in_redis(tmp_path: Path) -> None:
    """What one host reports another sees soon, with its age by its own clock."""
    with Redis(tmp_path) as redis, redis_cache(redis):
        ours, theirs = (BackendHealthMap(CacheStore("default")) for _ in range(2))
        assert theirs.is_empty
        ours.report("db", True, max_age=60)
        wait_until(lambda: theirs.is_healthy("db"), "the other host")
        age = theirs["db"].age(clock.now())
        assert age is not None
        assert age < 30
        theirs.report("db", False)
        wait_until(lambda: not ours.is_healthy("db"), "and back")


def test_a_host_whose_clock_is_wrong_shares_the_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a host has looked, the age of news does not depend on anybody's wall clock."""
    with Redis(tmp_path) as redis, redis_cache(redis):
        ours, theirs = (BackendHealthMap(CacheStore("default")) for _ in range(2))
        assert theirs.is_empty
        real = time.time
        monkeypatch.setattr("time.time", lambda: real() - 3600)
        ours.report("db", True, max_age=60)
        monkeypatch.undo()
        wait_until(lambda: "db" in theirs, "the other host")
        assert theirs.is_healthy("db")


def test_redis_gone_and_back(tmp_path: Path) -> None:
    """Without the cache the board is stale, and it recovers by itself."""
    backends = {"b": {"PROBE": lambda: None, "INTERVAL": 0.6, "TIMEOUT": 0.2}}
    redis = Redis(tmp_path)
    with redis, redis_cache(redis):
        board = BackendHealthMap(CacheStore("default"))
        with probing(backends, board):
            wait_until(lambda: board.is_healthy("b"), "healthy")
            redis.stop()
            wait_until(lambda: board["b"].state(clock.now()) == "stale", "stale")
            redis.start()
            wait_until(lambda: board.is_healthy("b"), "healthy again")


def test_reading_does_not_wait_for_a_cache_that_hangs(tmp_path: Path) -> None:
    """A thousand reads, each of which would take a second, end."""
    with Redis(tmp_path) as redis, redis_cache(redis):
        board = BackendHealthMap(CacheStore("default"))
        board.report("b", True, max_age=3600)
        redis.freeze()
        assert all(board.any_healthy() for _ in range(1000))

"""The copy of a cache's board that sentinel-health reads."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from health.board import BOARD
from health.board.health_map import BackendHealthMap
from health.board.mirror import Mirror
from health.board.stores.cache import CacheStore
from health.cli import assess
from health.core.document import Document
from tests.support.harness import wait_until

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


def said(run_dir: Path) -> str:
    """Return the verdict of sentinel-health."""
    return assess(str(run_dir)).status


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path) -> Iterator[None]:
    """Give each test a cache of its own, which threads share as hosts share a real one."""
    cache = {**CACHES["default"], "LOCATION": str(tmp_path)}
    with override_settings(CACHES={"default": cache}):
        yield


def test_every_host_has_a_copy(tmp_path: Path) -> None:
    """What one host puts on the board of a cache, sentinel-health says on each that follows it."""
    hosts = [tmp_path / "a", tmp_path / "b"]
    ours, theirs = (BackendHealthMap(CacheStore("default", Mirror(host).show)) for host in hosts)
    assert theirs.is_empty
    for healthy, word in ((True, "ready"), (False, "not_ready")):
        ours.report("db", healthy)
        for host in hosts:
            assert ours.is_healthy("db") is healthy
            wait_until(lambda host=host, word=word: said(host) == word, f"{host}: {word}")
    assert theirs["db"].healthy is False


def test_a_copy_that_nobody_renews_grows_stale(tmp_path: Path) -> None:
    """A board that the cache no longer has ends as unknown in the copy as it does in the view."""
    mirror = Mirror(tmp_path / "run")
    mirror.show(_document(max_age=0.2))
    assert said(tmp_path / "run") == "ready"
    mirror.show(Document(damaged=True))
    wait_until(lambda: said(tmp_path / "run") == "unknown", "unknown")


def test_one_process_of_a_host_writes_until_it_ends(tmp_path: Path) -> None:
    """The second writes nothing while the first is there, and goes on after it."""
    first, second = (Mirror(tmp_path / "run") for _ in range(2))
    first.show(_document())
    second.show(_document(healthy=False))
    assert said(tmp_path / "run") == "ready"
    first._election.resign()
    second.show(_document(healthy=False))
    assert said(tmp_path / "run") == "not_ready"


def test_a_directory_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The board itself does not suffer from it."""
    (tmp_path / "run").write_text("in the way")
    mirror = Mirror(tmp_path / "run")
    with caplog.at_level(logging.ERROR, logger="health.board.mirror"):
        for _ in range(3):
            mirror.show(_document())
    assert len(caplog.messages) == 1
    assert "for sentinel-health" in caplog.messages[0]


def test_the_settings_make_the_copy(tmp_path: Path) -> None:
    """With cache:ALIAS and a run directory the board of the service has one."""
    run_dir = tmp_path / "run"
    with override_settings(SENTINEL_RUN_DIR=str(run_dir), SENTINEL_HEALTH_STORE="cache:default"):
        BOARD.report("db", True)
        assert BOARD.is_healthy("db")
        wait_until(lambda: said(run_dir) == "ready", "the copy")


def _document(*, healthy: bool = True, max_age: float | None = None) -> Document:
    board = BackendHealthMap()
    board.report("db", healthy, max_age=max_age)
    return board.document()

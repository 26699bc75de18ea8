"""A board in a file that processes share."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from health.board.health_map import BackendHealthMap
from health.board.stores.file import FileStore
from health.core import clock
from health.core.backend import Observation
from metrics.system.flock import FileLock, LockBusyError
from tests.health.board.stores.programs import readers
from tests.support.harness import ROOT


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """Give each test a directory of its own."""
    return FileStore(tmp_path / "run")


def test_all_processes_see_one_board(store: FileStore) -> None:
    """A second store on the directory, as in another process, sees each write at once."""
    ours, theirs = BackendHealthMap(store), BackendHealthMap(FileStore(store.run_dir))
    for healthy in (True, False, True, True, False):
        ours.report("db", healthy)
        assert theirs["db"].healthy is healthy


def test_a_board_that_does_not_change_is_not_read_again(store: FileStore) -> None:
    """Readers get the same object until somebody writes."""
    BackendHealthMap(store).report("db", True)
    reader = FileStore(store.run_dir)
    first = reader.read()
    assert reader.read() is first
    BackendHealthMap(store).report("db", True)
    assert reader.read() is not first


def _report_often(run_dir: Path, name: str, times: int) -> None:
    board = BackendHealthMap(FileStore(run_dir))
    for _ in range(times):
        board.report(name, True)


def test_many_writers_lose_nothing(store: FileStore) -> None:
    """Four processes that report at once leave every one of their reports on the board."""
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=_report_often, args=(store.run_dir, f"b{i}", 50)) for i in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    board = BackendHealthMap(store)
    assert {name: board[name].consecutive_successes for name in board} == {
        f"b{i}": 50 for i in range(4)
    }


def test_a_writer_waits_for_others_while_they_write(store: FileStore) -> None:
    """A lock that is busy for longer than its patience loses nothing while the board goes on."""
    board, other = BackendHealthMap(store), BackendHealthMap(FileStore(store.run_dir))
    store.PATIENCE_SECONDS = 0.2
    other.report("a", True)
    lock = FileLock(store.directory / "board.lock")
    assert lock.try_acquire()
    writer = threading.Thread(target=board.observe, args=({"b": Observation(True)},))
    writer.start()
    end = time.monotonic() + 1.0  # five times its patience
    while time.monotonic() < end:
        os.utime(store.path)  # as each write of the holder does
        time.sleep(0.01)
    lock.release()
    writer.join(30)
    assert other.is_healthy("b")


def test_a_writer_that_is_stopped_does_not_stop_the_others(store: FileStore) -> None:
    """Where nobody writes and nobody lets go of the lock, a write fails and says so."""
    board = BackendHealthMap(store)
    board.report("a", True)
    store.PATIENCE_SECONDS = 0.2
    lock = FileLock(store.directory / "board.lock")
    assert lock.try_acquire()
    with pytest.raises(LockBusyError, match=r"board\.lock was held by another for 0\.2 s"):
        board.observe({"b": Observation(True)})
    lock.release()
    board.observe({"b": Observation(True)})
    assert board.is_healthy("b")


@pytest.mark.parametrize("junk", [b"", b"\0" * 100, b"{}", os.urandom(5000)])
def test_a_damaged_file_is_mended_by_the_next_write(store: FileStore, junk: bytes) -> None:
    """Damage reads as a damaged document; the writer's next report puts all it knew back."""
    board = BackendHealthMap(store)
    board.report("db", True)
    board.report("cache", True)
    board.snapshot()
    Path(store.path).write_bytes(junk)
    reader = FileStore(store.run_dir)
    assert reader.read().damaged
    assert not reader.read().backends
    board.report("cache", False)
    assert not reader.read().damaged
    assert {name: b.healthy for name, b in reader.read().backends.items()} == {
        "db": True,
        "cache": False,
    }


def test_a_board_of_before_the_restart_is_not_believed(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart of the machine the backends are known by name only."""
    BackendHealthMap(store).report("db", True)
    monkeypatch.setattr(clock, "boot_id", lambda: "another")
    reader = FileStore(store.run_dir)
    assert reader.read().backends["db"].state(clock.now()) == "unknown"


def test_a_clock_that_jumps_does_not_matter(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ages do not come from the wall clock, which may be set while the service runs."""
    board = BackendHealthMap(store)
    board.report("db", True, max_age=60)
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert board.is_healthy("db")
    board.report("db", True, max_age=60)
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert board.is_healthy("db")


def test_a_directory_of_another_kind_is_refused_but_raises_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A report that cannot be written is logged with what to mend; the caller goes on."""
    (tmp_path / "real").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "real")
    BackendHealthMap(FileStore(tmp_path / "run")).report("db", True)
    assert "is a symbolic link; name the directory itself" in caplog.text
    assert list((tmp_path / "real").iterdir()) == []


def test_forty_processes_read_while_the_board_changes(tmp_path: Path) -> None:
    """None of them ever sees half a write, and all see many of them."""
    done = subprocess.run(
        [sys.executable, "-m", readers.__name__, str(tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")

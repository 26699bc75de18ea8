"""The board: what reports make of it, in memory and in a file that processes share."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from health import redact
from health.board import BOARD
from health.board.health_map import BackendHealthMap
from health.board.stores.file import FileStore
from health.core import board_file, clock
from health.core.backend import BackendHealth, Observation
from health.core.document import Document, Event
from metrics.system.flock import FileLock, LockBusyError
from tests.support.harness import ROOT


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """Give each test a directory of its own."""
    return FileStore(tmp_path / "run", strict=False)


def test_a_new_map_is_empty() -> None:
    """A map that nobody reported to knows no backend, and none of them is healthy."""
    board = BackendHealthMap()
    assert board.is_empty
    assert not board.any_healthy()
    assert dict(board.snapshot()) == {}


def test_reports_are_followed_at_once() -> None:
    """A backend that is only reported is what the last report said."""
    board = BackendHealthMap()
    board.report("tools", True, latency=0.25)
    assert board.is_healthy("tools")
    assert board["tools"].latency == 0.25
    board.report("tools", False, error="refused")
    assert not board.is_healthy("tools")
    assert not board.any_healthy()
    backend = board["tools"]
    assert (backend.consecutive_failures, backend.consecutive_successes) == (1, 0)
    assert backend.error == "refused"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "two\nlines"},
        {"name": "\ud800"},
        {"name": "x" * 101},
        {"name": 5},
        {"healthy": None},
        {"healthy": "yes"},
        {"latency": -1.0},
        {"latency": float("nan")},
        {"latency": "fast"},
        {"error": ValueError("x")},
        {"max_age": -1},
        {"max_age": float("inf")},
    ],
)
def test_a_report_that_makes_no_sense_is_the_callers_mistake(wrong: dict[str, Any]) -> None:
    """It is refused at once, and the board stays as it was."""
    board = BackendHealthMap()
    with pytest.raises(ValueError, match=next(iter(wrong))):
        board.report(**{"name": "b", "healthy": True, **wrong})
    assert board.is_empty


def test_maps_are_isolated() -> None:
    """What is reported to one map is seen neither by another nor by the service's board."""
    board, other = BackendHealthMap(), BackendHealthMap()
    board.report("tools", True)
    assert other.is_empty
    assert "tools" not in BOARD


def test_rise_and_fall_damp_flapping() -> None:
    """With RISE 2 and FALL 3 it takes so many checks in a row to change the state."""
    backend = BackendHealth("db", rise=2, fall=3)
    seen = []
    for healthy in (True, True, False, False, True, False, False, False, True, True):
        backend = backend.observe(Observation(healthy), at=1.0, clock=1.0)
        seen.append(backend.healthy)
    assert seen == [None, True, True, True, True, True, True, False, False, True]


def test_the_first_failure_makes_an_unknown_backend_unhealthy() -> None:
    """Nothing is gained by calling a backend unknown whose only check failed."""
    backend = BackendHealth("db", fall=3).observe(Observation(False), at=1.0, clock=1.0)
    assert backend.healthy is False


def test_since_is_the_time_of_the_change() -> None:
    """A check that confirms the state leaves ``since`` alone."""
    backend = BackendHealth("db")
    for at in (10.0, 20.0, 30.0):
        backend = backend.observe(Observation(True), at=at, clock=at)
    assert (backend.since, backend.last_check) == (10.0, 30.0)


@pytest.mark.parametrize(
    ("backend", "word"),
    [
        (BackendHealth("b"), "unknown"),
        (BackendHealth("b", healthy=True, checked=100.0, max_age=5), "healthy"),
        (BackendHealth("b", healthy=False, checked=100.0, max_age=5), "unhealthy"),
        (BackendHealth("b", healthy=True, checked=94.9, max_age=5), "stale"),
        (BackendHealth("b", healthy=False, checked=94.9, max_age=5), "stale"),
        (BackendHealth("b", healthy=True, checked=0.0), "healthy"),
    ],
)
def test_states(backend: BackendHealth, word: str) -> None:
    """A state is healthy or unhealthy while it is fresh, and unknown before any check."""
    assert backend.state(100.0) == word


def test_documents_survive_their_json() -> None:
    """What is written is read back equal, whatever it holds."""
    name = "a\u2028\N{GRINNING FACE}"
    backend = BackendHealth(name, True, 1.0, 2.0, tags=("x",), scope="shared")
    document = Document(
        backends={name: backend},
        events=(Event(1, "a", None, True, 3.0, "e"),),
        verdict=("ready", None),
        sequence=1,
    )
    assert board_file.unseal(board_file.seal(document)) == document


def test_all_processes_see_one_board(store: FileStore) -> None:
    """A second store on the directory, as in another process, sees each write at once."""
    ours, theirs = BackendHealthMap(store), BackendHealthMap(FileStore(store.run_dir, strict=False))
    for healthy in (True, False, True, True, False):
        ours.report("db", healthy)
        assert theirs["db"].healthy is healthy


def test_a_board_that_does_not_change_is_not_read_again(store: FileStore) -> None:
    """Readers get the same object until somebody writes."""
    BackendHealthMap(store).report("db", True)
    reader = FileStore(store.run_dir, strict=False)
    first = reader.read()
    assert reader.read() is first
    BackendHealthMap(store).report("db", True)
    assert reader.read() is not first


def _report_often(run_dir: Path, name: str, times: int) -> None:
    board = BackendHealthMap(FileStore(run_dir, strict=False))
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


SEALED = board_file.seal(Document(backends={"db": BackendHealth("db", True, 1.0, 2.0)}))


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_no_flipped_byte_goes_unnoticed(data: st.DataObject) -> None:
    """A board with random bytes in it, or cut short, is refused and not half believed."""
    content = SEALED
    if data.draw(st.booleans()):
        broken = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        at = data.draw(st.integers(0, len(content) - 1))
        junk = data.draw(st.binary(min_size=1, max_size=20))
        broken = content[:at] + junk + content[at + len(junk) :]
    if broken != content:
        with pytest.raises(ValueError, match=r"."):
            board_file.unseal(broken)


@pytest.mark.parametrize("junk", [b"", b"\0" * 100, b"{}", os.urandom(5000)])
def test_a_damaged_file_is_mended_by_the_next_write(store: FileStore, junk: bytes) -> None:
    """Damage reads as a damaged document; the writer's next report puts all it knew back."""
    board = BackendHealthMap(store)
    board.report("db", True)
    board.report("cache", True)
    board.snapshot()
    Path(store.path).write_bytes(junk)
    reader = FileStore(store.run_dir, strict=False)
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
    reader = FileStore(store.run_dir, strict=False)
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


def test_errors_lose_their_credentials() -> None:
    """A password in an error never reaches the board."""
    board = BackendHealthMap()
    board.report("db", False, error="cannot reach postgres://bob:hunter2@db/x password=hunter2")
    assert board["db"].error == "cannot reach postgres://***@db/x password=***"


def test_errors_lose_what_cannot_be_printed_or_stored() -> None:
    """A backend may write NUL, escapes and halves of characters; no table takes them."""
    board = BackendHealthMap()
    board.report("db", False, error="a\x00b \x1b[31mred\ud800 \u202etxt\r\nsecond line é😀")
    assert board["db"].error == "a?b ?[31mred? ?txt second line é😀"


@pytest.mark.parametrize("part", ["a-", "password", "://", "bearer ", "token=", "'"])
def test_a_long_error_is_looked_into_quickly(part: str) -> None:
    """However long and contrived it is: the prober's loop does this."""
    code = "import sys; from health.redact import scrub; print(len(scrub(sys.argv[1] * 10**6)))"
    done = subprocess.run(
        [sys.executable, "-c", code, part], cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    assert int(done.stdout) <= redact.MAX_TEXT


def test_half_a_secret_at_the_cut_is_not_shown() -> None:
    """Masks shorten a text, so that what stood far behind comes to the front."""
    secret = "s3cr3t-" * 20
    text = secret * (redact.MAX_LOOKED_AT // len(secret)) + secret
    assert "s3cr3t" not in redact.scrub(text + "x" * 100, [secret])

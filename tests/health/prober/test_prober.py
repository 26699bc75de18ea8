"""The prober: what it makes of probes that answer, fail, or never return."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from health.board.health_map import BackendHealthMap
from health.board.stores.file import FileStore
from health.conf.backends import BackendConfig, parse
from health.prober.leader import Prober
from health.prober.schedule import MAX_HUNG
from metrics.registry import REGISTRY
from tests.support.harness import wait_until


def backend(probe: Callable[..., Any], **keys: Any) -> dict[str, BackendConfig]:
    """Return the configuration of one quick backend, db."""
    return parse({"db": {"PROBE": probe, "INTERVAL": 0.1, "TIMEOUT": 0.05, **keys}})


@contextmanager
def probing(
    backends: dict[str, BackendConfig], board: BackendHealthMap | None = None, **keys: Any
) -> Iterator[BackendHealthMap]:
    """Run a prober on a board."""
    board = BackendHealthMap() if board is None else board
    prober = Prober(board, backends, **keys)
    prober.start()
    try:
        yield board
    finally:
        prober.stop()


def test_a_probe_that_returns_makes_its_backend_healthy() -> None:
    """A check that raises nothing is a success, with its latency."""
    with probing(backend(lambda: None)) as board:
        wait_until(lambda: board.is_healthy("db"), "healthy")
        assert board["db"].latency is not None
        assert board["db"].error is None


def test_a_probe_that_raises_makes_its_backend_unhealthy() -> None:
    """What a check raises is the error, without its secrets."""

    def probe(dsn: str) -> None:
        raise ConnectionError(f"no route to {dsn}")

    with probing(backend(probe, OPTIONS={"dsn": "hunter2"})) as board:
        wait_until(lambda: "db" in board and board["db"].healthy is False, "unhealthy")
        assert board["db"].error == "ConnectionError: no route to ***"


def test_what_the_prober_does_is_measured() -> None:
    """Each check's duration and time are in the metrics, and so are checks that hang."""

    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    release = threading.Event()
    backends = parse({"measured": {"PROBE": lambda: None, "INTERVAL": 0.1, "TIMEOUT": 0.05}})
    backends |= parse({"hanging": {"PROBE": release.wait, "INTERVAL": 0.1, "TIMEOUT": 0.05}})
    began = time.time()
    hung = value("sentinel_prober_hung_probes")
    with probing(backends) as board:
        wait_until(lambda: board.is_healthy("measured"), "healthy")
        wait_until(
            lambda: value("sentinel_prober_hung_probes") == hung + MAX_HUNG, "hung checks, counted"
        )
        abandoned = "sentinel_prober_abandoned_probes_total"
        assert value(abandoned, backend="hanging") == MAX_HUNG
        assert value("sentinel_backend_probe_duration_seconds_count", backend="measured") >= 1
        assert value("sentinel_backend_last_probe_timestamp_seconds", backend="measured") >= began
        release.set()
        wait_until(lambda: value("sentinel_prober_hung_probes") == hung, "their return")


def test_intervals_carry_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is up to a tenth shorter or longer, so that many probers do not march in step."""
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    monkeypatch.setattr("health.prober.schedule.random.uniform", uniform)
    with probing(backend(lambda: None)):
        wait_until(lambda: len(asked) >= 3, "three intervals")
    assert set(asked) == {(-0.1, 0.1)}


def test_a_probe_that_hangs_is_given_up_counted_and_bounded() -> None:
    """A check that never returns is a failure at its timeout, round for round, in few threads."""
    release = threading.Event()
    with probing(backend(release.wait)) as board:
        wait_until(lambda: "db" in board and board["db"].consecutive_failures >= 5, "5 failures")
        names = [t.name for t in threading.enumerate()]
        assert names.count("sentinel-probe-db") == MAX_HUNG
        assert board["db"].error == f"{MAX_HUNG} checks have not returned yet"
        release.set()
        wait_until(lambda: board.is_healthy("db"), "healthy once the check returns")


def test_a_hung_probe_holds_up_no_other() -> None:
    """Probes run side by side."""
    release = threading.Event()
    backends = parse(
        {
            "hung": {"PROBE": release.wait, "INTERVAL": 30, "TIMEOUT": 20},
            "well": {"PROBE": lambda: None, "INTERVAL": 0.1, "TIMEOUT": 0.05},
        }
    )
    with probing(backends) as board:
        wait_until(
            lambda: "well" in board and board["well"].consecutive_successes >= 3, "three checks"
        )
        assert board["hung"].healthy is None
        release.set()


class _Mute(Exception):  # noqa: N818 - it is no error's name that matters here
    def __str__(self) -> str:
        raise ValueError("it cannot tell")


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (SystemExit("bye"), "SystemExit: bye"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asyncio.CancelledError(), "CancelledError"),
        (_Mute(), "_Mute"),
    ],
)
def test_whatever_a_probe_raises_is_a_failure_and_no_more(
    raised: BaseException, error: str
) -> None:
    """It ends neither its thread, which others use, nor the loop, time after time."""

    def probe() -> None:
        raise raised

    backends = backend(probe) | parse(
        {"well": {"PROBE": lambda: None, "INTERVAL": 0.1, "TIMEOUT": 0.09}}
    )
    with probing(backends) as board:
        wait_until(lambda: "db" in board and board["db"].consecutive_failures >= 5, "five failures")
        assert board["db"].error == error
        wait_until(lambda: board.is_healthy("well"), "the other")


def test_a_backend_that_is_no_longer_configured_leaves_the_board() -> None:
    """What was probed before and is not now is forgotten; what is reported stays."""
    board = BackendHealthMap()
    with probing(backend(lambda: None), board):
        wait_until(lambda: board.is_healthy("db"), "healthy")
    board.report("reported", True)
    with probing(parse({"other": {"PROBE": lambda: None}}), board):
        wait_until(lambda: board.is_healthy("other"), "healthy")
    assert set(board) == {"other", "reported"}


def test_a_probe_that_cannot_be_made_fails_alone() -> None:
    """A wrong dotted path is that backend's error and stops no other."""
    backends = backend("no.such.Probe")  # type: ignore[arg-type]
    backends |= parse({"well": {"PROBE": lambda: None}})
    with probing(backends) as board:
        wait_until(lambda: board.is_healthy("well"), "healthy")
        wait_until(lambda: board["db"].healthy is False, "unhealthy")
        assert "cannot be imported" in str(board["db"].error)


def test_one_of_two_probes_and_the_other_takes_over(tmp_path: Path) -> None:
    """While one prober holds the lock another stands by, and follows when it ends."""
    stores = [FileStore(tmp_path / "run") for _ in range(2)]
    probers = [
        Prober(BackendHealthMap(s), backend(lambda: None), election=s.election()) for s in stores
    ]
    for prober in probers:
        prober.start()
    try:
        wait_until(lambda: any(p.is_leading for p in probers), "an election")
        time.sleep(0.3)
        assert [p.is_leading for p in probers].count(True) == 1
        leader, other = sorted(probers, key=lambda p: not p.is_leading)
        leader.stop()
        wait_until(lambda: other.is_leading, "a successor")
    finally:
        for prober in probers:
            prober.stop()


def test_a_directory_that_vanishes_ends_the_term(tmp_path: Path) -> None:
    """When the run directory is removed, the prober makes it anew and goes on."""
    import shutil

    store = FileStore(tmp_path / "run")
    board = BackendHealthMap(store)
    with probing(backend(lambda: None), board, election=store.election()):
        wait_until(lambda: board.is_healthy("db"), "healthy")
        shutil.rmtree(tmp_path / "run")
        wait_until(lambda: board.is_healthy("db") and board["db"].probed, "healthy again")


@pytest.mark.parametrize("answer", [None, True, "anything"])
def test_a_callable_may_answer_anything_but_false(answer: object) -> None:
    """Only False, and an exception, is a failure."""
    with probing(backend(lambda: answer)) as board:
        wait_until(lambda: board.is_healthy("db"), "healthy")


def test_a_callable_may_answer_false() -> None:
    """False is a failure that says so."""
    with probing(backend(lambda: False)) as board:
        wait_until(lambda: "db" in board and board["db"].healthy is False, "unhealthy")
        assert board["db"].error == "the check said no"


def test_a_board_that_cannot_be_written_at_first_is_written_later(tmp_path: Path) -> None:
    """A prober that meets a fault gives up its office and tries again, one thread of each kind."""
    run_dir = tmp_path / "run"
    store = FileStore(run_dir)
    store.prepare()
    (run_dir / "health" / "board.new").mkdir()  # writing beside fails
    board = BackendHealthMap(store)
    with probing(backend(lambda: None), board, election=store.election()):
        time.sleep(0.4)
        assert board.is_empty
        (run_dir / "health" / "board.new").rmdir()
        wait_until(lambda: board.is_healthy("db"), "healthy")
        names = [t.name for t in threading.enumerate()]
        assert names.count("sentinel-publisher") == 1

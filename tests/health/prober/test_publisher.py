"""Results on their way from the probes to the board, and to the file of results."""

from __future__ import annotations

from pathlib import Path

import pytest

from health.board.health_map import BackendHealthMap
from health.core.backend import Observation
from health.core.document import Document
from health.prober.publisher import Publisher
from health.results.ring import Ring, read
from tests.support.harness import wait_until


def same(document: Document) -> Document:
    """Change nothing."""
    return document


def publisher(board: BackendHealthMap, results: Ring) -> Publisher:
    """Return a publisher of a prober that was elected for good."""
    return Publisher(
        board,
        board.election(),
        renew_seconds=3600,
        published=lambda _: None,
        lost=lambda: None,
        prepare=same,
        finish=same,
        results=results,
    )


def test_each_result_is_kept(board: BackendHealthMap, tmp_path: Path) -> None:
    """Every check is there by itself, with its latency; the board has the last."""
    running = publisher(board, Ring(tmp_path))
    running.start()
    for number in range(3):
        running.put("b", Observation(number != 1, number / 4))
        wait_until(lambda n=number: len(read_or_nothing(tmp_path)) > n, "the result")
    running.stop(5)
    kept = read(tmp_path, ["b"])["b"]
    assert [(one.healthy, one.latency) for one in kept] == [(True, 0), (False, 0.25), (True, 0.5)]
    assert board["b"].latency == 0.5


def read_or_nothing(directory: Path) -> list[object]:
    """Return what was kept of the backend so far."""
    try:
        return list(read(directory, ["b"])["b"])
    except FileNotFoundError:
        return []


def test_full_disk(
    board: BackendHealthMap, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without space for the results the board still gets them, and the log says so once."""
    running = publisher(board, Ring(small_disk))  # which needs more than there is
    running.start()
    for healthy in (True, False, True):
        running.put("b", Observation(healthy))
        wait_until(
            lambda h=healthy: "b" in board and (board["b"].consecutive_successes > 0) is h,
            "the board",
        )
    running.stop(5)
    told = [one for one in caplog.messages if "cannot keep the probes' results" in one]
    assert len(told) == 1
    assert "No space left on device" in told[0]

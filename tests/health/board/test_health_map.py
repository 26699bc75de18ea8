"""The map of backends: what reports make of it."""

from __future__ import annotations

from typing import Any

import pytest

from health.board import BOARD
from health.board.health_map import BackendHealthMap
from health.core.backend import BackendHealth, Observation


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

"""What is made of the lanes: conditions of workers, life and death of the application."""

from __future__ import annotations

import math
from typing import Any

import pytest

from health.application.workers import Condition, condition_of
from tests.health.application.workers_to_judge import NOW, application, worker


@pytest.mark.parametrize(
    ("changes", "stuck_seconds", "expected"),
    [
        ({}, 300.0, Condition.IDLE),
        ({"alive": False}, 300.0, Condition.DEAD),
        ({"alive": False, "in_progress": 4}, 300.0, Condition.DEAD),
        ({"alive": False, "pid": 0}, 300.0, Condition.LEFT),
        ({"in_progress": 1}, 300.0, Condition.BUSY),
        ({"in_progress": 3, "last_active": NOW - 400}, 300.0, Condition.BUSY),
        ({"in_progress": 4}, 300.0, Condition.SATURATED),
        ({"in_progress": 9}, 300.0, Condition.SATURATED),
        ({"in_progress": 4, "last_active": NOW - 301}, 300.0, Condition.STUCK),
        ({"in_progress": 4, "last_active": NOW - 301}, None, Condition.SATURATED),
        # a file that the kernel sends: whether it does cannot be seen
        ({"in_progress": 4, "last_active": math.inf}, 300.0, Condition.SATURATED),
        # a process that no hook announced: how much it takes is not known
        ({"in_progress": 9, "capacity": 0, "last_active": NOW - 400}, 300.0, Condition.BUSY),
    ],
)
def test_condition_of_a_worker(
    changes: dict[str, Any], stuck_seconds: float | None, expected: Condition
) -> None:
    """Requests in progress against what it takes at once, and how long nothing moved."""
    assert condition_of(worker(**changes), NOW, stuck_seconds) is expected


@pytest.mark.parametrize(
    ("conditions", "trouble", "saturated"),
    [
        ([], "application not started", False),
        ([Condition.DEAD, Condition.DEAD], "no application worker alive", False),
        ([Condition.DEAD, Condition.IDLE], None, False),
        ([Condition.SATURATED, Condition.BUSY], None, False),
        ([Condition.SATURATED, Condition.DEAD], None, True),
        ([Condition.STUCK, Condition.SATURATED], None, True),
        ([Condition.STUCK, Condition.STUCK, Condition.DEAD], "all application workers stuck", True),
    ],
)
def test_life_and_death_of_the_application(
    conditions: list[Condition], trouble: str | None, saturated: bool
) -> None:
    """One worker that is alive and not stuck is life; being saturated is not death."""
    observed = application(*conditions)
    assert (observed.trouble, observed.is_saturated) == (trouble, saturated)


def test_dead_workers_have_no_requests() -> None:
    """What a killed worker was doing when it died is not in progress any more."""
    observed = application(Condition.DEAD, Condition.DEAD, Condition.BUSY)
    assert observed.requests_in_progress == 1
    assert observed.oldest_request_seconds == 7.0
    assert application(Condition.DEAD).oldest_request_seconds == 0.0

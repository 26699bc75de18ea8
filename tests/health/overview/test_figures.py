"""The verdict's arithmetic, and what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from health.board import BOARD
from health.overview.figures import SHOWN, arithmetic, overview
from health.readiness import drain
from health.readiness.assessment import assess


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    BOARD.clear()
    yield
    drain.unmark()
    BOARD.clear()


def test_arithmetic(settings: Any) -> None:
    """It says how many are healthy, how many have to be, and what decides."""
    settings.SENTINEL_BACKENDS = {}
    BOARD.report("a", True)
    BOARD.report("b", False)
    BOARD.report("c", False)
    assert arithmetic(assess()) == "1 of 3 backends is healthy; one is enough"
    settings.SENTINEL_READINESS = "all"
    assert arithmetic(assess()) == "1 of 3 backends is healthy; all have to be"
    settings.SENTINEL_READINESS = "critical"
    assert arithmetic(assess()) == "0 of 0 critical backends are healthy; all of these have to be"
    drain.mark()
    assert arithmetic(assess()).startswith("this host is marked as draining")


def test_problems(settings: Any) -> None:
    """Each backend that is not healthy is named, and the verdict if it is not ready."""
    settings.SENTINEL_BACKENDS = {}
    BOARD.report("well", True)
    found = overview()
    assert not [line for line in found["problems"] if "backend" in line]
    BOARD.report("well", False)
    BOARD.report("ill", False)
    lines = overview()["problems"]
    assert lines[0].startswith("the service is not ready: 0 of 2 backends are healthy")
    assert lines[1].startswith("backend ill is unhealthy for ")
    assert lines[2].startswith("backend well is unhealthy for ")


def test_many_backends(settings: Any) -> None:
    """All that are not healthy are shown, and some of the others; or all."""
    settings.SENTINEL_BACKENDS = {}
    for number in range(30):
        BOARD.report(f"b{number:02}", number < 20)
    (table,) = [one for one in overview()["tables"] if one["name"] == "backends"]
    names = [row[0]["text"] for row in table["rows"]]
    assert names == [f"b{number}" for number in range(20, 30)]
    assert (table["note"], table["more"]) == ("20 more, all of them healthy.", 20)
    (table,) = [
        one
        for one in overview(everything=["backends"])["tables"]
        if one["more"] == 0 and one["name"] == "backends"
    ]
    assert len(table["rows"]) == 30
    assert SHOWN == 10


def test_without_a_history(settings: Any) -> None:
    """The page says why there are no rates, and all else is there."""
    found = overview()
    assert "no rates and charts: SENTINEL_RUN_DIR is None" in found["problems"]
    assert found["charts"] == {}
    settings.SENTINEL_HISTORY = False
    assert "no rates and charts: SENTINEL_HISTORY is False" in overview()["problems"]
    json.dumps(found)

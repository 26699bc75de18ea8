"""The shared store against prometheus_client's multi-process mode."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from benchmarks.case import Case

ROUNDS = 3
"""Each side is measured so often, in turn, so that a machine that changes its speed
changes it for both."""


def run() -> list[Case]:
    """Measure all cases."""
    cases = [
        _compare("record_request, success", "record-success", "us", 0.6e-6, 8),
        _compare("record_request, error", "record-error", "us", 0.8e-6, 8),
        _compare("Counter.inc", "inc", "us", 0.35e-6, 2.5),
        _compare("scrape, 8 processes x 100 tools", "scrape-100", "ms", 2e-3, 25),
        _compare("scrape, 8 processes x 1,000 tools", "scrape-1000", "ms", 25e-3, 30, rounds=1),
        _compare("scrape, 100 processes gone", "scrape-100-after-100", "ms", None, 200, rounds=1),
    ]
    without, after = _in_turn(["ours scrape-100", "ours scrape-100-after-1000"], ROUNDS)
    cases.append(Case("scrape, 1,000 processes gone", after, None, "ms", 1.1 * without))
    return [
        *cases,
        _compare("first scrape of a process, 1,000 tools", "first-1000", "ms", 150e-3, 5, rounds=1),
        _compare("first inc of a new series", "touch", "us", 60e-6, None),
        _compare("memory, 10,000 series", "memory", "MiB", None, None),
    ]


def _compare(
    name: str,
    measurement: str,
    unit: str,
    goal: float | None,
    goal_ratio: float | None,
    rounds: int = ROUNDS,
) -> Case:
    ours, peer = _in_turn([f"ours {measurement}", f"peer {measurement}"], rounds)
    return Case(name, ours, peer, unit, goal, goal_ratio)


def _in_turn(sides: list[str], rounds: int) -> list[float]:
    figures: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for of, side in zip(figures, sides, strict=True):
            of.append(_measure(side))
    return [statistics.median(of) for of in figures]


def _measure(side: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.store_side", *side.split()],
        check=True,
        stdout=subprocess.PIPE,
        timeout=600,
    )
    return float(json.loads(done.stdout))

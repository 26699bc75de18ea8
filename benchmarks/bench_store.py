"""The shared store against prometheus_client's multi-process mode."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from contextlib import ExitStack

from benchmarks.case import Case

ROUNDS = 3
"""Each side is measured so often, in turn, so that a machine that changes its speed
changes it for both."""

STEPS = 101
"""How often two sides are measured that must not be far apart."""


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
    without, after = _step_by_step("ours scrape-100", "ours scrape-100-after-1000")
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
    done = subprocess.run(_command(side), check=True, stdout=subprocess.PIPE, timeout=600)
    return float(json.loads(done.stdout))


def _step_by_step(*sides: str) -> list[float]:
    """Return the medians of sides whose single scrapes alternate.

    Two figures of which one may be a tenth above the other cannot be told apart where
    one is taken a minute after the other.
    """
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen(
                    [*_command(side), "--steps"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for side in sides
        ]
        figures: list[list[float]] = [[] for _ in running]
        for _ in range(STEPS):
            for of, process in zip(figures, running, strict=True):
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                of.append(float(process.stdout.readline()))
    return [statistics.median(of) for of in figures]


def _command(side: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.store_side", *side.split()]

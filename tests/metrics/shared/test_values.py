"""What may interrupt a write, and what is lost then: nothing."""

from __future__ import annotations

import dis
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metrics.registry import Metrics
from metrics.shared.values import ATOMIC, GaugeValue, Value
from tests.metrics.shared.programs import interrupted
from tests.support.store_peers import call

# Nothing among these lets another thread, a signal handler or a finaliser in.
STRAIGHT = {
    "BINARY_OP", "BINARY_SUBSCR", "CACHE", "COPY", "EXTENDED_ARG", "LOAD_ATTR", "LOAD_CONST",
    "LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_FAST_BORROW_LOAD_FAST_BORROW", "LOAD_FAST_LOAD_FAST",
    "LOAD_SMALL_INT", "NOP", "NOT_TAKEN", "POP_JUMP_FORWARD_IF_NONE", "POP_JUMP_IF_NONE",
    "STORE_FAST", "STORE_FAST_LOAD_FAST", "STORE_SUBSCR", "SWAP",
}  # fmt: skip


def _adds(function: Callable[..., Any]) -> list[list[str]]:
    """Return, for each ``cells[i] += x``, the instructions from its ``cells`` to its store."""
    steps = list(dis.get_instructions(function))
    found: list[list[str]] = []
    begin = 0
    for at, step in enumerate(steps):
        if step.argval in ("cells", "store") or "cells" in str(step.argval):
            begin = at
        if step.opname == "STORE_SUBSCR":
            span = steps[begin : at + 1]
            if any(s.opname == "BINARY_OP" and s.argrepr == "+=" for s in span):
                found.append([s.opname for s in span])
    return found


@pytest.mark.skipif(not ATOMIC, reason="this Python has no global lock; the store takes its own")
@pytest.mark.parametrize(
    ("function", "adds"), [(Value.inc, 1), (GaugeValue.inc, 1), (Metrics.record_request, 4)]
)
def test_nothing_interrupts_an_addition(function: Callable[..., Any], adds: int) -> None:
    """Between the read and the store of a cell no other thread or signal handler can come."""
    found = _adds(function)
    assert len(found) == adds
    for names in found:
        assert set(names) <= STRAIGHT, names


@pytest.mark.skipif(not ATOMIC, reason="this Python has no global lock; the store takes its own")
def test_nothing_interrupts_a_request_half_recorded() -> None:
    """All cells of a request are written without a break, so that a scrape sees all or none."""
    steps = list(dis.get_instructions(Metrics.record_request))
    stores = [at for at, step in enumerate(steps) if step.opname == "STORE_SUBSCR"]
    begin = max(
        at
        for at, s in enumerate(steps[: stores[0]])
        if s.argval == "cells" and s.opname == "LOAD_ATTR"
    )
    names = {step.opname for step in steps[begin : stores[-1] + 1]}
    assert names <= STRAIGHT | {"LOAD_GLOBAL", "RETURN_CONST", "RETURN_VALUE"}


def test_storm_of_threads_and_signals(tmp_path: Path) -> None:
    """Threads that switch at every chance, and signals in between, lose not one count."""
    run_dir = tmp_path / "run"
    done, handled, found = call(run_dir, interrupted.count_in_threads_and_handlers)
    assert done > 1000
    assert handled > 50
    total = float(done + handled)
    assert found['c_total{l="a"}'] == total
    assert sum(n for line, n in found.items() if 'l="handler' in line) == handled
    assert found["g"] == done * 0.5 + handled * 2
    assert found["h_count"] == found['h_bucket{le="1.0"}'] == found["h_sum"] == total
    assert found['sentinel_requests_total{tool="t",status="error"}'] == total
    assert found['sentinel_errors_total{tool="t",error_type="error"}'] == total
    assert found['sentinel_request_duration_seconds_count{tool="t"}'] == total
    assert found['sentinel_request_duration_seconds_sum{tool="t"}'] == total / 2


@pytest.mark.parametrize("kind", ["handler", "finaliser"])
def test_a_handler_in_the_store_and_a_thread_that_waits_for_it(tmp_path: Path, kind: str) -> None:
    """One wants the lock of a metric, whose owner wants the store's: both get on."""
    found = call(tmp_path / "run", interrupted.wait_for_each_other, kind)
    assert {found[f'c_total{{l="{label}"}}'] for label in "ac"} == {1.0}
    assert found['c_total{l="b"}'] == 4.0
    assert found['h_count{l="b"}'] == 3.0


def test_handlers_and_finalisers_inside_the_slow_path(tmp_path: Path) -> None:
    """What records while a series is being made, or a lane taken, neither hangs nor is lost."""
    run_dir = tmp_path / "run"
    inside, found, homeless, fast, log = call(run_dir, interrupted.record_inside_the_slow_path)
    assert inside == 100
    assert found['c_total{l="a"}'] == 20.0 + inside
    assert [found[f'c_total{{l="new {i}"}}'] for i in range(1, inside + 1)] == [1.0] * inside
    assert [found[f'h_count{{l="new {i}"}}'] for i in range(1, inside + 1)] == [1.0] * inside
    assert [found[f'h_count{{l="{i}"}}'] for i in range(20)] == [1.0] * 20
    errors = [n for line, n in found.items() if line.startswith("sentinel_errors_total")]
    counts = [n for line, n in found.items() if "duration_seconds_count" in line]
    assert sum(errors) == sum(counts) == inside
    assert (homeless, fast, log) == (False, True, [])

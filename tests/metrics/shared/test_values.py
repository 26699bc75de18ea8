"""What may interrupt a write, and what is lost then: nothing."""

from __future__ import annotations

import dis
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metrics.registry import Metrics
from metrics.shared.values import ATOMIC, GaugeValue, Value
from tests.support.store_peers import run

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
    code = """
    from metrics.registry import METRICS
    sys.setswitchinterval(1e-6)
    c = counter("c", ["l"]); g = gauge("sum"); h = Histogram("h", "help", registry=SHARED)
    child = c.labels("a")
    handled = [0]
    inside = []
    def handler(number, frame):
        if inside:
            return
        inside.append(1)
        child.inc(); g.inc(2); h.observe(1); METRICS.record_request("t", "error", 0.5)
        c.labels("handler" + str(handled[0] % 50)).inc()
        handled[0] += 1
        inside.pop()
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    end = time.monotonic() + 2
    done = [0] * 4
    def work(number):
        count = 0
        while time.monotonic() < end:
            for _ in range(50):
                child.inc(); g.inc(1); g.dec(0.5); h.observe(1)
                METRICS.record_request("t", "error", 0.5)
                count += 1
            c.labels(str(count % 100)).inc(0)
        done[number] = count
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads: t.start()
    while time.monotonic() < end:
        child.inc(0)
    for t in threads: t.join()
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(json.dumps([sum(done), handled[0], scrape()]))
    """
    done, handled, found = run(tmp_path / "run", code)
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
    code = """
    c = counter("c", ["l"]); child = c.labels("a")
    h = Histogram("h", "help", ["l"], registry=SHARED)
    inside = threading.Event(); at = threading.Event()
    def other():
        inside.wait(); at.set()
        c.labels("b").inc(); h.labels("b").observe(1)
    thread = threading.Thread(target=other); thread.start()
    def intrude(*args):
        inside.set(); at.wait()
        deadline = time.monotonic() + 30
        while c._lock._lock.acquire(blocking=False):  # until the thread has it, and waits for us
            c._lock._lock.release()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        c.labels("c").inc(); c.labels("b").inc(2); h.labels("b").observe(1)
    class Finalised:
        def __del__(self):
            intrude()
    signal.signal(signal.SIGALRM, intrude)
    take = store._take_lane
    def slow():
        store._take_lane = take
        signal.raise_signal(signal.SIGALRM) if KIND == "handler" else Finalised()
        take()
    store._take_lane = slow
    child.inc(); thread.join()
    c.labels("b").inc(); h.labels("b").observe(1)
    print(json.dumps(scrape()))
    """
    found = run(tmp_path / "run", code.replace("KIND", repr(kind)))
    assert {found[f'c_total{{l="{label}"}}'] for label in "ac"} == {1.0}
    assert found['c_total{l="b"}'] == 4.0
    assert found['h_count{l="b"}'] == 3.0


def test_handlers_and_finalisers_inside_the_slow_path(tmp_path: Path) -> None:
    """What records while a series is being made, or a lane taken, neither hangs nor is lost."""
    code = """
    from metrics.registry import METRICS
    from metrics.shared.files import index
    from metrics.system import flock
    c = counter("c", ["l"]); h = Histogram("h", "help", ["l"], registry=SHARED)
    inside = [0]; depth = [0]
    def intrude():
        if depth[0] or inside[0] == 100:
            return
        depth[0] += 1
        inside[0] += 1
        c.labels("a").inc(); c.labels(f"new {inside[0]}").inc()
        h.labels(f"new {inside[0]}").observe(1)
        METRICS.record_request(f"tool {inside[0] % 7}", "error", 0.5)
        store.snapshot()
        depth[0] -= 1
    class OS:
        def __getattr__(self, name):
            if name in ("pwrite", "fstat", "ftruncate", "pread", "stat"):
                intrude()
            return getattr(os, name)
    index.os = OS(); flock.os = OS()
    for i in range(20):
        c.labels("a").inc(); c.labels(str(i)).inc(); h.labels(str(i)).observe(1)
    index.os = flock.os = os
    print(json.dumps([inside[0], scrape(), store._table.homeless, len(store.cells) > 0, LOG]))
    """
    inside, found, homeless, fast, log = run(tmp_path / "run", code)
    assert inside == 100
    assert found['c_total{l="a"}'] == 20.0 + inside
    assert [found[f'c_total{{l="new {i}"}}'] for i in range(1, inside + 1)] == [1.0] * inside
    assert [found[f'h_count{{l="new {i}"}}'] for i in range(1, inside + 1)] == [1.0] * inside
    assert [found[f'h_count{{l="{i}"}}'] for i in range(20)] == [1.0] * 20
    errors = [n for line, n in found.items() if line.startswith("sentinel_errors_total")]
    counts = [n for line, n in found.items() if "duration_seconds_count" in line]
    assert sum(errors) == sum(counts) == inside
    assert (homeless, fast, log) == (False, True, [])

"""The store's parts by themselves: what may interrupt a write, and exact values read."""

from __future__ import annotations

import dis
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from metrics.registry import Metrics
from metrics.shared import Snapshot, Store
from metrics.shared.errors import REASONS, RecordTooLargeError, reason_of
from metrics.shared.files.catalog import FamilyKey, FamilyRecord
from metrics.shared.files.directory import Directory
from metrics.shared.files.index_records import MAX_PAYLOAD, pack_record
from metrics.shared.files.lanes import FIRST_CELLS, HEADER_SIZE, SPARE_CELLS, size_for
from metrics.shared.gauges import gauge_entries, merge_gauge
from metrics.shared.reading.reader import OwnMemory, Reader
from metrics.shared.values import ATOMIC, GaugeValue, Value
from tests.support.store_peers import figures, run

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


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store under nobody's metrics."""
    return Store(tmp_path / "run")


def _value(store: Store, name: str, labels: Sequence[str] = ()) -> Value:
    key = FamilyKey(name, "counter", "", tuple(f"l{i}" for i in range(len(labels))), ())
    return store.series(key, tuple(labels), f"help of {name}")[0]


def test_snapshot_of_a_new_directory(store: Store, tmp_path: Path) -> None:
    """Reading what is not there shows no figures but the store's own, and creates nothing."""
    snapshot = store.snapshot()
    assert [family.name for family in snapshot.layout.families] == ["sentinel_store_faults"]
    assert list(snapshot.values) == [0.0] * len(REASONS)
    assert snapshot.left_out == ()
    assert store.workers() == []
    assert not (tmp_path / "run").exists()


def test_layout_stays_the_same_object_while_lines_do(store: Store) -> None:
    """The layout is new only when a line came or went, and values follow its order."""
    one = _value(store, "b", ["x"])
    one.inc(1.5)
    first = store.snapshot()
    one.inc(1)
    second = store.snapshot()
    assert second.layout is first.layout
    assert figures(second) == {'b_total{l0="x"}': 2.5}
    _value(store, "a").inc(1)
    third = store.snapshot()
    assert third.layout is not first.layout
    assert [f.name for f in third.layout.families] == ["a", "b", "sentinel_store_faults"]
    assert figures(third) == {'b_total{l0="x"}': 2.5, "a_total": 1.0}


@pytest.mark.parametrize("amount", [5e-324, 0.1, 1e308, 2.0**53])
def test_values_are_read_bit_by_bit(store: Store, amount: float) -> None:
    """Every double that a counter may hold comes out as it went in."""
    _value(store, "c").inc(amount)
    assert figures(store.snapshot()) == {"c_total": amount}


def test_lanes_grow_without_losing_a_value(store: Store, tmp_path: Path) -> None:
    """Series beyond a lane's first size make it longer, and all values stay."""
    values = [_value(store, "c", [str(i)]) for i in range(2000)]
    for number, value in enumerate(values):
        value.inc(number)
    assert figures(store.snapshot()) == {f'c_total{{l0="{i}"}}': float(i) for i in range(2000)}
    assert (tmp_path / "run" / "lane-0").stat().st_size == size_for(2000)


@pytest.mark.parametrize("cells", [0, 1, FIRST_CELLS, 1532, 1533, 1536, 131_000, 200_000])
def test_lane_sizes_hold_what_they_are_for(cells: int) -> None:
    """A lane of the size for some cells has room for them and the spare ones."""
    assert (size_for(cells) - HEADER_SIZE) // 8 >= cells + SPARE_CELLS
    assert size_for(cells) % 4096 == 0


def test_gauge_at_the_very_end_of_a_lane_that_cannot_grow(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gauge half of whose cells would fit into the lane counts wholly in memory."""
    from metrics.system import flock

    fill = (size_for(0) - HEADER_SIZE) // 8
    for number in range(fill - 5):
        _value(store, "c", [str(number)]).inc(1)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(flock, "allocate", full)
    key = FamilyKey("g", "gauge", "max", ("l",), ())
    for number in range(4):
        store.series(key, (str(number),), "help")[0].set(number + 7)
    found = figures(store.snapshot())
    assert [found[f'g{{l="{i}"}}'] for i in range(4)] == [7.0, 8.0, 9.0, 10.0]
    monkeypatch.undo()
    store._hold.try_at_once()
    found = figures(store.snapshot())
    assert [found[f'g{{l="{i}"}}'] for i in range(4)] == [7.0, 8.0, 9.0, 10.0]
    assert store._hold.memory == {}


@pytest.mark.parametrize(
    ("mode", "entries", "merged"),
    [
        ("min", [(3.0, 1.0), (-2.0, 2.0), (-9.0, 0.0)], -2.0),
        ("max", [(3.0, 1.0), (-2.0, 2.0), (9.0, 0.0)], 3.0),
        ("sum", [(3.0, 1.0), (-2.0, 2.0), (9.0, 0.0)], 1.0),
        ("sum", [(math.inf, 1.0), (-math.inf, 2.0)], math.nan),
        ("sum", [(1e308, 1.0), (1e308, 2.0)], math.inf),
        ("mostrecent", [(3.0, 1.0), (-2.0, 2.0), (9.0, 0.0)], -2.0),
        ("livemostrecent", [(3.0, 5.0), (-2.0, 2.0)], 3.0),
        ("livesum", [], 0.0),
    ],
)
def test_merging_gauges(mode: str, entries: list[tuple[float, float]], merged: float) -> None:
    """Values that were never set do not count; all others merge as the mode says."""
    found = merge_gauge(mode, entries)
    assert found == merged or (math.isnan(found) and math.isnan(merged))


def test_gauge_entries_of_the_living_and_the_dead() -> None:
    """A live gauge of a dead process is left out, and what was set before a removal is."""
    images = {0: [1.0, 10.0, 5.0, 9.0], 1: [2.0, 20.0, 0.0, 0.0], 2: [3.0, 0.0, 4.0, 30.0]}
    keeps = FamilyRecord(1, FamilyKey("g", "gauge", "sum", (), ()), "")
    live = FamilyRecord(1, FamilyKey("g", "gauge", "livesum", (), ()), "")
    assert gauge_entries(keeps, [0], images, {1}, 0.0) == (
        {0: 1.0, 1: 2.0},
        [(1.0, 10.0), (5.0, 9.0), (2.0, 20.0), (4.0, 30.0)],
    )
    assert gauge_entries(keeps, [0], images, {1}, 10.0) == ({1: 2.0}, [(2.0, 20.0), (4.0, 30.0)])
    assert gauge_entries(live, [0], images, {1}, 0.0) == ({1: 2.0}, [(2.0, 20.0)])


def test_index_is_read_by_others_record_by_record(tmp_path: Path) -> None:
    """Two open indexes give one series one cell, and cells never overlap."""
    one, two = Directory(str(tmp_path)), Directory(str(tmp_path))
    histogram = FamilyKey("h", "histogram", "", ("l",), ("1.0", "2.0", "+Inf"))
    gauge = FamilyKey("g", "gauge", "all", ("l",), ())
    cells: dict[tuple[str, str], int] = {}
    for number in range(50):
        for files, key in ((one, histogram), (two, gauge), (two, histogram)):
            with files.index.appending() as appender:
                family = appender.family(key, "help")
                cell = appender.series(family, (str(number),))
            assert cells.setdefault((key.name, str(number)), cell) == cell
    ends = sorted((cell, cell + 4) for cell in cells.values())
    assert all(end <= begin for (_, end), (begin, _) in pairwise(ends))
    assert ends[0][0] == 0
    three = Directory(str(tmp_path))
    three.index.refresh()
    assert [f.key for f in three.index.catalog.by_key.values()] == [histogram, gauge]
    assert {f.key.name: f.series for f in three.index.catalog.by_key.values()} == {
        name: {(str(i),): cells[name, str(i)] for i in range(50)} for name in "hg"
    }
    for files in (one, two, three):
        assert files.index.left_out() == []
        files.close()


def test_record_that_is_too_large_is_refused() -> None:
    """A record beyond what a reader takes is never written."""
    assert len(pack_record(2, 0, b"x" * MAX_PAYLOAD)) == MAX_PAYLOAD + 16
    with pytest.raises(RecordTooLargeError, match="262145 bytes; 262144 fit"):
        pack_record(2, 0, b"x" * (MAX_PAYLOAD + 1))


def test_every_fault_has_a_reason() -> None:
    """Each fault is counted under one of the words that the store exports."""
    from metrics.system.run_dir import RunDirError

    for error, reason in (
        (OSError(28, "x"), "no_space"),
        (PermissionError(13, "x"), "no_permission"),
        (FileNotFoundError(2, "x"), "no_directory"),
        (RunDirError("x"), "no_permission"),
        (RecordTooLargeError("x"), "record_too_large"),
        (ValueError("x"), "other"),
    ):
        assert reason_of(error) == reason
        assert reason in REASONS


def test_negative_infinite_and_nan_counts_are_left_out(store: Store, tmp_path: Path) -> None:
    """A cell that no counter can hold is named, and the rest of the lane counts."""
    bad, good = _value(store, "bad"), _value(store, "good")
    bad.inc(1)
    good.inc(2)
    for amount in (-5.0, math.nan, math.inf):
        bad.set(amount)
        snapshot = store.snapshot()
        assert figures(snapshot) == {"bad_total": 0.0, "good_total": 2.0}
        assert snapshot.left_out == (f"lane-0: cell 0 holds {amount!r}",)


def test_sums_may_be_negative(store: Store) -> None:
    """A summary's sum of negative observations is a figure like another."""
    key = FamilyKey("s", "summary", "", (), ())
    count, total = store.series(key, (), "help")
    count.inc(2)
    total.inc(-7.5)
    snapshot = store.snapshot()
    assert figures(snapshot) == {"s_count": 2.0, "s_sum": -7.5}
    assert snapshot.left_out == ()


def test_reader_alone_takes_no_lane(store: Store, tmp_path: Path) -> None:
    """A process that only reads leaves no trace among the workers."""
    _value(store, "c").inc(1)
    other = Store(tmp_path / "run")
    assert figures(other.snapshot()) == {"c_total": 1.0}
    assert [worker.number for worker in other.workers()] == [0]
    files = Directory(str(tmp_path / "run"))
    files.index.refresh()
    plain = Reader().snapshot(str(tmp_path / "run"), files, OwnMemory({}, [], {}))
    assert figures(plain) == {"c_total": 1.0}
    files.close()
    other.claim()
    assert [worker.number for worker in store.workers()] == [0, 1]


def test_a_scrape_that_cannot_be_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault while the lanes are read gives an empty snapshot that says so, and no error."""
    store = Store(tmp_path / "run")

    def broken(*args: object) -> None:
        raise RuntimeError("dictionary changed size during iteration")

    monkeypatch.setattr(store._reader, "snapshot", broken)
    snapshot = store.snapshot()
    assert snapshot.values == ()
    assert snapshot.left_out == ("the shared store: see the log",)


def test_a_series_made_while_a_scrape_is_read_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finaliser that makes a series while all are gone through enters it in the index later."""
    store = Store(tmp_path / "run")
    key = FamilyKey("c", "counter", "", ("l",), ())
    store.series(key, ("one",), "help")[0].inc(1)
    read = store._reader.snapshot

    def interrupted(*args: Any) -> Snapshot:
        store.series(key, ("two",), "help")[0].inc(2)
        return read(*args)

    monkeypatch.setattr(store._reader, "snapshot", interrupted)
    assert "two" not in str(store.snapshot().layout)
    monkeypatch.undo()
    snapshot = store.snapshot()
    assert [value for value in snapshot.values if value] == [1.0, 2.0]

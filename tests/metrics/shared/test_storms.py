"""Many processes at once, short lives, kills, forks: what the store says of sharing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.metrics.shared.programs import storms
from tests.support.store_peers import Peer, call


def test_storm_of_processes_that_start_at_once(store_dir: Path) -> None:
    """64 processes that begin together: no lane twice, no series with two cells, exact totals."""
    lines, alive, found, after = call(store_dir, storms.start_at_once)
    numbers = [number for number, _waited in lines]
    print(f"{sum(waited for _number, waited in lines)} had to wait for longer than a lock may take")
    assert len(set(numbers)) == len(numbers) == alive == 64
    found = {line: value for line, value in found.items() if "store_faults" not in line}
    series = call(store_dir, storms.all_cells)
    assert sorted(series) == ["c", "h"]
    assert all(len(cells) == 1 for of in series.values() for cells in of.values())
    taken = [
        cell + place
        for name, width in (("c", 1), ("h", 3))
        for cells in series[name].values()
        for cell in cells
        for place in range(width)
    ]
    assert len(set(taken)) == len(taken)
    assert [found[f'c_total{{l="{i}"}}'] for i in range(20)] == [64.0] * 20
    assert [found[f'h_count{{l="{i}"}}'] for i in range(20)] == [64.0] * 20
    assert [found[f'c_total{{l="own {i}"}}'] for i in range(64)] == [i + 1.0 for i in range(64)]
    assert found.items() <= after.items()
    assert len(list(store_dir.glob("lane-*"))) == 64


def test_files_stay_bounded_by_the_processes_alive_at_once(store_dir: Path) -> None:
    """After 300 short lives, at most 5 at once, there are 5 lanes, and every count."""
    found = call(store_dir, storms.live_briefly)
    assert found == {f'c_total{{l="{i}"}}': 30.0 for i in range(10)} | {'c_total{l="a"}': 300.0}
    assert len(list(store_dir.glob("lane-*"))) <= 5
    assert len(list(store_dir.iterdir())) <= 7


def test_kills_at_random_under_load(store_dir: Path) -> None:
    """Each SIGKILL costs at most the one count that was under way, and totals never fall."""
    kills, known, total, fell, lanes, left_out = call(store_dir, storms.kill_at_random)
    assert kills > 30
    assert known > 10_000
    assert 0 <= total - known <= kills
    assert fell == []
    assert lanes <= 9
    # Half a record of one that was killed may stand there until the next series.
    assert all(why.startswith("index: ") for why in left_out)


def test_fork_of_a_process_that_counts_in_threads(store_dir: Path) -> None:
    """Children of a process whose threads count, and make series, neither hang nor miscount."""
    hung, counted, found, files = call(store_dir, storms.fork_beside_threads)
    assert hung == 0
    assert [found[f'c_total{{l="child {i}"}}'] for i in range(5)] == [60.0] * 5
    own = sum(n for line, n in found.items() if line.startswith("c_total") and "child" not in line)
    assert own == counted
    assert sum(n for line, n in found.items() if line.startswith("h_count")) == counted + 300
    requests = [n for line, n in found.items() if line.startswith("sentinel_requests_total")]
    assert sum(requests) == counted + 300 + 1
    assert files <= 2 + 2


def test_child_does_not_keep_its_parents_lane(store_dir: Path) -> None:
    """A dead parent's lane is free though its child lives, and the child's is another."""
    with Peer(store_dir) as parent:
        parent.run("from tests.metrics.shared.programs import storms")
        child = parent.get("storms.leave_a_child(process)")
        with Peer(store_dir) as other:
            assert other.scrape() == {
                "c_total": 2.0,
                'g{worker="0"}': 5.0,
                'g{worker="1"}': 7.0,
            }
            parent.kill()
            assert other.scrape() == {"c_total": 2.0, 'g{worker="1"}': 7.0}
            alive = other.get("[[w.number, w.pid, w.alive] for w in store.workers()]")
            assert alive == [[0, parent.pid, False], [1, child, True]]
            os.kill(child, signal.SIGKILL)


VERSIONS = {
    "labels": (
        "c = Counter('m', 'old', ['a'], registry=SHARED); c.labels('x').inc(1)",
        "c = Counter('m', 'new', ['a', 'b'], registry=SHARED); c.labels('x', 'y').inc(2)",
        {'m_total{a="x"}': 1.0, 'm_total{a="x",b="y"}': 2.0},
    ),
    "order of labels": (
        "c = Counter('m', 'old', ['a', 'b'], registry=SHARED); c.labels('x', 'y').inc(1)",
        "c = Counter('m', 'new', ['b', 'a'], registry=SHARED); c.labels('y', 'x').inc(2)",
        {'m_total{b="y",a="x"}': 3.0},
    ),
    "buckets": (
        "h = Histogram('m', 'old', buckets=(1, 3), registry=SHARED); h.observe(0.5); h.observe(2)",
        "h = Histogram('m', '', buckets=(2, 4, 8), registry=SHARED); h.observe(3); h.observe(99)",
        {
            'm_bucket{le="2.0"}': 1.0,
            'm_bucket{le="4.0"}': 3.0,
            'm_bucket{le="8.0"}': 3.0,
            'm_bucket{le="+Inf"}': 4.0,
            "m_count": 4.0,
            "m_sum": 104.5,
        },
    ),
    "fewer buckets": (
        "h = Histogram('m', 'old', buckets=(1, 2, 4), registry=SHARED); h.observe(3); h.observe(9)",
        "h = Histogram('m', 'new', buckets=(2,), registry=SHARED); h.observe(1)",
        {'m_bucket{le="2.0"}': 1.0, 'm_bucket{le="+Inf"}': 3.0, "m_count": 3.0, "m_sum": 13.0},
    ),
    "mode": (
        "g = gauge('sum', 'm'); g.set(5)",
        "g = gauge('max', 'm'); g.set(3)",
        {"m": 5.0},
    ),
    "help": (
        "c = Counter('m', 'old', registry=SHARED); c.inc(1)",
        "c = Counter('m', 'new', registry=SHARED); c.inc(2)",
        {"m_total": 3.0},
    ),
    "type": (
        "c = Counter('m', 'old', registry=SHARED); c.inc(1)",
        "g = gauge('sum', 'm'); g.set(7)",
        {"m": 7.0},
    ),
}


@pytest.mark.parametrize("what", VERSIONS)
def test_two_versions_of_the_code_in_one_directory(store_dir: Path, what: str) -> None:
    """A family defined twice: both keep counting, and a scrape shows valid lines of both."""
    old, new, wanted = VERSIONS[what]
    beside = "other = counter('other', ['l'])\nfor i in range(9): other.labels(str(i)).inc(3)"
    with Peer(store_dir, old) as one, Peer(store_dir, f"{new}\n{beside}") as two:
        neighbours = {f'other_total{{l="{i}"}}': 3.0 for i in range(9)}
        for peer in (one, two):
            found = peer.scrape()
            assert found == wanted | neighbours
            left_out = peer.left_out()
            assert bool(left_out) == (what == "type")
        if what == "type":
            assert left_out == ["m: defined as counter too; its gauge is shown"]
        names = one.get("[f.name for f in store.snapshot().layout.families]")
        assert len(set(names)) == len(names)


def test_removal_reaches_every_definition(store_dir: Path) -> None:
    """What both versions counted of a removed series goes, whichever version it is of."""
    make = "h = Histogram('h', 'help', ['l'], buckets=BUCKETS, registry=SHARED)"
    old, new = (make.replace("BUCKETS", bounds) for bounds in ("(1,)", "(2, 3)"))
    with Peer(store_dir, old) as one, Peer(store_dir, new) as two:
        one.run("h.labels('a').observe(1); h.labels('b').observe(1)")
        two.run("h.labels('a').observe(2.5)")
        one.run("h.remove('a')")
        assert not [line for line in two.scrape() if 'l="a"' in line]
        two.run("h.labels('a').observe(2.5)")
        assert one.scrape()['h_count{l="a"}'] == 1.0
        assert one.scrape()['h_count{l="b"}'] == 1.0

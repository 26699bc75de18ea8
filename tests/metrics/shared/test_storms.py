"""Many processes at once, short lives, kills, forks: what the store says of sharing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.store_peers import Peer, run


def all_cells(directory: Path) -> dict[str, dict[str, list[int]]]:
    """Return family, series and all its cells as a fresh process reads the index."""
    code = """
    store.snapshot()
    catalog = store._hold.files.index.catalog
    print(json.dumps({
        f.key.name: {
            json.dumps(labels): [cell] + [c for l, c in f.extra if l == labels]
            for labels, cell in f.series.items()
        } for f in catalog.by_key.values()
    }))
    """
    found: dict[str, dict[str, list[int]]] = run(directory, code)
    return found


def test_storm_of_processes_that_start_at_once(store_dir: Path) -> None:
    """64 processes that begin together: no lane twice, no series with two cells, exact totals."""
    code = """
    c = counter("c", ["l"]); h = Histogram("h", "help", ["l"], buckets=(1,), registry=SHARED)
    go, report = os.pipe(), os.pipe()
    children = []
    for number in range(64):
        if not (pid := os.fork()):
            os.close(go[1])
            os.read(go[0], 1)  # the end of the pipe: all begin together
            for i in range(20):
                c.labels(str((number + i) % 20)).inc(); h.labels(str(i)).observe(0.5)
            c.labels(f"own {number}").inc(number + 1)
            waited = bool(store._table.homeless or store._hold.memory)
            while store._table.homeless or store._hold.memory:
                time.sleep(0.1)  # for a lock, on a machine that is busy: try again at a scrape
                store.snapshot()
            said = [store._hold.lane.number, waited]
            os.write(report[1], (json.dumps(said) + "\\n").encode())
            signal.pause()
        children.append(pid)
    os.close(go[0]); os.close(go[1]); os.close(report[1])
    lines = []
    with os.fdopen(report[0]) as stream:
        for _ in range(64):
            lines.append(json.loads(stream.readline()))
    alive = sum(worker.alive for worker in store.workers())
    found = scrape()
    for pid in children:
        os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
    print(json.dumps([lines, alive, found, scrape()]))
    """
    lines, alive, found, after = run(store_dir, code, timeout=100)
    numbers = [number for number, _waited in lines]
    print(f"{sum(waited for _number, waited in lines)} had to wait for longer than a lock may take")
    assert len(set(numbers)) == len(numbers) == alive == 64
    found = {line: value for line, value in found.items() if "store_faults" not in line}
    series = all_cells(store_dir)
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
    code = """
    c = counter("c", ["l"])
    alive = set()
    for number in range(300):
        if len(alive) == 5:
            pid, status = os.wait(); alive.discard(pid); assert status in (0, 9), status
        if not (pid := os.fork()):
            c.labels("a").inc(); c.labels(str(number % 10)).inc()
            store.snapshot() if number % 7 == 0 else None
            if number % 3 == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(0)
        alive.add(pid)
    while alive:
        alive.discard(os.wait()[0])
    print(json.dumps(scrape()))
    """
    found = run(store_dir, code, timeout=100)
    assert found == {f'c_total{{l="{i}"}}': 30.0 for i in range(10)} | {'c_total{l="a"}': 300.0}
    assert len(list(store_dir.glob("lane-*"))) <= 5
    assert len(list(store_dir.iterdir())) <= 7


def test_kills_at_random_under_load(store_dir: Path) -> None:
    """Each SIGKILL costs at most the one count that was under way, and totals never fall."""
    code = """
    import mmap
    c = counter("c", ["l"])
    shown = mmap.mmap(-1, 8 * 8)  # what each child knows that it has counted
    done = memoryview(shown).cast("q")
    def child(slot):
        seen = 0
        while True:
            c.labels(str(seen % 30)).inc()
            done[slot] += 1
            seen += 1
            if seen % 500 == 0:
                c.labels(f"new {os.getpid()} {seen // 500 % 5}").inc(0)
    slots = {}
    def start(slot):
        if not (pid := os.fork()):
            try: child(slot)
            finally: os._exit(1)
        slots[slot] = pid
    for slot in range(8): start(slot)
    import random
    chance = random.Random(7)
    kills, before, fell = 0, {}, []
    end = time.monotonic() + 6
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.005, 0.05))
        slot = chance.randrange(8)
        os.kill(slots[slot], signal.SIGKILL); os.waitpid(slots[slot], 0)
        kills += 1
        start(slot)
        now = scrape()
        fell += [line for line, value in before.items() if now.get(line, -1) < value]
        before = now
    for pid in slots.values():
        os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0); kills += 1
    total = sum(v for line, v in scrape().items() if line.startswith("c_total"))
    lanes = [n for n in os.listdir(DIR) if n.startswith("lane-")]
    print(json.dumps([kills, sum(done), total, fell, len(lanes), list(store.snapshot().left_out)]))
    """
    kills, known, total, fell, lanes, left_out = run(store_dir, code, timeout=100)
    assert kills > 30
    assert known > 10_000
    assert 0 <= total - known <= kills
    assert fell == []
    assert lanes <= 9
    # Half a record of one that was killed may stand there until the next series.
    assert all(why.startswith("index: ") for why in left_out)


def test_fork_of_a_process_that_counts_in_threads(store_dir: Path) -> None:
    """Children of a process whose threads count, and make series, neither hang nor miscount."""
    code = """
    from metrics.registry import METRICS
    sys.setswitchinterval(1e-5)
    c = counter("c", ["l"]); h = Histogram("h", "help", ["l"], registry=SHARED)
    stop = threading.Event(); counts = [0] * 3
    def work(number):
        while not stop.is_set():
            counts[number] += 1
            c.labels(f"{number} {counts[number] % 997}").inc()
            h.labels(f"{counts[number] % 97}").observe(1)
            METRICS.record_request(f"tool {counts[number] % 97}", "error", 0.5)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for t in threads: t.start()
    hung = 0
    for number in range(60):
        if not (pid := os.fork()):
            signal.alarm(20)
            for i in range(5):
                c.labels(f"child {i}").inc(); h.labels(str(i)).observe(1)
                METRICS.record_request(f"tool {i}", "error", 0.5)
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        hung += status != 0
    stop.set()
    for t in threads: t.join()
    print(json.dumps([hung, sum(counts), scrape(), len(os.listdir(DIR))]))
    """
    hung, counted, found, files = run(store_dir, code, timeout=100)
    assert hung == 0
    assert [found[f'c_total{{l="child {i}"}}'] for i in range(5)] == [60.0] * 5
    own = sum(n for line, n in found.items() if line.startswith("c_total") and "child" not in line)
    assert own == counted
    assert sum(n for line, n in found.items() if line.startswith("h_count")) == counted + 300
    requests = [n for line, n in found.items() if line.startswith("sentinel_requests_total")]
    assert sum(requests) == counted + 300
    assert files <= 2 + 2


def test_child_does_not_keep_its_parents_lane(store_dir: Path) -> None:
    """A dead parent's lane is free though its child lives, and the child's is another."""
    with Peer(store_dir, "c = counter(); g = gauge('liveall'); c.inc(); g.set(5)") as parent:
        parent.run(
            """
            ready = os.pipe()
            if not (child := os.fork()):
                c.inc(); g.set(7)
                os.write(ready[1], b"x")
                devnull = os.open(os.devnull, os.O_RDWR)
                for fd in (0, 1, 2): os.dup2(devnull, fd)
                time.sleep(60); os._exit(0)
            os.read(ready[0], 1)
            """
        )
        child = parent.get("child")
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

"""Many processes at once: what the tests of storms run."""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import sys
import threading
import time
from typing import Any

from metrics.registry import METRICS
from tests.support.store_process import StoreProcess


def all_cells(process: StoreProcess) -> dict[str, dict[str, list[int]]]:
    """Return family, series and all its cells as the index has them."""
    process.store.snapshot()
    files = process.store._hold.files
    assert files is not None
    return {
        f.key.name: {
            json.dumps(labels): [cell] + [c for others, c in f.extra if others == labels]
            for labels, cell in f.series.items()
        }
        for f in files.index.catalog.by_key.values()
    }


def start_at_once(process: StoreProcess) -> list[Any]:
    """Fork 64 children that begin together; return what they say, who lives, and two scrapes."""
    store = process.store
    c = process.counter("c", ["l"])
    h = process.histogram("h", ["l"], buckets=(1,))
    go, report = os.pipe(), os.pipe()
    children = []
    for number in range(64):
        if not (pid := os.fork()):
            os.close(go[1])
            os.read(go[0], 1)  # the end of the pipe: all begin together
            for i in range(20):
                c.labels(str((number + i) % 20)).inc()
                h.labels(str(i)).observe(0.5)
            c.labels(f"own {number}").inc(number + 1)
            waited = bool(store._table.homeless or store._hold.memory)
            while store._table.homeless or store._hold.memory:
                time.sleep(0.1)  # for a lock, on a machine that is busy: try again at a scrape
                store.snapshot()
            assert store._hold.lane is not None
            said = [store._hold.lane.number, waited]
            os.write(report[1], (json.dumps(said) + "\n").encode())
            signal.pause()
        children.append(pid)
    os.close(go[0])
    os.close(go[1])
    os.close(report[1])
    lines = []
    with os.fdopen(report[0]) as stream:
        for _ in range(64):
            lines.append(json.loads(stream.readline()))
    alive = sum(worker.alive for worker in store.workers())
    found = process.scrape()
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return [lines, alive, found, process.scrape()]


def live_briefly(process: StoreProcess) -> dict[str, float]:
    """Fork 300 children, at most 5 at once, some of which are killed; return a scrape."""
    c = process.counter("c", ["l"])
    alive: set[int] = set()
    for number in range(300):
        if len(alive) == 5:
            pid, status = os.wait()
            alive.discard(pid)
            assert status in (0, 9), status
        if not (pid := os.fork()):
            c.labels("a").inc()
            c.labels(str(number % 10)).inc()
            if number % 7 == 0:
                process.store.snapshot()
            if number % 3 == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(0)
        alive.add(pid)
    while alive:
        alive.discard(os.wait()[0])
    return process.scrape()


def kill_at_random(process: StoreProcess) -> list[Any]:
    """Kill and replace eight children that count for six seconds.

    Return the number of kills, what the children know that they counted, the total, the
    lines that fell, the number of lanes, and what the last scrape leaves out.
    """
    c = process.counter("c", ["l"])
    shown = mmap.mmap(-1, 8 * 8)  # what each child knows that it has counted
    done = memoryview(shown).cast("q")

    def child(slot: int) -> None:
        seen = 0
        while True:
            c.labels(str(seen % 30)).inc()
            done[slot] += 1
            seen += 1
            if seen % 500 == 0:
                c.labels(f"new {os.getpid()} {seen // 500 % 5}").inc(0)

    slots: dict[int, int] = {}

    def start(slot: int) -> None:
        if not (pid := os.fork()):
            try:
                child(slot)
            finally:
                os._exit(1)
        slots[slot] = pid

    for slot in range(8):
        start(slot)
    chance = random.Random(7)
    kills = 0
    before: dict[str, float] = {}
    fell: list[str] = []
    end = time.monotonic() + 6
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.005, 0.05))
        slot = chance.randrange(8)
        os.kill(slots[slot], signal.SIGKILL)
        os.waitpid(slots[slot], 0)
        kills += 1
        start(slot)
        now = process.scrape()
        fell += [line for line, value in before.items() if now.get(line, -1) < value]
        before = now
    for pid in slots.values():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        kills += 1
    total = sum(v for line, v in process.scrape().items() if line.startswith("c_total"))
    lanes = [n for n in os.listdir(process.directory) if n.startswith("lane-")]
    left_out = list(process.store.snapshot().left_out)
    return [kills, sum(done), total, fell, len(lanes), left_out]


def fork_beside_threads(process: StoreProcess) -> list[Any]:
    """Fork 60 children beside three threads that count and make series.

    Return the number of children that hung, the threads' counts, a scrape and the number
    of files.
    """
    METRICS.record_request("tool 0", "error", 0.5)  # imports the settings: a fork in the middle of
    # an import leaves its lock behind, whoever imports
    sys.setswitchinterval(1e-5)
    c = process.counter("c", ["l"])
    h = process.histogram("h", ["l"])
    stop = threading.Event()
    counts = [0] * 3

    def work(number: int) -> None:
        while not stop.is_set():
            counts[number] += 1
            c.labels(f"{number} {counts[number] % 997}").inc()
            h.labels(f"{counts[number] % 97}").observe(1)
            METRICS.record_request(f"tool {counts[number] % 97}", "error", 0.5)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    hung = 0
    for _ in range(60):
        if not (pid := os.fork()):
            signal.alarm(20)
            for i in range(5):
                c.labels(f"child {i}").inc()
                h.labels(str(i)).observe(1)
                METRICS.record_request(f"tool {i}", "error", 0.5)
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        hung += status != 0
    stop.set()
    for thread in threads:
        thread.join()
    return [hung, sum(counts), process.scrape(), len(os.listdir(process.directory))]


def leave_a_child(process: StoreProcess) -> int:
    """Fork a child that counts and lives on; return its process id."""
    c, g = process.counter(), process.gauge("liveall")
    c.inc()
    g.set(5)
    ready = os.pipe()
    if not (child := os.fork()):
        c.inc()
        g.set(7)
        os.write(ready[1], b"x")
        devnull = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(devnull, fd)
        time.sleep(60)
        os._exit(0)
    os.read(ready[0], 1)
    return child

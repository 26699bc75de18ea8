"""The store under real gunicorn: totals that are the clients' own, and never fall."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import pytest

from metrics.shared import Store
from sentinel_project.gateway import UNKNOWN_TOOL
from tests.support import harness

CALLS = [
    ("echo", 1, "success"),
    ("hash", {"text": "a"}, "success"),
    ("fail", {}, "error"),
    ("sleep", {"seconds": "x"}, "invalid_args"),
    ("nothing", {}, "invalid_args"),
]
OURS = re.compile(r"sentinel_(requests_total|errors_total|request_duration_seconds_(bucket|count))")

NO_DRAIN = {"SENTINEL_DRAIN_SECONDS": "0"}

Totals = dict[str, float]


def scrape(port: int) -> Totals:
    """Return what one scrape shows of the gateway's counts, by line."""
    answer = harness.get(port, "/metrics")
    assert answer.status == 200, answer.text
    totals: Totals = {}
    for row in answer.text.splitlines():
        if OURS.match(row):
            line, _, value = row.rpartition(" ")
            name, _, labels = line.rstrip("}").partition("{")
            line = f"{name}{{{','.join(sorted(labels.split(',')))}}}"
            assert line not in totals
            totals[line] = float(value)
    return totals


SCRAPES = 5
"""At least so many are compared, however slow the machine is."""


class Traffic:
    """Clients that call all tools and know what was answered, and a scraper that compares.

    ``counted`` are the calls that had an answer, by tool and status; ``unknown`` is how
    many had none, and may have been counted or not.
    """

    def __init__(self, port: int, *, requests: int = 0, clients: int = 6) -> None:
        self.counted: Counter[tuple[str, str]] = Counter()
        self.unknown = 0
        self.scrapes = 0
        self.failed_scrapes = 0
        self.fell: list[str] = []
        self._port = port
        self._left = requests or 1_000_000
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._call, daemon=True) for _ in range(clients)]
        self._scraper = threading.Thread(target=self._scrape, daemon=True)

    def _take(self) -> int:
        with self._lock:
            self._left -= 1
            return self._left

    def _call(self) -> None:
        while not self._stop.is_set() and (number := self._take()) >= 0:
            tool, body, status = CALLS[number % len(CALLS)]
            try:
                harness.post(self._port, f"/tools/{tool}", body)
            except (OSError, http.client.HTTPException):
                with self._lock:
                    self.unknown += 1
                continue
            with self._lock:
                self.counted[UNKNOWN_TOOL if tool == "nothing" else tool, status] += 1

    def _scrape(self) -> None:
        before: Totals = {}
        while not self._stop.is_set():
            try:
                totals = scrape(self._port)
            except (OSError, http.client.HTTPException):
                self.failed_scrapes += 1
                continue
            self.scrapes += 1
            self.fell += [
                f"{line}: {value} to {totals.get(line)}"
                for line, value in before.items()
                if totals.get(line, -1.0) < value
            ]
            before = totals
            time.sleep(0.01)

    def wait(self) -> None:
        """Wait until all requests were answered; it is a fault if none is for a while."""
        for thread in self._clients:
            while thread.is_alive():
                before = self._left
                thread.join(harness.PATIENCE_SECONDS)
                assert self._left < before or not thread.is_alive(), "no request is answered"

    def __enter__(self) -> Self:
        for thread in (*self._clients, self._scraper):
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            harness.wait_until(lambda: self.scrapes >= SCRAPES, "enough scrapes to compare")
        self._stop.set()
        for thread in (*self._clients, self._scraper):
            thread.join(30)

    def check(self, *, may_be_more: int = 0) -> int:
        """Compare the server's totals with the clients'; return how much more it counted.

        ``may_be_more`` is how many requests without an answer it may have counted.
        """
        assert self.fell == []
        more = 0
        totals = scrape(self._port)
        assert scrape(self._port) == totals
        durations: Counter[str] = Counter()
        for (tool, status), calls in self.counted.items():
            of = totals[f'sentinel_requests_total{{status="{status}",tool="{tool}"}}']
            assert of >= calls
            more += int(of) - calls
            durations[tool] += int(of)
            if status != "success":
                line = f'sentinel_errors_total{{error_type="{status}",tool="{tool}"}}'
                assert abs(totals[line] - of) <= may_be_more
        for tool, calls in durations.items():
            of = totals[f'sentinel_request_duration_seconds_count{{tool="{tool}"}}']
            assert abs(of - calls) <= may_be_more
            bucket = f'sentinel_request_duration_seconds_bucket{{le="+Inf",tool="{tool}"}}'
            assert totals[bucket] == of
        assert 0 <= more <= may_be_more
        return more


FULL = 2000
SOME = 300


@pytest.mark.parametrize(
    ("worker_class", "options", "requests"),
    [
        ("sync", [], FULL),
        ("sync", ["--preload"], FULL),
        ("sync", ["--max-requests", "50", "--max-requests-jitter", "10"], 500),
        ("gthread", ["--threads", "4"], FULL),
        ("gthread", ["--threads", "4", "--preload"], SOME),
        ("gevent", [], SOME),
        ("gevent", ["--preload"], SOME),
        ("asgi", [], SOME),
        ("asgi", ["--preload"], SOME),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_totals_are_what_the_clients_counted(
    tmp_path: Path, worker_class: str, options: Sequence[str], requests: int
) -> None:
    """Every scrape through any worker shows totals that never fall; the last is exact."""
    with harness.gunicorn(
        tmp_path, workers=4, worker_class=worker_class, options=options, env=NO_DRAIN
    ) as server:
        with Traffic(server.port, requests=requests) as traffic:
            traffic.wait()
        assert traffic.unknown == traffic.failed_scrapes == 0
        assert sum(traffic.counted.values()) == requests
        traffic.check()
        lanes = len(list(server.run_dir.glob("lane-*")))
        # Four workers, the arbiter if it counts, and those that end while others begin.
        assert lanes <= (10 if "--max-requests" in options else 5)
    assert "cannot be written" not in server.output


def _workers(arbiter: int) -> list[psutil.Process]:
    return list(psutil.Process(arbiter).children())


def _renewed(arbiter: int, old: set[int], count: int) -> Callable[[], bool]:
    def done() -> bool:
        now = {process.pid for process in _workers(arbiter)}
        return len(now) == count and not now & old

    return done


def test_reloads_and_more_and_fewer_workers(tmp_path: Path) -> None:
    """HUP, TTIN and TTOU under load lose no count, and no total falls."""
    with harness.gunicorn(tmp_path, workers=3, env=NO_DRAIN) as server:
        with Traffic(server.port) as traffic:
            for _ in range(2):
                old = {process.pid for process in _workers(server.pid)}
                os.kill(server.pid, signal.SIGHUP)
                harness.wait_until(_renewed(server.pid, old, 3), "new workers")
            for sig, count in (
                (signal.SIGTTIN, 4),
                (signal.SIGTTIN, 5),
                (signal.SIGTTOU, 4),
                (signal.SIGTTOU, 3),
            ):
                os.kill(server.pid, sig)
                harness.wait_until(
                    lambda count=count: len(_workers(server.pid)) == count, f"{count} workers"
                )
        assert traffic.unknown == 0
        traffic.check()
        assert len(list(server.run_dir.glob("lane-*"))) <= 8


def test_upgrade_of_the_arbiter(tmp_path: Path) -> None:
    """USR2, and the end of the old arbiter, under load: counts go on in the same lanes."""
    # Its hooks wait that long for an empty queue, which the new arbiter's clients keep full.
    options = ["--graceful-timeout", "3"]
    with harness.gunicorn(tmp_path, workers=2, options=options, env=NO_DRAIN) as server:
        with Traffic(server.port) as traffic:
            harness.wait_until(lambda: sum(traffic.counted.values()) > 100, "some calls")
            old = {process.pid for process in _workers(server.pid)} | {server.pid}
            os.kill(server.pid, signal.SIGUSR2)

            def upgraded() -> int | None:
                for process in _workers(server.pid):
                    with contextlib.suppress(psutil.Error):
                        if process.pid not in old and len(process.children()) == 2:
                            return int(process.pid)
                return None

            new = int(harness.wait_until(upgraded, "a new arbiter with workers"))
            harness.wait_until(lambda: _have_lanes(server, new), "lanes of the new workers")
            os.kill(server.pid, signal.SIGTERM)
            server.process.wait(30)
            calls = sum(traffic.counted.values())
            harness.wait_until(lambda: sum(traffic.counted.values()) > calls + 100, "more calls")
        more = traffic.check(may_be_more=traffic.unknown)
        assert more <= traffic.unknown
        os.kill(new, signal.SIGTERM)


def _have_lanes(server: harness.Server, arbiter: int) -> bool:
    """Whether all workers of ``arbiter`` count."""
    lanes = Store(server.run_dir).workers()
    return {process.pid for process in _workers(arbiter)} <= {lane.pid for lane in lanes}


def test_workers_killed_at_random(tmp_path: Path) -> None:
    """SIGKILLs under load: the total is within one request a kill of what clients saw."""
    chance = random.Random(64)
    kills = 0
    with harness.gunicorn(tmp_path, workers=4, env=NO_DRAIN) as server:
        with Traffic(server.port) as traffic:
            lanes = Store(server.run_dir)
            end = time.monotonic() + 8
            while kills < 8 or time.monotonic() < end:
                time.sleep(chance.uniform(0.05, 0.3))
                alive = [w.pid for w in lanes.workers() if w.alive and w.kind == "gunicorn"]
                if len(alive) > 1:  # or else no request would be answered for a while
                    with contextlib.suppress(ProcessLookupError):  # the last kill was its end
                        os.kill(chance.choice(alive), signal.SIGKILL)
                        kills += 1
            harness.wait_until(lambda: len(_workers(server.pid)) == 4, "four workers")
        more = traffic.check(may_be_more=kills)  # a sync worker has one request in flight
        print(f"{sum(traffic.counted.values())} answered, {traffic.unknown} not; {more} more")
        assert traffic.unknown <= kills * 7  # those in flight, and what waited to be accepted
        assert len(list(server.run_dir.glob("lane-*"))) <= 8


@pytest.mark.parametrize("size", [0, 4096])
def test_requests_outlive_cut_lanes(tmp_path: Path, size: int) -> None:
    """Workers whose lanes were cut answer on, without a kill, and count on."""
    with harness.gunicorn(tmp_path, workers=2, env=NO_DRAIN) as server:
        harness.wait_until(lambda: _have_lanes(server, server.pid), "both lanes")
        before = {process.pid for process in _workers(server.pid)}
        for _ in range(3):
            for lane in server.run_dir.glob("lane-*"):
                os.truncate(lane, size)
            for _ in range(10):
                assert harness.post(server.port, "/tools/echo", 1).status == 200
        assert {process.pid for process in _workers(server.pid)} == before
        text = harness.get(server.port, "/metrics").text
        line = 'sentinel_requests_total{status="success",tool="echo"} '
        assert float(text.split(line)[1].split("\n")[0]) >= 10
        assert "was cut short by" in server.output


def test_prometheus_reads_the_clients_own_count(tmp_path: Path) -> None:
    """A real Prometheus finds its target up, and answers with what the clients counted."""
    with (
        harness.gunicorn(tmp_path, workers=3, env=NO_DRAIN) as server,
        harness.prometheus(tmp_path, server.port) as prometheus,
    ):
        with Traffic(server.port, requests=400) as traffic:
            traffic.wait()
        assert traffic.unknown == 0
        harness.wait_until(
            lambda: [t["health"] for t in prometheus.targets()] == ["up"], "the target is up"
        )
        time.sleep(1)  # some scrapes
        result = prometheus.query("sentinel_requests_total")
        found = {(labels["tool"], labels["status"]): value for labels, value in result}
        assert found == {key: float(calls) for key, calls in traffic.counted.items()}
        assert prometheus.query("sum(sentinel_request_duration_seconds_count)")[0][1] == 400.0
        assert prometheus.query('up{job="sentinel"}')[0][1] == 1.0

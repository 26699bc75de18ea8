"""What a stop and a reload cost the clients: nothing."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import harness

DRAIN_SECONDS = 2.0
DRAINING = (503, {"status": "not_ready", "reason": "draining"})

Start = Callable[..., contextlib.AbstractContextManager[harness.Server]]


class InFlight:
    """Requests that begin now and take ``seconds`` each."""

    def __init__(self, port: int, number: int, seconds: float) -> None:
        self.results: list[object] = []
        self._threads = [
            threading.Thread(target=self._call, args=(port, seconds), daemon=True)
            for _ in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def _call(self, port: int, seconds: float) -> None:
        try:
            self.results.append(harness.post(port, "/tools/sleep", {"seconds": seconds}).status)
        except (OSError, http.client.HTTPException) as e:
            self.results.append(repr(e))

    def join(self) -> list[object]:
        """Wait for all, and return their statuses or errors."""
        for thread in self._threads:
            thread.join(harness.PATIENCE_SECONDS)
        return self.results


def readiness(port: int) -> tuple[int, object]:
    """Return status and body of /ready."""
    answer = harness.get(port, "/ready")
    return answer.status, answer.json()


def reload(server: harness.Server) -> None:
    """Send HUP, and wait until other workers have taken over."""
    before = {p.pid for p in server.family().workers}
    server.process.send_signal(signal.SIGHUP)

    def replaced() -> bool:
        now = {p.pid for p in server.family().workers}
        return len(now) == 2 and before.isdisjoint(now)

    harness.wait_until(replaced, "new workers")


@contextlib.contextmanager
def by_hand(tmp_path: Path, worker_class: str) -> Iterator[harness.Server]:
    """Run gunicorn without a parent, one server for both ports."""
    env = {"SENTINEL_DRAIN_SECONDS": str(DRAIN_SECONDS)}
    options = ["--threads", "2"] if worker_class == "gthread" else []
    with harness.gunicorn(tmp_path, worker_class=worker_class, options=options, env=env) as server:
        yield server.wait_serving(server.health_port)


@contextlib.contextmanager
def served(tmp_path: Path, worker_class: str) -> Iterator[harness.Server]:
    """Run ``manage.py serve``."""
    env = {"SENTINEL_DRAIN_SECONDS": str(DRAIN_SECONDS)}
    words = ["--worker-class", worker_class]
    words += ["--threads", "2"] if worker_class == "gthread" else []
    with harness.serve(tmp_path, *words, env=env) as server:
        yield server


@pytest.mark.parametrize(
    ("start", "worker_class"),
    [(served, "sync"), (served, "gthread"), (served, "asgi"), (by_hand, "sync")],
)
def test_a_stop_loses_nothing_when_idle(tmp_path: Path, start: Start, worker_class: str) -> None:
    """While it drains /ready is 503 on both ports, all else succeeds, then all in flight ends."""
    with start(tmp_path, worker_class) as server:
        ports = (server.port, server.health_port)
        for port in ports:
            harness.wait_until(
                lambda port=port: readiness(port) == (200, {"status": "ready"}), "ready"
            )
        server.process.send_signal(signal.SIGTERM)
        stops_at = time.monotonic() + DRAIN_SECONDS
        harness.wait_until(lambda: readiness(server.port) == DRAINING, "the drain")
        with harness.Load(server.port, clients=2) as load:
            while time.monotonic() < stops_at - 1.0:
                assert [readiness(port) for port in ports] == [DRAINING, DRAINING]
                assert harness.get(server.health_port, "/health").status == 200
        assert load.failures == []
        assert load.succeeded > 0
        # begun in the drain, ended after it
        in_flight = InFlight(server.port, 2, DRAIN_SECONDS)
        assert in_flight.join() == [200, 200]
        assert time.monotonic() > stops_at
        assert server.wait_gone() == 0
        assert harness.is_free(server.port)


@pytest.mark.parametrize(
    ("start", "worker_class"),
    [(served, "sync"), (served, "gthread"), (served, "asgi"), (by_hand, "sync")],
)
def test_a_stop_loses_nothing_when_busy(tmp_path: Path, start: Start, worker_class: str) -> None:
    """Requests that wait for a worker when the drain is over are answered too."""
    with start(tmp_path, worker_class) as server:
        in_flight = InFlight(server.port, 8, 0.7)
        harness.wait_until(lambda: in_flight.results, "a first answer")
        in_flight_late = InFlight(server.port, 6, 0.7)
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        assert in_flight.join() == [200] * 8
        assert in_flight_late.join() == [200] * 6
        assert server.wait_gone() == 0


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "asgi"])
def test_a_rolling_reload_loses_no_request_and_no_count(tmp_path: Path, worker_class: str) -> None:
    """Under load two HUPs replace all workers; every call succeeds and is counted once."""
    words = ["--worker-class", worker_class]
    words += ["--threads", "2"] if worker_class == "gthread" else []
    with harness.serve(tmp_path, *words) as server:
        with harness.Load(server.port) as load:
            for _ in range(2):
                reload(server)
                enough = load.succeeded + 20
                harness.wait_until(lambda enough=enough: load.succeeded > enough, "more answers")
        assert load.failures == []
        assert harness.requests_counted(server.port) == load.succeeded
        server.wait_serving(server.health_port)
        assert harness.requests_counted(server.health_port) == load.succeeded


def upgrade(server: harness.Server) -> psutil.Process:
    """Send USR2 to a gunicorn of two workers, and return the new arbiter once it serves."""
    server.process.send_signal(signal.SIGUSR2)

    def arbiter() -> psutil.Process | None:
        for process in server.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.ppid() == server.pid and len(process.children()) == 2:
                    return process
        return None

    new: psutil.Process = harness.wait_until(arbiter, "the new arbiter")
    return new


def test_the_old_arbiter_of_an_upgrade_waits_for_no_queue(tmp_path: Path) -> None:
    """Connections that wait at sockets which both have are the new one's, and none is lost."""
    with by_hand(tmp_path, "sync") as server:
        new = upgrade(server)
        in_flight = InFlight(server.port, 30, 1.0)
        harness.wait_until(lambda: in_flight.results, "a first answer")
        server.process.send_signal(signal.SIGTERM)
        harness.wait_until(lambda: "Handling signal: term" in server.output, "the stop")
        assert len(in_flight.results) < 20  # the queue was not empty
        assert in_flight.join() == [200] * 30
        server.process.wait(harness.PATIENCE_SECONDS)
        os.kill(new.pid, signal.SIGTERM)
        server.wait_gone()


def test_an_upgrade_does_not_drain_the_host(tmp_path: Path) -> None:
    """After USR2 the old arbiter's TERM marks nothing: the new one goes on serving, ready."""
    with by_hand(tmp_path, "sync") as server:
        harness.wait_until(lambda: readiness(server.port)[0] == 200, "ready")
        with harness.Load(server.port, clients=2) as load:
            new = upgrade(server)
            time.sleep(1.0)
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(harness.PATIENCE_SECONDS)
            assert readiness(server.port)[0] == 200
        assert load.failures == []
        assert harness.requests_counted(server.port) == load.succeeded
        os.kill(new.pid, signal.SIGTERM)
        server.wait_gone()

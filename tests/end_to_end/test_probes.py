"""Probes on the health server's port, whatever the application is doing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from health.server.gunicorn_app import HEALTH_THREADS
from health.server.worker import REQUEST_SECONDS
from health.supervisor import environment
from tests.support import harness
from tests.support.harness import blocked, details


def probe(port: int, path: str, number: int) -> float:
    """Send ``number`` probes, each over a new connection; return the median of their seconds.

    The seconds are for people to read: other tests run beside this one.
    """
    durations = []
    for _ in range(number):
        began = time.perf_counter()
        answer = harness.get(port, path)
        durations.append(time.perf_counter() - began)
        assert answer.status == 200, answer.text
    return statistics.median(durations)


def conditions(server: harness.Server) -> dict[str, int]:
    """Return the workers that are in some condition, by its name."""
    return harness.conditions(server.health_port)


def sample(server: harness.Server, name: str) -> float:
    """Return one value of a scrape of the health server."""
    text = harness.get(server.health_port, "/metrics").text
    return next(float(r.split()[-1]) for r in text.splitlines() if r.startswith(f"{name} "))


@pytest.mark.parametrize(("worker_class", "threads"), [("sync", 1), ("gthread", 2)])
def test_probes_need_no_free_worker(tmp_path: Path, worker_class: str, threads: int) -> None:
    """A hundred probes of /health and of /ready are answered while every worker is blocked."""
    words = ["--worker-class", worker_class, "--threads", str(threads)]
    # or one worker of threads takes all connections, and queues what it has no thread for
    words += ["--", "--worker-connections", str(threads + 1)]
    with harness.serve(tmp_path, *words) as server:
        harness.wait_until(lambda: harness.get(server.health_port, "/ready").status == 200, "ready")
        for _ in range(6 * threads):
            blocked(server.port, 30)
        harness.wait_until(lambda: conditions(server) == {"saturated": 2}, "saturation")
        assert details(server)["saturated"] is True
        assert sample(server, 'sentinel_workers{state="saturated"}') == 2
        assert sample(server, "sentinel_requests_in_progress") == 2 * threads
        began = time.monotonic()
        medians = [probe(server.health_port, path, 100) for path in ("/health", "/ready")]
        print(f"medians of /health and /ready: {medians}")
        # A request of before the first probe is still being worked on, and no other.
        assert sample(server, "sentinel_oldest_request_seconds") > time.monotonic() - began
        assert sample(server, 'sentinel_workers{state="saturated"}') == 2
        server.stop(signal.SIGQUIT)


@contextlib.contextmanager
def busy_loops(number: int) -> Iterator[None]:
    """Keep ``number`` processes busy doing nothing."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def test_probes_are_answered_while_the_processors_are_starved(tmp_path: Path) -> None:
    """With two busy loops a core each probe is answered."""
    with harness.serve(tmp_path) as server:
        harness.wait_until(lambda: harness.get(server.health_port, "/ready").status == 200, "ready")
        with busy_loops(2 * environment.cores()):
            for path in ("/health", "/ready"):
                probe(server.health_port, path, 50)


def test_workers_are_idle_busy_and_idle_again(tmp_path: Path) -> None:
    """A fresh worker is idle before its first request; one of two threads makes it busy."""
    words = ["--worker-class", "gthread", "--threads", "2"]
    with harness.serve(tmp_path, *words) as server:
        harness.wait_until(lambda: conditions(server) == {"idle": 2}, "two idle workers")
        assert details(server) == {
            "status": "ok",
            "saturated": False,
            "workers": {"idle": 2, "busy": 0, "saturated": 0, "stuck": 0, "dead": 0},
            "requests_in_progress": 0,
            "oldest_request_seconds": 0.0,
        }
        thread = blocked(server.port, 1.0)
        harness.wait_until(lambda: conditions(server) == {"idle": 1, "busy": 1}, "a busy worker")
        assert details(server)["requests_in_progress"] == 1
        assert not details(server)["saturated"]
        thread.join()
        harness.wait_until(lambda: conditions(server) == {"idle": 2}, "two idle workers")


def test_all_workers_stuck_is_death(tmp_path: Path) -> None:
    """Full workers whose requests do not end for the set time make /health 503; then 200."""
    env = {"SENTINEL_STUCK_SECONDS": "1"}
    with harness.serve(tmp_path, workers=1, env=env) as server:
        thread = blocked(server.port, 2.5)
        harness.wait_until(lambda: conditions(server) == {"saturated": 1}, "a full worker")
        assert harness.get(server.health_port, "/health").status == 200
        harness.wait_until(lambda: conditions(server) == {"stuck": 1}, "a stuck worker")
        answer = harness.get(server.health_port, "/health")
        assert (answer.status, answer.json()) == (
            503,
            {"status": "dead", "reason": "all application workers stuck"},
        )
        thread.join()
        harness.wait_until(lambda: conditions(server) == {"idle": 1}, "an idle worker")
        assert harness.get(server.health_port, "/health").body == b'{"status": "ok"}'


def test_health_server_as_a_sidecar(tmp_path: Path) -> None:
    """Beside a gunicorn that somebody else starts it tells not started, alive and dead."""
    port = harness.free_port()
    argv = [sys.executable, "manage.py", "health_server", "--bind", f"127.0.0.1:{port}"]
    with harness.Program(
        argv, log=tmp_path / "sidecar.log", env=harness.project_env(tmp_path)
    ) as sidecar:
        sidecar.wait_ready(lambda: not harness.is_free(port) and harness.get(port, "/health"), "it")
        answer = harness.get(port, "/health")
        assert (answer.status, answer.json()) == (
            503,
            {"status": "dead", "reason": "application not started"},
        )
        assert harness.get(port, "/started").body == b'{"status": "starting"}'
        (tmp_path / "gunicorn").mkdir()
        env = {**harness.project_env(tmp_path), "SENTINEL_HEALTH_BIND": ""}
        with harness.gunicorn(tmp_path / "gunicorn", env=env) as server:
            harness.wait_until(lambda: harness.get(port, "/health").status == 200, "life")
            harness.wait_until(lambda: harness.get(port, "/started").status == 200, "the start")
            for _ in range(3):
                assert harness.post(server.port, "/tools/echo", 1).status == 200
            assert harness.requests_counted(port) == 3
            # a reload, in which for a moment there is no worker, is no death
            before = {p.pid for p in server.members()}
            server.process.send_signal(signal.SIGHUP)
            while len({p.pid for p in server.members()} - before) < 2 or harness.conditions(
                port
            ) != {"idle": 2}:
                assert harness.get(port, "/health").status == 200
            # neither of the two minds the other's workers being killed, all at once
            os.kill(server.pid, signal.SIGKILL)
            server.wait_gone()
        harness.wait_until(lambda: harness.get(port, "/health").status == 503, "death")
        answer = harness.get(port, "/health")
        assert (answer.status, answer.json()) == (
            503,
            {"status": "dead", "reason": "no application worker alive"},
        )
        assert sidecar.stop() == 0
        assert harness.is_free(port)


def test_the_health_server_serves_nothing_else(tmp_path: Path) -> None:
    """Its URLs are its own: no tool, no admin; and it minds neither Host nor method."""
    with harness.serve(tmp_path, env={"SENTINEL_ALLOWED_HOSTS": "example.org"}) as server:
        port = server.health_port
        assert harness.post(port, "/tools/echo", 1).status == 404
        assert harness.get(port, "/admin/").status == 404
        for path in ("/health", "/ready", "/started", "/metrics"):
            harness.wait_until(
                lambda path=path: harness.get(port, path, {"Host": "10.1.2.3:9201"}).status == 200,
                f"200 on {path}",
            )
        with harness.Client(port) as client:
            answer = client.request("POST", "/health")
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
            assert client.request("OPTIONS", "/health").status == 200
            head = client.request("HEAD", "/health")
            assert (head.status, head.body) == (200, b"")
            assert head.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /health HTTP/1.1\r\nHost: x\r\n",
        b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
        b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
    ids=["silent", "half a head", "half a body", "left open"],
)
def test_probes_are_answered_beside_clients_that_do_not_go_on(tmp_path: Path, sent: bytes) -> None:
    """More slow clients than there are threads hold neither them nor the one that accepts."""
    with harness.serve(tmp_path) as server, contextlib.ExitStack() as stack:
        for _ in range(HEALTH_THREADS + 8):
            client = socket.create_connection(("127.0.0.1", server.health_port))
            stack.enter_context(client)
            client.sendall(sent)
        # Twice as long as a request may take, where it once took as many seconds as clients.
        with harness.Client(server.health_port, timeout=2 * REQUEST_SECONDS) as prober:
            for _ in range(3):
                assert prober.get("/health").json() == {"status": "ok"}
        assert "Traceback" not in server.output

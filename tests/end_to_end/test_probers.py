"""Probers as whole processes: one probes, the next one takes over."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest

from health.board.health_map import BackendHealthMap
from health.board.stores.file import FileStore
from health.core import clock
from tests.support.harness import ROOT, Program, Server, get, gunicorn, project_env, wait_until

LOOP = [sys.executable, "manage.py", "probe_backends", "--loop"]


def test_a_killed_prober_is_replaced_within_an_interval(tmp_path: Path) -> None:
    """SIGKILL frees the lock: the one that stands by goes on, and no state is lost."""
    backends = {"default": {"PROBE": "health.probes.DatabaseProbe", "INTERVAL": 2, "TIMEOUT": 1}}
    env = project_env(tmp_path) | {"SENTINEL_BACKENDS": json.dumps(backends)}
    board = BackendHealthMap(FileStore(tmp_path / "run"))

    with Program(LOOP, log=tmp_path / "first.log", env=env) as first:
        first.wait_ready(lambda: board.any_healthy(), "healthy")
        with Program(LOOP, log=tmp_path / "second.log", env=env) as second:
            second.wait_ready(lambda: "stands by" in second.output, "that it stands by")
            assert "probing" not in second.output
            first.process.send_signal(signal.SIGKILL)
            first.process.wait()
            killed = clock.now()
            second.wait_ready(lambda: "probing 1 backend(s)" in second.output, "a successor")
            wait_until(lambda: (board["default"].checked or 0) > killed, "a check of its own")
            assert board.any_healthy()
            assert "is healthy" not in second.output


def prober_pid(server: Server) -> int:
    """Return the process that took the prober's lock last, by its own log line."""
    lines = [line for line in server.output.splitlines() if "probing 1 backend(s)" in line]
    return int(lines[-1].rsplit(" ", 1)[1]) if lines else 0


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_a_fresh_start_becomes_ready(tmp_path: Path, options: tuple[str, ...]) -> None:
    """The default database is probed for real, by one of the workers and never the arbiter."""
    with gunicorn(tmp_path, workers=3, options=options) as server:
        assert get(server.port, "/health").text == '{"status": "ok"}'
        wait_until(lambda: get(server.port, "/ready").status == 200, "ready")
        assert get(server.port, "/ready").text == '{"status": "ready"}'
        assert server.output.count("probing 1 backend(s)") == 1
        assert psutil.Process(prober_pid(server)).ppid() == server.pid


@pytest.mark.parametrize("worker_class", ["gthread", "gevent", "asgi"])
def test_every_kind_of_worker_probes(tmp_path: Path, worker_class: str) -> None:
    """Threads, greenlets and event loops leave the prober its turn."""
    with gunicorn(tmp_path, workers=2, worker_class=worker_class) as server:
        wait_until(lambda: get(server.port, "/ready").status == 200, "ready")
        assert get(server.port, "/ready").text == '{"status": "ready"}'


def test_another_worker_takes_over_from_a_killed_prober(tmp_path: Path) -> None:
    """SIGKILL of the process that probes is made good by another, with the state kept."""
    with gunicorn(tmp_path, workers=3) as server:
        wait_until(lambda: get(server.port, "/ready").status == 200, "ready")
        # It is said after it is on the board; a prober killed in between does not say it.
        wait_until(lambda: "backend default is healthy" in server.output, "its log line")
        first = prober_pid(server)
        psutil.Process(first).send_signal(signal.SIGKILL)

        def taken_over() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException):
                get(server.port, "/ready")  # the killed worker may have accepted it
            return prober_pid(server) != first

        wait_until(taken_over, "a successor among the workers that are asked")
        wait_until(lambda: get(server.port, "/ready").status == 200, "ready")
        assert server.output.count("backend default is") == 1


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "asgi"])
def test_head_is_get_without_the_body(tmp_path: Path, worker_class: str) -> None:
    """The same headers, Content-Length included, nothing after them, and no line in the log."""
    with gunicorn(tmp_path, workers=1, worker_class=worker_class) as server:
        wait_until(lambda: get(server.port, "/ready").status == 200, "ready")
        wait_until(lambda: "backend default is healthy" in server.output, "the log's last line")
        before = server.output
        for path in ("/health", "/ready", "/started", "/ready?verbose=&exclude=default"):
            answers = [_raw(server.port, method, path) for method in ("GET", "HEAD")]
            (heads, get_body), (head_heads, head_body) = answers
            assert head_heads == heads
            assert f"content-length: {len(get_body)}" in heads
            assert head_body == b""
        assert server.output == before


def _raw(port: int, method: str, path: str) -> tuple[list[str], bytes]:
    """Return the lines of an answer's head, but for the date, and all that follows it."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        lines = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall(lines.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    heads = sorted(head.decode().lower().split("\r\n"))
    return [line for line in heads if not line.startswith("date:")], body


def test_access_lines_of_probes_can_be_left_out(tmp_path: Path) -> None:
    """With the filter gunicorn logs the site's requests and not the probes'."""
    config = tmp_path / "quiet.conf.py"
    config.write_text(
        f"exec(open({str(ROOT / 'gunicorn.conf.py')!r}).read())\n"
        "from health.accesslog import leave_out_probes\nleave_out_probes()\naccesslog = '-'\n"
    )
    with gunicorn(tmp_path, workers=1, options=["-c", str(config)]) as server:
        for path in ("/health", "/ready", "/admin/login/"):
            get(server.port, path)
        wait_until(lambda: "GET /admin/login/ HTTP/1.1" in server.output, "an access line")
        assert "GET /health" not in server.output
        assert "GET /ready" not in server.output

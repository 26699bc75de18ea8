"""Probes at other paths and by other methods, over real servers and a real HAProxy."""

from __future__ import annotations

import contextlib
import csv
import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import harness

PATHS = {"health": ["/healthz", "/livez"], "ready": "/readyz", "metrics": "/internal/metrics"}
ANSWERED = ["/healthz", "/livez/", "/readyz", "/readyz/", "/started", "/internal/metrics"]
ENV = {"SENTINEL_PATHS": json.dumps(PATHS)}


def become_ready(port: int, path: str) -> None:
    """Wait until the backend of the sample project has been checked."""
    harness.wait_until(lambda: harness.get(port, path).status == 200, f"{path} is 200")


def statuses(port: int, paths: list[str]) -> list[int]:
    """Return what GET of each path is answered with, to a client that names no known host."""
    return [harness.get(port, path, {"Host": "10.1.2.3"}).status for path in paths]


def test_both_ports_answer_at_the_paths_that_are_named(tmp_path: Path) -> None:
    """SENTINEL_PATHS holds for the health server's port as for the application's."""
    with harness.serve(tmp_path, env=ENV) as server:
        for port in (server.health_port, server.port):
            become_ready(port, "/readyz")
            assert statuses(port, ANSWERED) == [200, 200, 200, 200, 200, 200]
        assert statuses(server.health_port, ["/health", "/ready"]) == [404, 404]
        assert harness.get(server.health_port, "/livez").json() == {"status": "ok"}


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "asgi"])
def test_the_access_log_follows_the_paths(tmp_path: Path, worker_class: str) -> None:
    """The filter leaves out the probes' lines at the paths of the settings, and only theirs."""
    config = tmp_path / "quiet.conf.py"
    config.write_text(
        f"exec(open({str(harness.ROOT / 'gunicorn.conf.py')!r}).read())\n"
        "from health.accesslog import leave_out_probes\nleave_out_probes()\naccesslog = '-'\n"
    )
    options = ["-c", str(config)]
    with harness.gunicorn(
        tmp_path, workers=1, worker_class=worker_class, options=options, env=ENV
    ) as server:
        for path in ANSWERED:
            assert harness.get(server.port, path, {"Host": "10.1.2.3"}).status in (200, 503)
        with harness.Client(server.port) as client:
            client.request("OPTIONS", "/readyz")
        harness.get(server.port, "/admin/login/")
        harness.wait_until(lambda: "GET /admin/login/" in server.output, "an access line")
        logged = [line for line in server.output.splitlines() if "HTTP/1.1" in line]
        others = ("GET /health ", "GET /admin/login/ ")  # the first is how a start is waited for
        assert [line for line in logged if not any(other in line for other in others)] == []


@contextlib.contextmanager
def application(tmp_path: Path, kind: str) -> Iterator[int]:
    """Serve the sample project, and yield the port that is to be probed."""
    if kind == "health server":
        with harness.serve(tmp_path) as server:
            yield server.health_port
    elif kind == "uvicorn":
        with harness.uvicorn(tmp_path) as port:
            yield port
    else:
        with harness.gunicorn(tmp_path, worker_class=kind) as server:
            yield server.port


@contextlib.contextmanager
def haproxy(tmp_path: Path, checks: dict[str, str], port: int) -> Iterator[int]:
    """Run HAProxy with one backend a check, by its option, and yield its port of statistics."""
    program = harness.require_program("haproxy", "haproxy")
    lines = [
        "defaults",
        "  mode http",
        "  timeout connect 10s",
        "  timeout client 10s",
        "  timeout server 10s",
        "  timeout check 10s",
        "frontend statistics",
        "  bind fd@${STATISTICS}",
        "  stats enable",
        "  stats uri /stats",
    ]
    for name, option in checks.items():
        lines += [f"backend {name}", f"  option httpchk {option}"]
        lines += [f"  server it 127.0.0.1:{port} check inter 100ms rise 1 fall 1"]
    config = tmp_path / "haproxy.cfg"
    config.write_text("\n".join(lines) + "\n")
    log = tmp_path / "haproxy.log"
    with harness.listening() as statistics:
        fd = statistics.fileno()
        env = {"STATISTICS": str(fd)}
        argv = [program, "-db", "-f", str(config)]
        with harness.Program(argv, log=log, env=env, pass_fds=[fd]):
            yield statistics.getsockname()[1]


def seen(statistics: int) -> dict[str, tuple[str, str]]:
    """Return what HAProxy holds each backend's server for, and the status it last saw."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        rows = csv.DictReader(harness.get(statistics, "/stats;csv").text.lstrip("# ").splitlines())
        return {
            row["pxname"]: (row["status"], row["check_code"])
            for row in rows
            if row["svname"] == "it"
        }
    return {}


@pytest.mark.parametrize("kind", ["health server", "sync", "asgi", "uvicorn"])
def test_haproxys_own_checks_follow_readiness(tmp_path: Path, kind: str) -> None:
    """OPTIONS of HTTP/1.0 without a Host, what HAProxy sends by default, is 200, 503, 200."""
    checks = {
        "default": "/ready",
        "slash": "/ready/",
        "get": "GET /ready",
        "head": "HEAD /ready",
        "alive": "/health",
    }
    with application(tmp_path, kind) as port, haproxy(tmp_path, checks, port) as statistics:
        up = dict.fromkeys(checks, ("UP", "200"))
        down = {**dict.fromkeys(checks, ("DOWN", "503")), "alive": ("UP", "200")}
        harness.wait_until(lambda: seen(statistics) == up, "every check sees 200")
        assert harness.manage(tmp_path, "drain").returncode == 0
        harness.wait_until(lambda: seen(statistics) == down, "readiness is 503")
        assert harness.manage(tmp_path, "drain", "--undo").returncode == 0
        harness.wait_until(lambda: seen(statistics) == up, "every check sees 200 again")

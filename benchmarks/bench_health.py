"""Time GET /ready through Django, and ``sentinel-health``, against the peers.

Each side runs in a process of its own: ``python -m benchmarks.bench_health ours`` is
what `run` starts. The peers are django-health-check's JSON view with one database
check, a trivial view behind the standard middleware, and ``manage.py health_check``.
"""

from __future__ import annotations

import http.server
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.case import Case

ROOT = Path(__file__).resolve().parent.parent
PATHS = {"ours": "/ready", "trivial": "/trivial", "peer": "/peer"}
ROUNDS = {"ours": 4000, "trivial": 1500, "peer": 150}
STARTS = 15


def run() -> list[Case]:
    """Measure all sides."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = {side: _side(side, folder) for side in PATHS}
        script, command = _starts(folder)
    return [
        Case(
            "GET /ready, against django-health-check",
            seconds["ours"],
            seconds["peer"],
            unit="us",
            goal_ratio=50,
        ),
        Case(
            "GET /ready, against a trivial view",
            seconds["ours"],
            seconds["trivial"],
            unit="us",
            goal_ratio=2,
        ),
        Case("sentinel-health, against manage.py health_check", script, command, goal_ratio=10),
    ]


def _environment(side: str, folder: str) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings_health",
        "SENTINEL_BENCH_SIDE": side,
        "SENTINEL_BENCH_FOLDER": folder,
    }


def _side(side: str, folder: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench_health", side],
        cwd=ROOT,
        env=_environment(side, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=300,
    )
    result: float = json.loads(done.stdout)
    return result


def _measure(side: str) -> float:
    """Return the median time of a request that was answered with 200, in seconds."""
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
    statuses: list[str] = []

    def get() -> float:
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": PATHS[side],
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "127.0.0.1:8000",
            "HTTP_ACCEPT": "application/json",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
        }
        started = time.perf_counter()
        response = application(environ, lambda status, headers: statuses.append(status))
        b"".join(response)
        response.close()
        return time.perf_counter() - started

    deadline = time.monotonic() + 30
    while not statuses or not statuses[-1].startswith("200"):  # ours: the first check
        get()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{PATHS[side]} does not answer with 200: {statuses[-1]}")
        time.sleep(0.05)
    for _ in range(20):
        get()
    statuses.clear()
    times = [get() for _ in range(ROUNDS[side])]
    assert set(statuses) == {"200 OK"}
    return statistics.median(times)


def _starts(folder: str) -> tuple[float, float]:
    """Return the median time of either command, from its start to its end, in turns."""
    bin_ = Path(sys.executable).parent
    script = [str(bin_ / "sentinel-health")]
    if not Path(script[0]).exists():
        script = [sys.executable, "-m", "health.cli"]
    script += ["--run-dir", f"{folder}/run", "--quiet"]
    with _answering() as port:
        command = [sys.executable, "-m", "django", "health_check", "peer", f"127.0.0.1:{port}"]
        command += ["--forwarded-proto", "http"]
        times: dict[str, list[float]] = {"ours": [], "peer": []}
        for _ in range(STARTS):
            for side, argv in (("ours", script), ("peer", command)):
                started = time.perf_counter()
                done = subprocess.run(
                    argv,
                    cwd=ROOT,
                    env=_environment(side, folder),
                    capture_output=True,
                    check=False,
                )
                times[side].append(time.perf_counter() - started)
                if done.returncode not in ((0, 2) if side == "ours" else (0,)):
                    raise RuntimeError(done.stderr.decode())
    return statistics.median(times["ours"]), statistics.median(times["peer"])


@contextmanager
def _answering() -> Iterator[int]:
    """Answer 200 at once, so that the peer's command is timed and not its server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the same
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1])))

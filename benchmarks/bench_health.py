"""Time GET /ready through Django, and ``sentinel-health``, against the peers.

Each side runs in a process of its own: ``python -m benchmarks.bench_health ours`` is
what `run` starts. The peers are django-health-check's JSON view with one database
check, a trivial view behind the standard middleware, the least that Django does for any
request, and ``manage.py health_check``.

The database of the check is a PostgreSQL on this machine, as a service has one: the peer
opens a connection each time, with a password. On an SQLite file its check costs the
least that one can; a fiftieth of that is about what Django itself takes for any request,
so that the goal is one for PostgreSQL where there is one.
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
from typing import Any

from benchmarks.case import Case

ROOT = Path(__file__).resolve().parent.parent
PATHS = {"ours": "/ready", "least": "/ready", "trivial": "/trivial", "peer": "/peer"}
ROUNDS = {"ours": 4000, "least": 4000, "trivial": 1500, "peer": 150}
READY = "GET /ready"
STARTS = 15
SQLITE = {"ENGINE": "django.db.backends.sqlite3"}


def run() -> list[Case]:
    """Measure all sides."""
    with tempfile.TemporaryDirectory() as folder:
        cases = _on_postgres(folder)
        seconds = {side: _side(side, folder) for side in PATHS}
        script, command = _starts(folder)

    def case(name: str, side: str, goal_ratio: float | None = None) -> Case:
        return Case(name, seconds["ours"], seconds[side], unit="us", goal_ratio=goal_ratio)

    return [
        *cases,
        case(f"{READY}, against django-health-check on SQLite", "peer", None if cases else 50),
        case(f"{READY}, against a trivial view", "trivial", 2),
        case(f"{READY}, against the least that Django does", "least"),
        Case("sentinel-health, against manage.py health_check", script, command, goal_ratio=10),
    ]


def _on_postgres(folder: str) -> list[Case]:
    """Measure ours and the peer's view with a PostgreSQL; nothing where there is none."""
    from tests.support.databases import Postgres, find_postgres

    if find_postgres() is None:
        print("no PostgreSQL: apt-get install postgresql", file=sys.stderr)
        return []
    with Postgres() as postgres:
        database = json.dumps(postgres.settings)
        ours, peer = (_side(side, f"{folder}/pg", database) for side in ("ours", "peer"))
    name = f"{READY}, against django-health-check on PostgreSQL"
    return [Case(name, ours, peer, unit="us", goal_ratio=50)]


def _environment(side: str, folder: str, database: str | None = None) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings_health",
        "SENTINEL_BENCH_SIDE": side,
        "SENTINEL_BENCH_FOLDER": folder,
        "SENTINEL_BENCH_DATABASE": database
        or json.dumps({**SQLITE, "NAME": f"{folder}/db.sqlite3"}),
    }


def _side(side: str, folder: str, database: str | None = None) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench_health", side],
        cwd=ROOT,
        env=_environment(side, folder, database),
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

    application: Any = get_wsgi_application()
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

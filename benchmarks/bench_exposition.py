"""Time a whole GET /metrics through Django, ours and django-prometheus'.

Eight processes hold 100 tools each; between two scrapes every one of them records a
request of each tool, so that no side can answer from what it read before. Each side
runs in processes of its own: ``python -m benchmarks.bench_exposition ours`` and ``peer``
are what `run` starts.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.case import Case

ROOT = Path(__file__).resolve().parent.parent
PROCESSES = 8
TOOLS = 100
ROUNDS = {"ours": 60, "peer": 15}
GOALS = {"plain": 15.0, "gzip": 5.0}


def run() -> list[Case]:
    """Measure both sides."""
    ours, peer = _side("ours"), _side("peer")
    return [
        Case(
            f"GET /metrics, {PROCESSES} x {TOOLS} tools, {kind}",
            ours[kind],
            peer[kind],
            goal_ratio=goal,
        )
        for kind, goal in GOALS.items()
    ]


def _side(name: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "var" / "static").mkdir(parents=True)
        environment = {
            **os.environ,
            "SENTINEL_VAR_DIR": f"{folder}/var",
            "SENTINEL_SECRET_KEY": "for a benchmark only",
            "SENTINEL_RUN_DIR": f"{folder}/run" if name == "ours" else "",
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings_exposition",
            "SENTINEL_BENCH_SIDE": name,
        }
        if name == "peer":
            (Path(folder) / "files").mkdir()
            environment["PROMETHEUS_MULTIPROC_DIR"] = f"{folder}/files"
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.bench_exposition", name],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
            timeout=300,
        )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _recorder(name: str) -> Callable[[], None]:
    """Return what records one request of each tool."""
    if name == "ours":
        import django

        django.setup()
        from metrics.registry import METRICS

        def record(tool: str) -> None:
            METRICS.record_request(tool, "error", 0.3)
    else:
        from prometheus_client import Counter, Histogram

        requests = Counter("bench_requests_total", "Requests", ["tool", "status"])
        duration = Histogram("bench_request_duration_seconds", "Duration", ["tool"])
        errors = Counter("bench_errors_total", "Errors", ["tool", "error_type"])

        def record(tool: str) -> None:
            requests.labels(tool, "error").inc()
            duration.labels(tool).observe(0.3)
            errors.labels(tool, "error").inc()

    tools = [f"tool-{number:04}" for number in range(TOOLS)]

    def record_all() -> None:
        for tool in tools:
            record(tool)

    return record_all


def _work(name: str) -> None:
    """Be one of the eight: record when told to by a line on stdin, and say so."""
    record_all = _recorder(name)
    for _ in sys.stdin:
        record_all()
        print("done", flush=True)


@contextmanager
def _workers(name: str) -> Iterator[Callable[[], None]]:
    argv = [sys.executable, "-m", "benchmarks.bench_exposition", name, "work"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(argv, cwd=ROOT, **pipes) for _ in range(PROCESSES)]

    def record_all() -> None:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"

    try:
        yield record_all
    finally:
        for process in processes:
            process.communicate()


def _measure(name: str) -> dict[str, float]:
    """Return the median time of a scrape, without compression and with it."""
    from django.core.wsgi import get_wsgi_application

    application: Any = get_wsgi_application()
    answered: list[Any] = []

    def start_response(*args: Any) -> None:
        answered.extend(args)

    result = {}
    with _workers(name) as record_all:
        for kind in GOALS:
            times = []
            for number in range(ROUNDS[name] + 3):
                record_all()
                environ = {
                    "REQUEST_METHOD": "GET",
                    "PATH_INFO": "/metrics",
                    "SERVER_NAME": "127.0.0.1",
                    "SERVER_PORT": "8000",
                    "HTTP_HOST": "127.0.0.1:8000",
                    "SERVER_PROTOCOL": "HTTP/1.1",
                    "wsgi.input": io.BytesIO(),
                    "wsgi.url_scheme": "http",
                }
                if kind == "gzip":
                    environ["HTTP_ACCEPT_ENCODING"] = "gzip"
                answered.clear()
                began = time.perf_counter()
                body = b"".join(application(environ, start_response))
                taken = time.perf_counter() - began
                _verify(answered, body, kind)
                if number >= 3:
                    times.append(taken)
            result[kind] = statistics.median(times)
    return result


def _verify(answered: list[Any], body: bytes, kind: str) -> None:
    status, headers = answered[0], dict(answered[1])
    assert status == "200 OK", status
    assert (headers.get("Content-Encoding") == "gzip") == (kind == "gzip"), headers
    if kind == "plain":
        assert body.count(b"tool-") >= TOOLS * 19, body[:200]


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(json.dumps(run(), indent=1))
    elif sys.argv[2:] == ["work"]:
        _work(sys.argv[1])
    else:
        print(json.dumps(_measure(sys.argv[1])))

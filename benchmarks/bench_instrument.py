"""What measuring adds to a request, a query, a cache call and a tool call.

Each side runs in a process of its own: ``python -m benchmarks.bench_instrument ours`` is what
`run` starts. In it the thing is timed with and without what measures it, in turns, so that
what is given is the difference. The peer is django-prometheus' pair of middlewares, engine and
cache backend, in the multi-process mode that several workers need.

Over gunicorn, two sync workers answer a view that asks the database and the cache once.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.case import Case

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 41
LOAD_SECONDS = 3
LOADS = 5
SIDES = ("none", "ours", "peer")


def run() -> list[Case]:
    """Measure all sides."""
    with tempfile.TemporaryDirectory() as folder:
        ours, peer = (_side(side, f"{folder}/{side}") for side in ("ours", "peer"))
        cases = [
            Case(name, ours[name], peer.get(name), unit="us", goal=goal, goal_ratio=ratio)
            for name, goal, ratio in (
                ("added to a request, sync", 5e-6, 10),
                ("added to a request, async", 7e-6, 8),
                ("added to a query, SQLite", 2e-6, 8),
                ("added to a get, local-memory cache", 1.5e-6, 5),
                ("added to a function by @tool", 1.2e-6, None),
            )
        ]
        return cases + _loads(folder)


def _environment(side: str, folder: str) -> dict[str, str]:
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings_instrument",
        "SENTINEL_BENCH_SIDE": side,
        "SENTINEL_BENCH_FOLDER": folder,
        "PYTHONPATH": str(ROOT),
    }
    Path(folder).mkdir(exist_ok=True)
    if side == "peer":
        env["PROMETHEUS_MULTIPROC_DIR"] = folder
    return env


def _side(side: str, folder: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench_instrument", side],
        cwd=ROOT,
        env=_environment(side, folder),
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _measure() -> dict[str, float]:
    import django

    django.setup()
    added = {
        "added to a request, sync": _requests(),
        "added to a request, async": asyncio.run(_async_requests()),
        "added to a query, SQLite": _queries(),
        "added to a get, local-memory cache": _cache_gets(),
    }
    if os.environ["SENTINEL_BENCH_SIDE"] == "ours":
        added["added to a function by @tool"] = _tool_calls()
    return added


def _difference(measured: Callable[[], Any], bare: Callable[[], Any], number: int) -> float:
    """Return how much longer ``measured`` takes than ``bare``, in seconds: a median of turns."""
    for _ in range(number):
        measured()
        bare()
    differences = []
    for _ in range(REPEATS):
        taken = []
        for call in (measured, bare):
            began = time.perf_counter()
            for _ in range(number):
                call()
            taken.append((time.perf_counter() - began) / number)
        differences.append(taken[0] - taken[1])
    return statistics.median(differences)


def _handler(middleware: list[str], *, is_async: bool) -> Any:
    from django.core.handlers.base import BaseHandler
    from django.test import override_settings

    with override_settings(MIDDLEWARE=middleware):
        handler = BaseHandler()
        handler.load_middleware(is_async=is_async)
    return handler


def _requests() -> float:
    """Time a trivial view behind the standard middleware."""
    from django.test import RequestFactory

    from benchmarks.settings_instrument import MIDDLEWARE, STANDARD

    measured, bare = (_handler(names, is_async=False) for names in (MIDDLEWARE, STANDARD))
    request = RequestFactory().get("/trivial/1", headers={"host": "127.0.0.1"})
    assert measured.get_response(request).status_code == 200
    return _difference(
        lambda: measured.get_response(request), lambda: bare.get_response(request), 300
    )


async def _async_requests() -> float:
    """Time the middlewares that measure alone, around an asynchronous view."""
    from django.test import AsyncRequestFactory

    from benchmarks.settings_instrument import AFTER, BEFORE

    handlers = [_handler(names, is_async=True) for names in ([*BEFORE, *AFTER], [])]
    request = AsyncRequestFactory().get("/async/1", headers={"host": "127.0.0.1"})
    assert (await handlers[0].get_response_async(request)).status_code == 200
    differences = []
    for _ in range(REPEATS):
        taken = []
        for handler in handlers:
            began = time.perf_counter()
            for _ in range(100):
                await handler.get_response_async(request)
            taken.append((time.perf_counter() - began) / 100)
        differences.append(taken[0] - taken[1])
    return statistics.median(differences)


def _queries() -> float:
    from django.db import connections

    measured, bare = connections["measured"], connections["default"]
    if os.environ["SENTINEL_BENCH_SIDE"] == "peer":
        from django.db.backends.sqlite3.base import DatabaseWrapper

        bare = DatabaseWrapper(measured.settings_dict, "bare")
    for connection in (measured, bare):
        connection.ensure_connection()
    if os.environ["SENTINEL_BENCH_SIDE"] == "ours":
        bare.execute_wrappers.clear()

    def query(connection: Any) -> Callable[[], object]:
        def ask() -> object:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                return cursor.fetchone()

        return ask

    return _difference(query(measured), query(bare), 1000)


def _cache_gets() -> float:
    from django.core.cache import caches
    from django.core.cache.backends.locmem import LocMemCache

    measured, bare = caches["measured"], LocMemCache("b", {})
    for cache in (measured, bare):
        cache.set("key", "value", 3600)
    return _difference(lambda: measured.get("key"), lambda: bare.get("key"), 1000)


def _tool_calls() -> float:
    from metrics.instrument import tool

    def work(argument: int) -> int:
        return argument

    measured = tool("work")(work)
    return _difference(lambda: measured(1), lambda: work(1), 5000)


def _loads(folder: str) -> list[Case]:
    """Compare requests a second over gunicorn; nothing where ``wrk`` is missing."""
    if shutil.which("wrk") is None:
        print("no wrk: apt-get install wrk", file=sys.stderr)
        return []
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(LOADS):
        for side in SIDES:
            rates[side].append(_load(side, f"{folder}/{side}-load"))
    none, ours, peer = (statistics.median(rates[side]) for side in SIDES)
    name = "requests a second over gunicorn, of those without"
    return [Case(name, ours / none, peer / none, unit="%")]


def _load(side: str, folder: str) -> float:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    bind = f"127.0.0.1:{port}"
    options = ["--workers", "2", "--bind", bind, "--log-level", "error"]
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *options, "benchmarks.urls_instrument:application"],
        cwd=ROOT,
        env=_environment(side, folder),
    )
    try:
        words = ["wrk", "-t1", "-c4", f"http://{bind}/working/1"]
        deadline = time.monotonic() + 30
        while "Requests/sec" not in _wrk([*words, "-d1"]) and time.monotonic() < deadline:
            time.sleep(0.2)
        found = re.search(r"Requests/sec:\s+([\d.]+)", _wrk([*words, f"-d{LOAD_SECONDS}"]))
        if found is None:
            raise RuntimeError(f"gunicorn on {bind} does not answer")
        return float(found[1])
    finally:
        server.terminate()
        server.wait(30)


def _wrk(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout


if __name__ == "__main__":
    print(json.dumps(_measure()))

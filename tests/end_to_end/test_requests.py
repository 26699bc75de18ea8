"""Requests, queries and cache calls as several real workers count them together."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.support import harness
from tests.support.misbehaving import Redis
from tests.support.scraped import figures

REQUESTS = "http_server_request_duration_seconds_count"
BEGUN = "measured_views_begun_total"
CLASSES = ["sync", "gthread", "gevent", "asgi", "uvicorn"]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Redis, and return its address."""
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


def env(redis: str) -> dict[str, str]:
    """Return what the program reads from its environment."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.end_to_end.programs.measured_settings",
        "MEASURED_REDIS": redis,
    }


@contextmanager
def served(tmp_path: Path, kind: str, redis: str, options: Sequence[str] = ()) -> Iterator[int]:
    """Serve the views by two workers of ``kind``; yield the port."""
    if kind == "uvicorn":
        with harness.uvicorn(tmp_path, "--workers", "2", *options, env=env(redis)) as port:
            harness.wait_until(lambda: _answers(port), "uvicorn answers")
            yield port
        return
    if kind == "gthread":
        options = ["--threads", "3", *options]
    with harness.gunicorn(
        tmp_path, workers=2, worker_class=kind, options=options, env=env(redis)
    ) as server:
        yield server.port


def _answers(port: int) -> bool:
    try:
        return harness.get(port, "/metrics").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("kind", CLASSES)
def test_every_request_counts_once(tmp_path: Path, redis: str, kind: str) -> None:
    """By route and status, with its query and its cache call, whichever worker answered."""
    paths = [f"/items/{number}/" for number in range(100)]
    paths += [f"/missing-{number}" for number in range(50)] + ["/broken"] * 50
    # error_type, method, status, route: in the order of their names
    expected = {
        ("", "GET", "200", "items/<int:number>/"): 100,
        ("", "GET", "404", ""): 50,
        ("LookupError", "GET", "500", "broken"): 50,
    }
    if kind != "gevent":  # in which Django runs no asynchronous view
        paths += [f"/items-async/{number}/" for number in range(100)]
        expected["", "GET", "200", "items-async/<int:number>/"] = 100
    with served(tmp_path, kind, redis) as port:
        with ThreadPoolExecutor(6) as clients:
            answers = clients.map(lambda path: harness.get(port, path).status, paths)
        statuses = Counter(answers)
        assert (statuses[404], statuses[500]) == (50, 50)
        assert figures(port, REQUESTS) == expected
        assert not figures(port, "http_server_active_requests")
        assert (
            figures(port, "db_client_operation_duration_seconds_count")[
                "default", "SELECT", "sqlite", ""
            ]
            == 100
        )
        assert figures(port, "cache_client_misses_total") == {("default",): 100}


@pytest.mark.parametrize("kind", CLASSES)
def test_clients_that_go_away_in_a_stream(tmp_path: Path, redis: str, kind: str) -> None:
    """Each counts once, as what it was, and is in progress no longer."""
    path = "events-async" if kind in ("asgi", "uvicorn") else "events"
    with served(tmp_path, kind, redis) as port:
        for _ in range(4):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                assert b"data: 0" in _read_until(client, b"data: 0")
                client.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0"
                )  # a reset
        harness.wait_until(
            lambda: not figures(port, "http_server_active_requests"), "nothing in progress"
        )
        found = figures(port, REQUESTS)
        assert sum(found.values()) == 4, found
        for error, method, status, route in found:
            assert (method, status, route) == ("GET", "200", path)
            assert error in ("client_disconnected", "asyncio.exceptions.CancelledError")


@pytest.mark.parametrize("kind", ["asgi", "uvicorn"])
def test_streams_that_break_off(tmp_path: Path, redis: str, kind: str) -> None:
    """Django does not close them under ASGI; each counts once all the same, and is over."""
    with served(tmp_path, kind, redis) as port:
        for _ in range(4):
            with suppress(OSError, HTTPException):
                harness.get(port, "/breaks-async")
        harness.wait_until(
            lambda: not figures(port, "http_server_active_requests"), "nothing in progress"
        )
        assert figures(port, REQUESTS) == {("LookupError", "GET", "200", "breaks-async"): 4}


def _read_until(client: socket.socket, wanted: bytes) -> bytes:
    got = b""
    while wanted not in got and (more := client.recv(65536)):
        got += more
    return got


@pytest.mark.parametrize("kind", ["asgi", "uvicorn"])
def test_clients_that_do_not_wait(tmp_path: Path, redis: str, kind: str) -> None:
    """A view that the server cancels counts once, without a status.

    Only a client that waits for the view is sure to be noticed: where one leaves while a
    middleware runs in a thread, asgiref may lose the cancellation, and the view runs on.
    """
    with served(tmp_path, kind, redis) as port:
        for number in range(4):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET /slow-async HTTP/1.1\r\nHost: localhost\r\n\r\n")
                harness.wait_until(
                    lambda number=number: sum(figures(port, BEGUN).values()) == number + 1,
                    "the view has begun",
                )
                assert figures(port, "http_server_active_requests") == {("GET",): 1}
            harness.wait_until(
                lambda number=number: sum(figures(port, REQUESTS).values()) == number + 1,
                "its end",
            )
        cancelled = ("asyncio.exceptions.CancelledError", "GET", "", "slow-async")
        assert figures(port, REQUESTS) == {cancelled: 4}
        assert not figures(port, "http_server_active_requests")


def test_a_request_that_outlives_its_worker(tmp_path: Path, redis: str) -> None:
    """Gunicorn ends the worker: the request counts once as killed, and is over."""
    with served(tmp_path, "sync", redis, ["--timeout", "1"]) as port:
        with suppress(OSError, HTTPException):
            harness.get(port, "/slow")
        harness.wait_until(lambda: figures(port, REQUESTS), "the request is counted")
        assert figures(port, REQUESTS) == {("SystemExit", "GET", "", "slow"): 1}
        assert not figures(port, "http_server_active_requests")

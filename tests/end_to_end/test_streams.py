"""Streams and files that real workers send, and what /health makes of them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import harness

STUCK_SECONDS = 4.0


def streaming(tmp_path: Path, *options: str) -> Any:
    """Run one gthread worker of four threads whose views stream."""
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.end_to_end.programs.streaming_settings",
        "STREAMING_DIR": str(tmp_path),
        "SENTINEL_STUCK_SECONDS": str(STUCK_SECONDS),
    }
    gthread = ["--worker-class", "gthread", "--threads", "4", *options]
    return harness.serve(tmp_path, "--", *gthread, workers=1, env=env)


@contextmanager
def four_clients(port: int, path: str) -> Iterator[None]:
    """Ask four times for ``path``, and leave the answers in the sockets."""
    with ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        yield


def assert_life(port: int) -> None:
    """Wait for the worker to be saturated; see it so, and alive, for twice the limit."""
    full = {"saturated": 1}
    harness.wait_until(lambda: harness.conditions(port) == full, "four requests")
    until = time.monotonic() + 2 * STUCK_SECONDS
    while time.monotonic() < until:
        assert (harness.get(port, "/health").status, harness.conditions(port)) == (200, full)
        time.sleep(0.1)


def test_four_streams_on_four_threads_are_life(tmp_path: Path) -> None:
    """While bytes flow the worker is saturated and /health 200; once they stop it is stuck."""
    with streaming(tmp_path) as server, four_clients(server.port, "/events"):
        port = server.health_port
        assert_life(port)
        (tmp_path / "pause").touch()
        harness.wait_until(lambda: harness.get(port, "/health").status == 503, "stuck")
        assert harness.get(port, "/health").json()["reason"] == "all application workers stuck"
        assert harness.conditions(port) == {"stuck": 1}
        (tmp_path / "end").touch()
        harness.wait_until(lambda: harness.conditions(port) == {"idle": 1}, "the end")


def test_four_files_that_the_kernel_sends_are_life(tmp_path: Path) -> None:
    """Whether a slow client's download goes on cannot be seen: nobody is held for stuck."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(64 << 20)  # more than sockets hold
    with streaming(tmp_path) as server:
        with four_clients(server.port, "/file"):
            assert_life(server.health_port)
        harness.wait_until(lambda: harness.conditions(server.health_port) == {"idle": 1}, "the end")


@pytest.mark.parametrize("options", [[], ["--no-sendfile"]])
def test_a_file_goes_out_whole(tmp_path: Path, options: list[str]) -> None:
    """Sent by the kernel or read by the server, it is the same byte for byte."""
    data = bytes(range(256)) * 4096
    (tmp_path / "large").write_bytes(data)
    with streaming(tmp_path, *options) as server, harness.Client(server.port) as client:
        answer = client.get("/file")
        assert (answer.status, answer.body == data) == (200, True)
        port = server.health_port
        harness.wait_until(lambda: harness.conditions(port) == {"idle": 1}, "the end")

"""What goes wrong around a prober, done for real, and what the board makes of it."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from health.board.health_map import BackendHealthMap
from health.board.stores.file import FileStore
from metrics.registry import REGISTRY
from tests.support import misbehaving
from tests.support.harness import free_port, wait_until
from tests.support.misbehaving import Certificates, http_answer
from tests.support.probers import probing

QUICK = {"INTERVAL": 0.4, "TIMEOUT": 0.3}


def slow(connection: Any) -> None:
    """Answer well, but later than is allowed."""
    connection.recv(65536)
    time.sleep(0.6)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("talk", "healthy"),
    [
        (http_answer("200 OK"), True),
        (http_answer("200 OK", b"x" * 10_000_000), True),
        (misbehaving.silence, False),
        (slow, False),
        (misbehaving.reset_in_the_middle, False),
        (misbehaving.drip, False),
    ],
)
def test_servers_on_a_bad_day(talk: misbehaving.Talk, healthy: bool) -> None:
    """Each is told from a good one, and the prober goes on with the others beside it."""
    with misbehaving.server(talk) as port, misbehaving.server(http_answer("200 OK")) as good:
        backends = {
            "bad": {
                "PROBE": "health.probes.HTTPProbe",
                "OPTIONS": {"url": f"http://127.0.0.1:{port}/", "body": "^"},
                **QUICK,
            },
            "good": {
                "PROBE": "health.probes.HTTPProbe",
                "OPTIONS": {"url": f"http://127.0.0.1:{good}/"},
                **QUICK,
            },
        }
        with probing(backends, BackendHealthMap()) as board:
            wait_until(lambda: "bad" in board and board["bad"].healthy is not None, "a state")
            wait_until(lambda: board["good"].consecutive_successes >= 2, "the good one, twice")
            if talk in (misbehaving.reset_in_the_middle, misbehaving.drip):
                return  # "^" matches their first bytes: what matters is that nothing hung
            assert board["bad"].healthy is healthy


@pytest.mark.parametrize("kind", ["refused", "dns", "expired"])
def test_servers_that_cannot_be_reached(kind: str, tmp_path: Path) -> None:
    """A closed port, a name without an address and an expired certificate are unhealthy."""
    certificates = Certificates(tmp_path)
    context = certificates.context("expired", days=-1)
    with misbehaving.server(http_answer("200 OK"), context) as port:
        url, error = {
            "refused": (f"http://127.0.0.1:{free_port()}/", "Connection refused"),
            "dns": ("http://no-such-host.invalid/", "NameResolutionError"),
            "expired": (f"https://127.0.0.1:{port}/", "certificate has expired"),
        }[kind]
        options = {"url": url, "ca_file": str(certificates.ca_file)}
        backends = {"b": {"PROBE": "health.probes.HTTPProbe", "OPTIONS": options, **QUICK}}
        with probing(backends, BackendHealthMap()) as board:
            wait_until(lambda: "b" in board and board["b"].healthy is False, "unhealthy")
            assert error in str(board["b"].error)


def test_flapping_is_damped_and_doubt_is_looked_into_sooner() -> None:
    """What fails every second time never leaves its state, and is asked again sooner."""
    calls: list[float] = []

    def flap() -> bool:
        calls.append(time.monotonic())
        return len(calls) % 2 == 1

    backends = {"b": {"PROBE": flap, "INTERVAL": 1, "TIMEOUT": 0.5, "INTERVAL_IN_DOUBT": 0.05}}
    with probing(backends, BackendHealthMap()) as board:
        wait_until(lambda: len(calls) >= 7, "seven checks")
        assert board["b"].healthy is True
    assert [event.to for event in board.document().events] == [True]
    gaps = [later - earlier for earlier, later in itertools.pairwise(calls)]
    assert sum(gaps[1::2][:3]) < sum(gaps[0::2][:3])  # after a failure, and after a success


@pytest.mark.parametrize("junk", [b"", b"sentinel-board-1 ", os.urandom(3000)])
def test_a_board_that_is_damaged_while_it_is_in_use(tmp_path: Path, junk: bytes) -> None:
    """Whoever reads it meets no exception, and the prober's next result mends it."""
    store = FileStore(tmp_path / "run")
    board = BackendHealthMap(store)
    with probing({"b": {"PROBE": lambda: None, "INTERVAL": 0.1, "TIMEOUT": 0.05}}, board):
        wait_until(lambda: board.is_healthy("b"), "healthy")
        for _ in range(5):
            Path(store.path).write_bytes(junk)
            BackendHealthMap(FileStore(tmp_path / "run")).any_healthy()
            wait_until(lambda: board.is_healthy("b"), "healthy again")


def test_two_hundred_backends_on_one_prober() -> None:
    """At intervals of a second each is checked again and again, and the lag is told."""
    checked: dict[str, int] = dict.fromkeys((f"b{i:03}" for i in range(200)), 0)

    def make(name: str) -> Callable[[], None]:
        def probe() -> None:
            checked[name] += 1
            time.sleep(0.01)

        return probe

    backends = {name: {"PROBE": make(name), "INTERVAL": 1, "TIMEOUT": 0.9} for name in checked}
    with probing(backends, BackendHealthMap()) as board:
        wait_until(lambda: min(checked.values()) >= 4, "four checks of each")
        assert all(board.is_healthy(name) for name in checked)
    threads = [t for t in threading.enumerate() if t.name.startswith("sentinel-probe-")]
    assert len(threads) <= 200
    lag = REGISTRY.get_sample_value("sentinel_prober_lag_seconds")
    assert lag is not None
    assert 0 <= lag < 30

"""What goes wrong around a prober, done for real, and what the board makes of it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from health.board import BOARD
from health.board.health_map import BackendHealthMap
from health.board.stores.cache import CacheStore
from health.board.stores.file import FileStore
from health.conf.backends import parse
from health.core import clock
from health.election.cache import CacheElection
from health.prober.leader import Prober
from health.readiness import assessment
from metrics.registry import REGISTRY
from metrics.system.flock import FileLock
from tests.support import misbehaving
from tests.support.harness import ROOT, Program, free_port, project_env, wait_until
from tests.support.misbehaving import Certificates, Redis, http_answer

QUICK = {"INTERVAL": 0.4, "TIMEOUT": 0.3}


@contextmanager
def probing(backends: dict[str, Any], board: BackendHealthMap) -> Iterator[BackendHealthMap]:
    """Run a prober on a board."""
    prober = Prober(board, parse(backends))
    prober.start()
    try:
        yield board
    finally:
        prober.stop()


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
    store = FileStore(tmp_path / "run", strict=False)
    board = BackendHealthMap(store)
    with probing({"b": {"PROBE": lambda: None, "INTERVAL": 0.1, "TIMEOUT": 0.05}}, board):
        wait_until(lambda: board.is_healthy("b"), "healthy")
        for _ in range(5):
            Path(store.path).write_bytes(junk)
            BackendHealthMap(FileStore(tmp_path / "run", strict=False)).any_healthy()
            wait_until(lambda: board.is_healthy("b"), "healthy again")


LOOP = [sys.executable, "manage.py", "probe_backends", "--loop"]


def test_a_killed_prober_is_replaced_within_an_interval(tmp_path: Path) -> None:
    """SIGKILL frees the lock: the one that stands by goes on, and no state is lost."""
    backends = {"default": {"PROBE": "health.probes.DatabaseProbe", "INTERVAL": 2, "TIMEOUT": 1}}
    env = project_env(tmp_path) | {"SENTINEL_BACKENDS": json.dumps(backends)}
    board = BackendHealthMap(FileStore(tmp_path / "run", strict=False))

    with Program(LOOP, log=tmp_path / "first.log", env=env) as first:
        first.wait_ready(lambda: board.any_healthy(), "healthy")
        with Program(LOOP, log=tmp_path / "second.log", env=env) as second:
            time.sleep(1)  # it stands by
            assert "probing" not in second.output
            first.process.send_signal(signal.SIGKILL)
            first.process.wait()
            killed = clock.now()
            second.wait_ready(lambda: "probing 1 backend(s)" in second.output, "a successor")
            wait_until(lambda: (board["default"].checked or 0) > killed, "a check of its own")
            assert board.any_healthy()
            assert "is healthy" not in second.output


def test_a_forked_child_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    """When the holder is killed its lock is free, though a child of its lives on."""
    code = textwrap.dedent(
        """
        import os, sys, time
        from pathlib import Path
        from metrics.system.flock import FileLock
        lock = FileLock(Path(sys.argv[1]))
        assert lock.try_acquire()
        child = os.fork()
        if not child:
            assert not lock.is_held
            time.sleep(60)
        print(child, flush=True)
        time.sleep(60)
        """
    )
    path = tmp_path / "lock"
    with Program([sys.executable, "-c", code, str(path)], log=tmp_path / "log") as holder:
        holder.wait_ready(lambda: holder.output.strip(), "the lock")
        assert not FileLock(path).try_acquire()
        holder.process.send_signal(signal.SIGKILL)
        holder.process.wait()
        lock = FileLock(path)
        wait_until(lock.try_acquire, "the lock of a dead holder")
        lock.release()
        holder.kill()


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


READERS = """
import os, sys, time
from pathlib import Path
from health.core import board_file
from health.core.backend import Observation
from health.board.stores.file import FileStore

run_dir, count = Path(sys.argv[1]), 40
def both(healthy):
    seen = {name: Observation(healthy) for name in ("a", "b")}
    return lambda document: document.observe(seen, at=time.time(), clock=1.0)[0]
writer = FileStore(run_dir, strict=False)
writer.update(both(True))
children = []
for _ in range(count):
    child = os.fork()
    if not child:
        reader, changes, last, end = FileStore(run_dir, strict=False), 0, None, time.monotonic() + 3
        while time.monotonic() < end:
            document = reader.read()
            a, b = document.backends["a"], document.backends["b"]
            assert not document.damaged and a.healthy is b.healthy and a.since == b.since
            changes, last = changes + (document is not last), document
            time.sleep(0.002)
        os._exit(0 if changes > 5 else 1)
    children.append(child)
end = time.monotonic() + 3
for turn in range(10**6):
    writer.update(both(turn % 2 == 0))
    time.sleep(0.005)
    if time.monotonic() > end:
        break
print([os.waitpid(child, 0)[1] for child in children] == [0] * count)
"""


def test_forty_processes_read_while_the_board_changes(tmp_path: Path) -> None:
    """None of them ever sees half a write, and all see many of them."""
    done = subprocess.run(
        [sys.executable, "-c", READERS, str(tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


@contextmanager
def redis_cache(redis: Redis) -> Iterator[None]:
    """Make a Redis the cache of this process, with time limits as a cache should have."""
    cache = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": redis.url,
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
    with override_settings(CACHES={"default": cache}):
        yield


def test_hosts_share_a_board_in_redis(tmp_path: Path) -> None:
    """What one host reports another sees soon, with its age by its own clock."""
    with Redis(tmp_path) as redis, redis_cache(redis):
        ours, theirs = (BackendHealthMap(CacheStore("default")) for _ in range(2))
        assert theirs.is_empty
        ours.report("db", True, max_age=60)
        wait_until(lambda: theirs.is_healthy("db"), "the other host")
        age = theirs["db"].age(clock.now())
        assert age is not None
        assert age < 30
        theirs.report("db", False)
        wait_until(lambda: not ours.is_healthy("db"), "and back")


def test_a_host_whose_clock_is_wrong_shares_the_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a host has looked, the age of news does not depend on anybody's wall clock."""
    with Redis(tmp_path) as redis, redis_cache(redis):
        ours, theirs = (BackendHealthMap(CacheStore("default")) for _ in range(2))
        assert theirs.is_empty
        real = time.time
        monkeypatch.setattr("time.time", lambda: real() - 3600)
        ours.report("db", True, max_age=60)
        monkeypatch.undo()
        wait_until(lambda: "db" in theirs, "the other host")
        assert theirs.is_healthy("db")


def test_redis_gone_and_back(tmp_path: Path) -> None:
    """Without the cache the board is stale, reading it stays quick, and it recovers by itself."""
    backends = {"b": {"PROBE": lambda: None, "INTERVAL": 0.6, "TIMEOUT": 0.2}}
    redis = Redis(tmp_path)
    with redis, redis_cache(redis):
        board = BackendHealthMap(CacheStore("default"))
        with probing(backends, board):
            wait_until(lambda: board.is_healthy("b"), "healthy")
            redis.stop()
            wait_until(lambda: board["b"].state(clock.now()) == "stale", "stale")
            began = time.monotonic()
            for _ in range(1000):
                board.any_healthy()
            assert time.monotonic() - began < 5
            redis.start()
            wait_until(lambda: board.is_healthy("b"), "healthy again")


def test_one_prober_for_all_hosts(tmp_path: Path) -> None:
    """The lease is one host's until it lapses or is given back."""
    backends = {"b": {"PROBE": "a.b", "INTERVAL": 2, "TIMEOUT": 1}}
    with (
        Redis(tmp_path) as redis,
        redis_cache(redis),
        override_settings(SENTINEL_BACKENDS=backends),
    ):
        first, second, third = (CacheElection("default") for _ in range(3))
        assert first.renew_seconds < 0.5  # the lease of a second outlives a late renewal
        assert first.win()
        assert first.win()
        assert not second.win()
        wait_until(second.win, "the lease of a host that died")
        assert not first.win()
        second.resign()
        assert third.win()


@override_settings(
    SENTINEL_HEALTH_STORE="cache:default",
    SENTINEL_BACKENDS={"b": {"PROBE": "a.b"}},
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    },
)
def test_a_cache_that_was_never_there_is_the_checkers_fault() -> None:
    """A board that cannot be read says so, and does not call the backends ill."""
    verdict = assessment.current()
    assert (verdict.status, verdict.reason) == ("unknown", "checker stale")
    BOARD.report("b", True)  # a gateway's request goes on, whatever the cache raises

"""A stop that comes while gunicorn, or one of its workers, starts."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from tests.support import harness

UVICORN = "uvicorn.workers.UvicornWorker"
CLASSES = ["sync", "gthread", "gevent", "asgi", UVICORN]
MOMENTS = 18
NEVER = ["--graceful-timeout", "3600"]
"""Who waits for this timeout waits longer than any test."""


def gunicorn(
    tmp_path: Path,
    worker_class: str,
    *options: str,
    config: str = "gunicorn.conf.py",
    env: dict[str, str] | None = None,
) -> harness.Server:
    """Start a gunicorn of one worker by hand that serves stop_app.py; do not wait for it."""
    name = "asgi" if worker_class in ("asgi", UVICORN) else "application"
    argv = [sys.executable, str(Path(sys.executable).parent / "gunicorn"), "-c", config]
    argv += ["--workers", "1", "--worker-class", worker_class, *NEVER, *options]
    return harness.Server([*argv, f"tests.end_to_end.programs.stop_app:{name}"], tmp_path, env=env)


@pytest.mark.parametrize(
    ("worker_class", "options"),
    [*((name, []) for name in CLASSES), ("gevent", ["--preload"]), ("asgi", ["--preload"])],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_worker_ends_at_each_moment_of_its_start(
    tmp_path: Path, worker_class: str, options: Sequence[str]
) -> None:
    """TERM, QUIT and INT end it from the first call after the fork to the last before it serves."""
    notes = tmp_path / "moments"
    notes.touch()
    env = {"STOP_NOTES": str(notes), "STOP_MOMENTS": str(MOMENTS)}
    config = "tests/end_to_end/programs/stop_moments.py"
    with gunicorn(tmp_path, worker_class, *options, config=config, env=env) as server:

        def moments() -> list[str]:
            return notes.read_text().splitlines()[1:]

        seen = 0
        while seen < MOMENTS:  # each worker begins when the one before it has ended
            server.wait_ready(lambda seen=seen: len(moments()) > seen, f"after {moments()[-1:]}")
            seen = len(moments())
        last = int(moments()[-1].split()[0])
        harness.wait_until(lambda: not psutil.pid_exists(last), f"the end of {moments()[-1]}")
        server.wait_serving()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGQUIT])
@pytest.mark.parametrize("worker_class", CLASSES)
def test_a_stop_does_not_wait_for_an_application_that_loads(
    tmp_path: Path, worker_class: str, sig: int
) -> None:
    """A worker that has not served has nothing to finish."""
    loading = tmp_path / "loading"
    with gunicorn(tmp_path, worker_class, env={"STOP_WHILE_LOADING": str(loading)}) as server:
        server.wait_ready(loading.exists, "a worker that loads the application")
        assert server.stop(sig) == 0


@pytest.mark.parametrize("worker_class", CLASSES[:4])
def test_serve_stops_while_its_workers_start(tmp_path: Path, worker_class: str) -> None:
    """TERM as soon as there is a worker ends all of them, and is no failure."""
    words = ["--workers", "4", "--worker-class", worker_class, "--", *NEVER]
    with harness.Server([sys.executable, "manage.py", "serve", *words], tmp_path) as server:
        server.wait_ready(lambda: server.family().workers, "a worker")
        assert server.stop() == 0


@pytest.mark.parametrize("worker_class", CLASSES)
def test_a_worker_that_is_told_to_leave_is_not_counted_as_dead(
    tmp_path: Path, worker_class: str
) -> None:
    """TTOU ends a worker in order, whatever its class does with its signals."""
    words = ["--worker-class", worker_class]
    with harness.serve(tmp_path, *words) as server:
        harness.wait_until(
            lambda: harness.conditions(server.health_port) == {"idle": 2}, "two idle workers"
        )
        server.family().arbiter[0].send_signal(signal.SIGTTOU)
        harness.wait_until(lambda: len(server.family().workers) == 1, "its end")
        harness.wait_until(
            lambda: harness.conditions(server.health_port) != {"idle": 2}, "that it is missed"
        )
        assert harness.conditions(server.health_port) == {"idle": 1}


@pytest.mark.parametrize("worker_class", CLASSES)
def test_a_worker_that_leaves_before_it_serves_is_not_counted_as_dead(
    tmp_path: Path, worker_class: str
) -> None:
    """Its lane, which it has by then, says that it left in order."""
    notes = tmp_path / "its place is taken"
    module = "asgi" if worker_class in ("asgi", UVICORN) else "wsgi"
    argv = [sys.executable, str(Path(sys.executable).parent / "gunicorn"), *NEVER]
    argv += ["-c", "tests/end_to_end/programs/second_leaves.py", "--workers", "2"]
    argv += ["--worker-class", worker_class, f"sentinel_project.{module}:application"]
    with harness.Server(argv, tmp_path, env={"STOP_NOTES": str(notes)}) as server:
        server.wait_serving()
        server.wait_ready(notes.exists, "the third worker")
        assert len(list(server.run_dir.glob("lane-*"))) == 2
        assert 'sentinel_workers{state="dead"} 0.0' in harness.get(server.port, "/metrics").text


def test_logs_are_reopened_for_a_worker_that_starts(tmp_path: Path) -> None:
    """USR1 that comes before a worker has its own handlers is not lost."""
    log, old = tmp_path / "error.log", tmp_path / "error.log.1"
    options = ["--error-logfile", str(log)]
    config = "tests/end_to_end/programs/reopened_logs.py"
    env = {"STOP_NOTES": str(tmp_path / "forked")}
    with gunicorn(tmp_path, "sync", *options, config=config, env=env) as server:
        server.wait_ready((tmp_path / "forked").exists, "a worker that starts")
        log.rename(old)
        os.kill(server.pid, signal.SIGUSR1)
        server.wait_ready(lambda: log.exists() and "loaded" in log.read_text(), "the new log")
    assert "loaded" not in old.read_text()


def test_what_a_child_of_the_arbiter_inherits(tmp_path: Path) -> None:
    """TERM ends a child that sets no handler, and no worker has the arbiter's alarm."""
    note = tmp_path / "child"
    config = "tests/end_to_end/programs/arbiters_child.py"
    env = {"STOP_NOTES": str(note)}
    with gunicorn(tmp_path, "sync", config=config, env=env) as server:
        server.wait_serving()
        assert harness.get(server.port, "/").text == "SIG_DFL"
        child = int(note.read_text())
        os.kill(child, signal.SIGTERM)
        harness.wait_until(lambda: not psutil.pid_exists(child), "its end")

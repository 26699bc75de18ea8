"""`manage.py serve`: the parent, its two servers, their signals and their deaths."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support import harness
from tests.support.harness import blocked

PORTS_FREE_WITHIN_SECONDS = 2.0


def answers(port: int) -> bool:
    """Whether the application answers on ``port`` now."""
    with contextlib.suppress(OSError):
        return harness.post(port, "/tools/echo", 1).status == 200
    return False


@pytest.mark.parametrize("worker_class", ["gevent", "asgi"])
def test_serves_with_workers_of_other_classes(tmp_path: Path, worker_class: str) -> None:
    """Both ports answer, TERM ends all of it with status 0, and both ports are free."""
    with harness.serve(tmp_path, "--worker-class", worker_class, "--threads", "2") as server:
        assert harness.post(server.port, "/tools/echo", {"a": 1}).body == b'{"a": 1}'
        assert server.stop() == 0
        assert harness.is_free(server.port)
        assert harness.is_free(server.health_port)


def test_the_words_after_the_dashes_are_gunicorns(tmp_path: Path) -> None:
    """Whatever gunicorn takes can be given, and comes last."""
    with harness.serve(tmp_path, "--", "--preload", "--workers", "1") as server:
        assert len(server.family().workers) == 1
        assert "--preload" in server.family().arbiter[0].cmdline()
        assert answers(server.port)


def test_a_configuration_file_is_read(tmp_path: Path) -> None:
    """A gunicorn configuration file counts, its hooks beside ours, options before it."""
    file = tmp_path / "mine.py"
    file.write_text(
        "threads = 3\nworkers = 7\n"
        "def post_worker_init(worker): worker.log.info('THREADS %s', worker.cfg.threads)\n"
    )
    with harness.serve(tmp_path, "--config", str(file), workers=1) as server:
        assert len(server.family().workers) == 1
        harness.wait_until(lambda: "THREADS 3" in server.output, "the file's hook")


def test_without_a_health_server(tmp_path: Path) -> None:
    """``--no-health`` leaves the application alone with its parent."""
    with harness.serve(tmp_path, "--no-health", health=False) as server:
        assert answers(server.port)
        assert server.family().health_arbiter == []
        assert harness.is_free(server.health_port)


def test_signals_are_passed_on(tmp_path: Path) -> None:
    """TTIN and TTOU change the number of workers, HUP replaces them, USR2 is refused."""
    with harness.serve(tmp_path) as server:
        parent = server.process
        harness.wait_until(lambda: len(server.family().workers) == 2, "both workers")
        first = {p.pid for p in server.family().workers}
        parent.send_signal(signal.SIGTTIN)
        harness.wait_until(
            lambda: harness.conditions(server.health_port) == {"idle": 3}, "a third worker"
        )
        parent.send_signal(signal.SIGTTOU)
        harness.wait_until(lambda: len(server.family().workers) == 2, "two workers")
        harness.wait_until(
            lambda: harness.conditions(server.health_port) == {"idle": 2},
            "none that counts as dead",
        )
        health = {p.pid for p in server.family().health_workers}
        parent.send_signal(signal.SIGHUP)
        harness.wait_until(
            lambda: (
                len(server.family().workers) == 2
                and first.isdisjoint(p.pid for p in server.family().workers)
            ),
            "new workers",
        )
        harness.wait_until(
            lambda: (
                server.family().health_workers
                and health.isdisjoint(p.pid for p in server.family().health_workers)
            ),
            "a new health worker",
        )
        parent.send_signal(signal.SIGUSR1)
        parent.send_signal(signal.SIGUSR2)
        harness.wait_until(lambda: "SIGUSR2 is not supported" in server.output, "the refusal")
        assert answers(server.port)


def starting(tmp_path: Path) -> harness.Server:
    """Return a `serve` that has started both servers, which are not up yet."""
    argv = [sys.executable, "manage.py", "serve", "--workers", "2"]
    server = harness.Server(argv, tmp_path)
    server.wait_ready(lambda: "serving: application" in server.output, "the children")
    return server


def test_signals_at_the_start_wait_for_gunicorn(tmp_path: Path) -> None:
    """What would end or halt a program that has no handler yet does neither."""
    with starting(tmp_path) as server:
        for sig in (signal.SIGTTOU, signal.SIGTTIN, signal.SIGUSR1, signal.SIGHUP):
            server.process.send_signal(sig)
        server.wait_serving(server.port, server.health_port)
        assert answers(server.port)
        assert "starting it again" not in server.output


def test_a_stop_at_the_start_is_a_stop(tmp_path: Path) -> None:
    """The exit status is 0 and nothing is left, though gunicorn had no handler yet."""
    with starting(tmp_path) as server:
        assert server.stop() == 0
        assert harness.is_free(server.port)
        assert harness.is_free(server.health_port)


@pytest.mark.parametrize(
    ("worker_class", "first"), [("sync", signal.SIGINT), ("gthread", signal.SIGTERM)]
)
def test_a_second_signal_stops_at_once(
    tmp_path: Path, worker_class: str, first: signal.Signals
) -> None:
    """In a long drain, with a request that goes on for long, the second signal ends all."""
    env = {"SENTINEL_DRAIN_SECONDS": "3600"}
    with harness.serve(tmp_path, "--worker-class", worker_class, env=env) as server:
        blocked(server.port, 3600)

        def drains() -> bool:
            if "draining" not in server.output:
                server.process.send_signal(first)
                return False
            return True

        harness.wait_until(drains, "the drain")
        assert server.process.poll() is None
        assert server.stop(first) == 0
        assert harness.is_free(server.port)
        assert harness.is_free(server.health_port)


@pytest.mark.parametrize(
    ("killed", "worker_class", "busy"),
    [
        ("parent", "sync", True),
        ("parent", "gthread", True),
        ("arbiter", "sync", False),
        ("arbiter", "gthread", True),
    ],
)
def test_sigkill_of_parent_or_arbiter_ends_everything(
    tmp_path: Path, killed: str, worker_class: str, busy: bool
) -> None:
    """No process is left, and both ports are free for a new start within two seconds."""
    with harness.serve(tmp_path, "--worker-class", worker_class) as server:
        if busy:
            for _ in range(2):
                blocked(server.port, 30)
            time.sleep(0.3)
        harness.wait_until(lambda: len(server.family().workers) == 2, "both workers")
        family = server.family()
        (family.parent if killed == "parent" else family.arbiter[0]).kill()
        harness.wait_until(
            lambda: harness.is_free(server.port) and harness.is_free(server.health_port),
            "free ports",
            PORTS_FREE_WITHIN_SECONDS,
        )
        assert server.wait_gone() == (-signal.SIGKILL if killed == "parent" else 137)


def test_a_worker_that_still_loads_ends_with_the_parent(tmp_path: Path) -> None:
    """Killed while the application is being loaded, nothing holds the port until it is."""
    file = tmp_path / "slow.py"
    file.write_text(
        "import time\ndef post_fork(server, worker):\n"
        "    worker.log.info('loading')\n    time.sleep(20)\n"
    )
    argv = [sys.executable, "manage.py", "serve", "--workers", "1", "--config", str(file)]
    with harness.Server(argv, tmp_path) as server:
        server.wait_ready(lambda: "loading" in server.output, "a worker")
        server.process.kill()
        harness.wait_until(
            lambda: harness.is_free(server.port), "a free port", PORTS_FREE_WITHIN_SECONDS
        )
        server.wait_gone()


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    """The arbiter starts another; nothing else changes."""
    with harness.serve(tmp_path) as server:
        harness.wait_until(lambda: len(server.family().workers) == 2, "both workers")
        before = server.family()
        before.workers[0].kill()
        harness.wait_until(
            lambda: (
                len(server.family().workers) == 2
                and before.workers[0].pid not in [p.pid for p in server.family().workers]
            ),
            "another worker",
        )
        after = server.family()
        assert after.arbiter == before.arbiter
        assert after.health_arbiter == before.health_arbiter
        assert answers(server.port)


@pytest.mark.parametrize("killed", ["health_arbiter", "health_workers"])
def test_a_killed_health_server_is_restarted(tmp_path: Path, killed: str) -> None:
    """It answers again on its port, and the application never notices."""
    with harness.serve(tmp_path) as server:
        harness.wait_until(lambda: len(server.family().workers) == 2, "both workers")
        before = server.family()
        getattr(before, killed)[0].kill()
        harness.wait_until(
            lambda: (
                server.family().health_workers
                and before.health_workers[0].pid
                not in [p.pid for p in server.family().health_workers]
            ),
            "another health worker",
        )
        server.wait_serving(server.health_port)
        after = server.family()
        assert (after.health_arbiter == before.health_arbiter) == (killed == "health_workers")
        assert after.arbiter == before.arbiter
        assert {p.pid for p in after.workers} == {p.pid for p in before.workers}
        assert answers(server.port)


def test_a_health_server_that_fails_does_not_harm(tmp_path: Path) -> None:
    """Killed again and again it is started again, later each time, and the application serves."""
    with harness.serve(tmp_path) as server:
        for pause in ("0.5 s", "1 s"):
            harness.wait_until(lambda: server.family().health_arbiter, "the health server")
            server.family().health_arbiter[0].kill()
            said = f"the health server ended with SIGKILL; starting it again in {pause}"
            harness.wait_until(lambda said=said: said in server.output, "the restart")
            assert answers(server.port)


def test_a_health_server_that_died_for_good_ends_everything(tmp_path: Path) -> None:
    """After eight failures in a row the host drains, the application stops, the status is its."""
    argv = [sys.executable, "-m", "tests.end_to_end.programs.give_up"]
    with harness.Program(argv, log=tmp_path / "parent.log") as program:
        assert program.wait_gone() == 7
        assert program.output.count("starting it again") == 7
        what = "the health server ended with exit status 7, 8 times in a row"
        assert f"[True, False] {what}" in program.output


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="it looks into /proc")
def test_closed_standard_descriptors_are_no_files_of_ours(tmp_path: Path) -> None:
    """Started with all three closed, nothing that a server prints can end in the store."""
    argv = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', sys.executable]
    with harness.Server([*argv, "manage.py", "serve", "--workers", "1"], tmp_path) as server:
        server.wait_serving(server.port, server.health_port)
        family = server.family()
        for process in (*family.arbiter, *family.workers, *family.health_workers):
            for number in (0, 1, 2):
                assert Path(f"/proc/{process.pid}/fd/{number}").readlink() == Path(os.devnull)


def test_orphans_are_adopted_and_ended(tmp_path: Path) -> None:
    """What a dead worker leaves behind is reaped, and stopped with the rest."""
    file = tmp_path / "orphans.py"
    pids = tmp_path / "pids"
    file.write_text(
        "import subprocess\n"
        "def post_worker_init(worker):\n"
        "    sleeper = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        f"    open({str(pids)!r}, 'a').write(f'{{sleeper.pid}}\\n')\n"
    )
    with harness.serve(tmp_path, "--config", str(file), workers=1) as server:
        sleeper = psutil.Process(int(pids.read_text().split()[0]))
        assert sleeper.ppid() == server.family().workers[0].pid
        server.family().workers[0].kill()
        harness.wait_until(lambda: sleeper.ppid() == server.pid, "the adoption")
        assert server.stop() == 0
        assert not sleeper.is_running()

"""What only a worker knows, in scrapes that the health server answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metrics import shared
from tests.support import harness
from tests.support.harness import ROOT, project_env


def own_pids(text: str) -> dict[str, int]:
    """Return the process ids that a scrape's samples of the application tell."""
    return {
        name: int(float(value))
        for name, _, value in (line.partition(" ") for line in text.splitlines())
        if name in ("t_pool", "t_callback")
    }


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "gevent", "asgi"])
def test_the_health_port_shows_the_applications(tmp_path: Path, worker_class: str) -> None:
    """Collectors and callbacks there, and in ``dump_metrics``, are one and the same worker's."""
    env = {"DJANGO_SETTINGS_MODULE": "tests.end_to_end.programs.own_figures_settings"}
    with harness.serve(tmp_path, "--worker-class", worker_class, workers=2, env=env) as server:
        port = server.health_port
        harness.wait_until(lambda: "t_pool" in harness.get(port, "/metrics").text, "a worker")
        workers = {process.pid for process in server.family().workers}
        text = harness.get(port, "/metrics").text
        [pid] = set(own_pids(text).values())
        assert own_pids(text) == {"t_pool": pid, "t_callback": pid}
        assert pid in workers
        lanes = shared.Store(tmp_path / "run").workers()
        [number] = [worker.number for worker in lanes if worker.pid == pid]
        by = f'sentinel_scrape_answered_by{{kind="gunicorn",worker="{number}"}} 1.0'
        assert by in text.splitlines()
        assert "\nsentinel_scrape_left_out 0.0\n" in text
        dump = [sys.executable, "manage.py", "dump_metrics"]
        done = subprocess.run(
            dump,
            cwd=ROOT,
            env={**os.environ, **project_env(tmp_path), **env},
            capture_output=True,
            text=True,
            check=True,
        )
        assert own_pids(done.stdout) == {"t_pool": pid, "t_callback": pid}
        # one that is stopped is passed over, and so is one that is gone
        os.kill(pid, signal.SIGSTOP)
        try:
            others = workers - {pid}
            harness.wait_until(
                lambda: (
                    set(own_pids(harness.get(port, "/metrics").text).values()) <= others
                    and own_pids(harness.get(port, "/metrics").text)
                ),
                "the other worker",
            )
        finally:
            os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGKILL)
        harness.wait_until(
            lambda: set(own_pids(harness.get(port, "/metrics").text).values()) & others,
            "the other worker",
        )
        harness.wait_until(lambda: harness.conditions(port) == {"idle": 2}, "a new worker")
        # the application's own port shows the figures of the worker that answers there
        assert set(own_pids(harness.get(server.port, "/metrics").text).values()) <= {
            process.pid for process in server.family().workers
        }

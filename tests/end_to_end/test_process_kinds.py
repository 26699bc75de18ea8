"""Processes of other kinds than gunicorn's, in the same scrape."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from tests.support import harness

CELERY_TASKS = "tests.end_to_end.programs.celery_tasks"
CRON = "from tests.end_to_end.programs.nightly import run; run()"


def kinds(port: int) -> set[str]:
    """Return the kinds of the processes whose memory a scrape shows."""
    rows = harness.get(port, "/metrics").text.splitlines()
    return {
        row.partition('kind="')[2].partition('"')[0]
        for row in rows
        if row.startswith("process_resident_memory_bytes{")
    }


def test_a_celery_worker_and_a_command_are_in_the_same_scrape(tmp_path: Path) -> None:
    """What they count is in the service's totals, and they are shown under their kinds."""
    queue = tmp_path / "queue"
    queue.mkdir()
    env = harness.project_env(tmp_path) | {"CELERY_QUEUE": str(queue)}
    celery = [sys.executable, "-m", "celery", "-A", CELERY_TASKS, "worker"]
    celery += ["--concurrency", "1", "--without-gossip", "--without-mingle"]
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", CRON]
    send = [sys.executable, "-c", f"from {CELERY_TASKS} import work; work.delay()"]
    with (
        harness.serve(tmp_path, workers=1) as server,
        harness.Program(celery, log=tmp_path / "celery.log", env=env),
        harness.Program(command, log=tmp_path / "command.log", env=env) as nightly,
        harness.Program(send, log=tmp_path / "send.log", env=env) as sender,
    ):
        port = server.health_port
        assert sender.wait_gone() == 0, sender.output
        harness.wait_until(lambda: harness.requests_counted(port, "task") == 1, "the task")
        harness.wait_until(lambda: harness.requests_counted(port, "nightly") == 1, "the command")
        assert harness.requests_counted(server.port, "task") == 1
        assert kinds(port) >= {"gunicorn", "celery", "manage.py shell", "health_server"}
        # none of them is a sign of the application's life
        assert harness.get(port, "/health?verbose").json()["workers"]["idle"] == 1
        nightly.stop()
        harness.wait_until(lambda: "manage.py shell" not in kinds(port), "its end")
        assert harness.requests_counted(port, "nightly") == 1


SERVER = Path(__file__).parent / "programs" / "server.py"
SLEEP = "import time; print('waits', flush=True); time.sleep(600)"


def _health(port: int) -> tuple[int, object]:
    answer = harness.get(port, "/health")
    return answer.status, answer.json()


def _health_server(tmp_path: Path, kinds: list[str]) -> harness.Server:
    port = harness.free_port()
    argv = [sys.executable, "manage.py", "health_server", "--bind", f"127.0.0.1:{port}"]
    env = {"SENTINEL_APPLICATION_KINDS": json.dumps(kinds)}
    server = harness.Server(argv, tmp_path, env=env)
    server.health_port = port
    return server.wait_serving(port)


def test_life_of_a_container_without_a_web_worker(tmp_path: Path) -> None:
    """A command whose kind the setting names is alive before it counts anything, and then dead."""
    env = harness.project_env(tmp_path) | {"SENTINEL_APPLICATION_KINDS": '["manage.py shell"]'}
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", SLEEP]
    with _health_server(tmp_path, ["manage.py shell"]) as server:
        port = server.health_port
        assert _health(port) == (503, {"status": "dead", "reason": "application not started"})
        with harness.Program(command, log=tmp_path / "command.log", env=env) as worker:
            harness.wait_until(lambda: _health(port)[0] == 200, "the worker's life")
            assert harness.conditions(port) == {"idle": 1}
            worker.process.send_signal(signal.SIGKILL)
            worker.wait_gone()
        dead = (503, {"status": "dead", "reason": "no application worker alive"})
        harness.wait_until(lambda: _health(port) == dead, "its death")


def test_life_of_a_server_of_ones_own(tmp_path: Path) -> None:
    """``python server.py`` counts under its script's name, before its first request."""
    with _health_server(tmp_path, ["gunicorn", "server"]) as server:
        bind = f"127.0.0.1:{harness.free_port()}"
        env = server.env | {"SENTINEL_BIND": bind, "PYTHONPATH": str(harness.ROOT)}
        argv = [sys.executable, str(SERVER)]
        with harness.Program(argv, log=tmp_path / "own.log", env=env):
            port = server.health_port
            harness.wait_until(lambda: _health(port)[0] == 200, "its life")
            assert harness.conditions(port) == {"idle": 1}

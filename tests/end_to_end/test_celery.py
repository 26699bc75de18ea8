"""Tasks of real Celery workers, over a real Redis, as they are counted with the senders."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import harness
from tests.support.misbehaving import Redis
from tests.support.scraped import figures

TASKS = "tests.end_to_end.programs.measured_tasks"
RUNS = "celery_task_duration_seconds_count"
POOLS = ["prefork", "threads", "solo", "gevent"]
ONCE = {"good": "SUCCESS", "ignored": "IGNORED", "rejected": "REJECTED"}
ENDS = {("", state, f"{TASKS}.{name}"): 2 for name, state in ONCE.items()} | {
    ("", "SUCCESS", f"{TASKS}.again"): 2,
    ("ValueError", "RETRY", f"{TASKS}.again"): 4,
    ("LookupError", "FAILURE", f"{TASKS}.bad"): 2,
}


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run a Redis; return the environment of all programs."""
    with Redis(tmp_path) as redis:
        yield harness.project_env(tmp_path) | {
            "MEASURED_REDIS": redis.url,
            "MEASURED_GATE": str(tmp_path / "gate"),
            "SENTINEL_INSTRUMENT": '["celery"]',
        }


@contextmanager
def worker(tmp_path: Path, env: dict[str, str], pool: str) -> Iterator[int]:
    """Run a worker beside the application; yield the port of the health server."""
    argv = [sys.executable, "-m", "celery", "-A", TASKS, "worker", "--pool", pool]
    argv += ["--concurrency", "2", "--without-gossip", "--without-mingle"]
    with (
        harness.serve(tmp_path, workers=1, env=env) as server,
        harness.Program(argv, log=tmp_path / "celery.log", env=env),
    ):
        yield server.health_port


def send(tmp_path: Path, env: dict[str, str], function: str) -> None:
    """Send tasks from a process that ends then."""
    argv = [sys.executable, "-c", f"from {TASKS} import *; {function}()"]
    with harness.Program(argv, log=tmp_path / "send.log", env=env) as sender:
        assert sender.wait_gone() == 0, sender.output


@pytest.mark.parametrize(("pool", "number"), [("prefork", 3), ("threads", 1)])
def test_a_worker_without_work(tmp_path: Path, env: dict[str, str], pool: str, number: int) -> None:
    """It is in the scrape with each of its processes, though it has counted nothing yet."""

    def seen(port: int) -> int:
        shown = figures(port, "process_resident_memory_bytes")
        return sum("celery" in labels for labels in shown)

    with worker(tmp_path, env, pool) as port:
        harness.wait_until(lambda: seen(port) == number, "the idle worker")


@pytest.mark.parametrize("pool", POOLS)
def test_every_run_counts_once(tmp_path: Path, env: dict[str, str], pool: str) -> None:
    """By its task and its end, with the time that it waited."""
    with worker(tmp_path, env, pool) as port:
        send(tmp_path, env, "send_all")
        harness.wait_until(lambda: figures(port, RUNS).total() >= 14, "14 runs")
        refused = "celery_messages_refused_total"
        harness.wait_until(lambda: bool(figures(port, refused)), "the message of no task")
        harness.wait_until(
            lambda: bool(figures(port, "celery_tasks_revoked_total")), "the one that expired"
        )
        assert figures(port, RUNS) == ENDS
        assert figures(port, refused) == {("unknown_task",): 1}
        assert figures(port, "celery_tasks_revoked_total") == {("expired", f"{TASKS}.good"): 1}
        waited = figures(port, "celery_task_queue_duration_seconds_count")
        assert waited == {
            ("work", f"{TASKS}.{name}"): number
            for name, number in (
                ("good", 2),
                ("bad", 2),
                ("again", 6),
                ("ignored", 2),
                ("rejected", 2),
            )
        }
        sent = figures(port, "celery_tasks_sent_total")
        assert sent == waited + Counter({("work", f"{TASKS}.good"): 1, ("work", "unknown"): 1})
        assert not figures(port, "celery_tasks_active")


def test_what_ends_a_process_of_the_pool(tmp_path: Path, env: dict[str, str]) -> None:
    """It counts as lost, and is in progress no longer."""
    with worker(tmp_path, env, "prefork") as port:
        send(tmp_path, env, "send_fatal")
        # both, before the worker is stopped: it would wait for one that runs without a limit
        lost = {
            ("WorkerLostError", f"{TASKS}.killed"): 1,
            ("TimeLimitExceeded", f"{TASKS}.endless"): 1,
        }
        harness.wait_until(
            lambda: figures(port, "celery_tasks_lost_total").total() >= 2, "both losses"
        )
        harness.wait_until(lambda: not figures(port, "celery_tasks_active"), "nothing runs")
        assert figures(port, "celery_tasks_lost_total") == lost
        # TERM, by which a hard time limit begins, is an exception in the run
        assert set(figures(port, RUNS)) <= {("SystemExit", "FAILURE", f"{TASKS}.endless")}


def test_what_runs_now(tmp_path: Path, env: dict[str, str]) -> None:
    """Runs are in progress from their beginning to their end."""
    with worker(tmp_path, env, "threads") as port:
        send(tmp_path, env, "send_waiting")
        active = "celery_tasks_active"
        harness.wait_until(
            lambda: figures(port, active) == {(f"{TASKS}.waits",): 2}, "two in progress"
        )
        (tmp_path / "gate").touch()
        harness.wait_until(lambda: not figures(port, active), "their end")
        assert figures(port, RUNS) == {("", "SUCCESS", f"{TASKS}.waits"): 2}

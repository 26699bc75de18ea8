"""Life and death of the application where the run directory does not tell."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from tests.support import harness
from tests.support.harness import details

BLIND = {
    "status": "ok",
    "unknown": "the run directory does not show what the workers are doing",
    "saturated": None,
    "workers": None,
    "requests_in_progress": None,
    "oldest_request_seconds": None,
}


def test_a_run_directory_that_never_was_kills_no_application(tmp_path: Path) -> None:
    """It serves, and is said to live and to have started; what it does is said to be unknown."""
    (tmp_path / "file").write_text("")
    env = {"SENTINEL_RUN_DIR": str(tmp_path / "file" / "run")}
    with harness.serve(tmp_path, env=env) as server:
        assert harness.post(server.port, "/tools/echo", 1).status == 200
        harness.wait_until(lambda: details(server) == BLIND, "life")
        assert harness.get(server.health_port, "/started").status == 200
        assert harness.get(server.health_port, "/ready").status == 503
        assert "sentinel_workers" not in harness.get(server.health_port, "/metrics").text


def test_a_run_directory_that_vanished_kills_no_application(tmp_path: Path) -> None:
    """Nor does a reload then, nor a new health server, which never saw a lane."""
    with harness.serve(tmp_path) as server:
        harness.wait_until(
            lambda: harness.conditions(server.health_port) == {"idle": 2}, "two idle workers"
        )
        shutil.rmtree(server.run_dir)
        server.run_dir.write_text("in its place")
        harness.wait_until(lambda: details(server) == BLIND, "that it cannot tell")
        before = server.family()
        server.process.send_signal(signal.SIGHUP)

        def reloaded() -> bool:
            assert harness.get(server.health_port, "/health").status == 200
            now = server.family()
            return (
                len(now.workers) == 2
                and {p.pid for p in before.workers}.isdisjoint(p.pid for p in now.workers)
                and len(now.health_workers) == 1
                and now.health_workers != before.health_workers
            )

        harness.wait_until(reloaded, "new workers")
        before.health_arbiter[0].kill()
        harness.wait_until(lambda: "starting it again" in server.output, "its end")
        server.wait_serving(server.health_port)
        harness.wait_until(lambda: details(server) == BLIND, "life")
        server.run_dir.unlink()  # and with the next requests all is well again

        def tells() -> bool:
            harness.post(server.port, "/tools/echo", 1)
            return details(server) != BLIND and harness.conditions(server.health_port) == {
                "idle": 2
            }

        harness.wait_until(tells, "two idle workers")


def test_without_a_run_directory_serve_still_knows_life(tmp_path: Path) -> None:
    """With SENTINEL_RUN_DIR = None nothing is shared but life itself."""
    with harness.serve(tmp_path, env={"SENTINEL_RUN_DIR": ""}) as server:
        harness.wait_until(lambda: details(server) == BLIND, "life")
        harness.wait_until(
            lambda: harness.get(server.health_port, "/started").status == 200, "the start"
        )

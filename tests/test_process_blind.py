"""Life and death of the application where the run directory does not tell."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from health.application import life_signs, watch, workers
from metrics import shared
from metrics.shared import Worker
from tests.support import harness
from tests.test_process_probes import conditions, details
from tests.test_process_workers import worker

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
        harness.wait_until(lambda: conditions(server) == {"idle": 2}, "two idle workers")
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
            return details(server) != BLIND and conditions(server) == {"idle": 2}

        harness.wait_until(tells, "two idle workers")


def test_without_a_run_directory_serve_still_knows_life(tmp_path: Path) -> None:
    """With SENTINEL_RUN_DIR = None nothing is shared but life itself."""
    with harness.serve(tmp_path, env={"SENTINEL_RUN_DIR": ""}) as server:
        harness.wait_until(lambda: details(server) == BLIND, "life")
        harness.wait_until(
            lambda: harness.get(server.health_port, "/started").status == 200, "the start"
        )


@pytest.mark.parametrize(
    ("lives", "lived", "lanes", "trouble"),
    [
        (False, False, [], "application not started"),
        (True, True, [], None),
        (False, True, [], "no application worker alive"),
        # all who had a lane are dead, and one who found none serves
        (True, True, [worker(alive=False)], None),
        (False, True, [worker(alive=False)], "no application worker alive"),
        (False, False, [worker()], None),
    ],
)
def test_life_beside_the_lanes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lives: bool,
    lived: bool,
    lanes: list[Worker],
    trouble: str | None,
) -> None:
    """Either of the two is life; only where both are silent is the application dead."""

    class Life:
        def anyone_lives(self) -> bool:
            return lives

        def anyone_lived(self) -> bool:
            return lived

    store = shared.Store(tmp_path / "run", kind=lambda: "health_server")
    monkeypatch.setattr(store, "workers", lambda: lanes)
    monkeypatch.setattr(watch.shared, "current", lambda: store)
    monkeypatch.setattr(watch.life_signs, "current", Life)
    monkeypatch.setattr(watch, "_memory", watch._Memory())
    monkeypatch.setattr(watch, "RESTART_SECONDS", 0.0)
    observed = watch.observe()
    assert observed is not None
    assert observed.trouble == trouble


def test_a_sidecar_that_sees_no_lane_at_all_proves_no_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even its own: it cannot tell. With its own alone the application has not started."""
    store = shared.Store(tmp_path / "run", kind=lambda: "health_server")
    monkeypatch.setattr(watch.shared, "current", lambda: store)
    monkeypatch.setattr(watch, "_memory", watch._Memory())
    for lanes, trouble in (([], None), ([worker(kind="health_server")], workers.NOT_STARTED)):
        monkeypatch.setattr(store, "workers", lambda lanes=lanes: lanes)
        observed = watch.observe()
        assert observed is not None
        assert observed.trouble == trouble


def test_last_words_fit_on_a_line() -> None:
    """The latest are kept, and none there are at the start."""
    mine = life_signs.Vitals.create()
    assert (mine.words(), mine.anyone_lives(), mine.anyone_lived()) == ("", False, False)
    mine.say("a long story\nin many lines " + "x" * 5000)
    assert mine.words().startswith("a long story in many lines xxx")
    mine.say("brief")
    assert (mine.words(), mine.anyone_lived()) == ("brief", False)

"""What is remembered from one look at the lanes to the next, and where they say nothing."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from django.test import Client, override_settings

from health.application import life_signs, watch, workers
from health.application.workers import Condition
from metrics import shared
from metrics.samples import Worker
from tests.health.application.workers_to_judge import application, worker


def test_workers_on_their_way_are_no_death(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the server lives that had the last worker, and for a while, there is no death."""
    with subprocess.Popen(["sleep", "60"]) as server:
        monkeypatch.setattr(watch, "_parents", lambda pids: [psutil.Process(server.pid)])
        memory = watch._Memory()
        memory.look([worker()])
        memory.look([worker(alive=False)])
        assert memory.is_restarting()
        monkeypatch.setattr(watch, "RESTART_SECONDS", 0.0)
        assert not memory.is_restarting()
        monkeypatch.undo()
        assert memory.is_restarting()
        server.kill()
        server.wait()
        assert not memory.is_restarting()
    dead = application(Condition.DEAD)
    assert dead.trouble == "no application worker alive"
    assert replace(dead, is_restarting=True).trouble is None
    assert application(Condition.LEFT).trouble == "no application worker alive"


def test_lanes_that_cannot_be_read_are_no_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the lanes cannot be read what was read last counts; other kinds never do."""
    store = shared.Store(tmp_path / "run", kind=lambda: "gunicorn")
    monkeypatch.setattr(shared, "current", lambda: store)
    monkeypatch.setattr(watch, "_memory", watch._Memory())
    monkeypatch.setattr(watch, "RESTART_SECONDS", 0.0)
    lanes = [[worker(kind="celery"), worker()], [], [worker(kind="celery"), worker(alive=False)]]
    monkeypatch.setattr(store, "workers", lambda: lanes.pop(0))
    troubles = []
    while lanes:
        observed = watch.observe()
        assert observed is not None
        assert len(observed.workers) == 1
        troubles.append(observed.trouble)
    assert troubles == [None, None, "no application worker alive"]


@override_settings(ROOT_URLCONF="health.server.urls", MIDDLEWARE=[])
def test_without_a_store_health_is_ok() -> None:
    """In memory nothing is known of other processes; that alone is no death."""
    assert watch.observe() is None
    for path in ("/health", "/health?verbose"):
        response = Client().get(path)
        assert (response.status_code, response.content) == (200, b'{"status": "ok"}')
        assert response["Content-Type"] == "application/json"


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
    monkeypatch.setattr(shared, "current", lambda: store)
    monkeypatch.setattr(life_signs, "current", Life)
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
    monkeypatch.setattr(shared, "current", lambda: store)
    monkeypatch.setattr(watch, "_memory", watch._Memory())
    for lanes, trouble in (([], None), ([worker(kind="health_server")], workers.NOT_STARTED)):
        monkeypatch.setattr(store, "workers", lambda lanes=lanes: lanes)
        observed = watch.observe()
        assert observed is not None
        assert observed.trouble == trouble

"""The commands and the console script, as an operator or an exec probe calls them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from health.board.health_map import BackendHealthMap
from health.conf.backends import parse
from tests.support.harness import ROOT, Program, manage, project_env, sentinel_health, wait_until

DATABASE = {"default": {"PROBE": "health.probes.DatabaseProbe"}}


Prepare = Callable[[BackendHealthMap, Path], None]


def _ready(board: BackendHealthMap, run_dir: Path) -> None:
    board.report("default", True)


def _not_ready(board: BackendHealthMap, run_dir: Path) -> None:
    board.report("default", False, error="refused")


def _stale(board: BackendHealthMap, run_dir: Path) -> None:
    board.report("default", True, max_age=1e-9)


def _never_checked(board: BackendHealthMap, run_dir: Path) -> None:
    board.update(lambda document: document.declare(c.unchecked for c in parse(DATABASE).values()))


def _draining(board: BackendHealthMap, run_dir: Path) -> None:
    board.report("default", True)
    (run_dir / "draining").touch()


def _damaged(board: BackendHealthMap, run_dir: Path) -> None:
    board.report("default", True)
    (run_dir / "health" / "board").write_bytes(b"junk")


@pytest.mark.parametrize(
    ("prepare", "code", "status", "reason"),
    [
        (_ready, 0, "ready", None),
        (_not_ready, 1, "not_ready", None),
        (_stale, 2, "unknown", "checker stale"),
        (_never_checked, 2, "unknown", "checker stale"),
        (_draining, 1, "not_ready", "draining"),
        (_damaged, 2, "unknown", "checker stale"),
    ],
)
def test_both_commands_say_the_same(
    board: BackendHealthMap,
    tmp_path: Path,
    prepare: Prepare,
    code: int,
    status: str,
    reason: str | None,
) -> None:
    """Exit code, status and reason are those of the board, from Django and without it."""
    prepare(board, tmp_path / "run")
    ours = sentinel_health(tmp_path, "--format", "json")
    theirs = manage(tmp_path, "health_status", "--format", "json")
    for done in (ours, theirs):
        said = json.loads(done.stdout)
        assert (done.returncode, said["status"], said["reason"]) == (code, status, reason)
    if prepare is not _damaged:
        assert ours.stderr == ""
        keys = json.loads(ours.stdout)["backends"]["default"].keys()
        assert keys == json.loads(theirs.stdout)["backends"]["default"].keys()
        assert {"healthy", "last_check", "consecutive_failures", "error"} <= keys


def test_wrong_settings_are_unknown_and_not_a_traceback(tmp_path: Path) -> None:
    """health_status ends with 2 and names the key."""
    done = subprocess.run(
        [sys.executable, "manage.py", "health_status"],
        cwd=ROOT,
        env={**os.environ, **project_env(tmp_path), "SENTINEL_BACKENDS": '{"a": {"PROBE": "x"}}'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("CommandError: SENTINEL_BACKENDS['a']['PROBE'] must be")


def test_probe_backends_once(tmp_path: Path) -> None:
    """Every probe is run once and its outcome printed; a failure is the exit code."""
    done = manage(tmp_path, "probe_backends")
    assert done.returncode == 0
    assert done.stdout.decode().split()[:2] == ["default", "healthy"]
    backends = {
        **DATABASE,
        "gone": {"PROBE": "health.probes.TCPProbe", "OPTIONS": {"host": "127.0.0.1", "port": 1}},
    }
    env = {**os.environ, **project_env(tmp_path), "SENTINEL_BACKENDS": json.dumps(backends)}
    failed = subprocess.run(
        [sys.executable, "manage.py", "probe_backends"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert [line.split()[:2] for line in failed.stdout.splitlines()] == [
        ["default", "healthy"],
        ["gone", "unhealthy"],
    ]


def test_probe_backends_for_good(tmp_path: Path) -> None:
    """With --loop it is the prober in the foreground, until SIGTERM, and ends with 0."""
    argv = [sys.executable, "manage.py", "probe_backends", "--loop"]
    env = project_env(tmp_path)
    with Program(argv, log=tmp_path / "log", env=env) as prober:
        wait_until(lambda: sentinel_health(tmp_path, "-q").returncode == 0, "ready")
        assert prober.stop(signal.SIGTERM) == 0


def test_drain_and_undo(board: BackendHealthMap, tmp_path: Path) -> None:
    """The mark makes the host not ready for every process, and its removal ready again."""
    board.report("default", True)
    done = manage(tmp_path, "drain")
    assert done.stdout == b"draining\n"
    assert b"no process of the service uses " in done.stderr
    assert sentinel_health(tmp_path).stdout.startswith("not ready (draining)\n")
    assert manage(tmp_path, "drain", "--undo").stdout == b"not draining\n"
    assert sentinel_health(tmp_path).stdout.startswith("ready\n")

"""Whose figures a process id stands for: ids are used again, and sidecars have others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from health.application.watch import _Memory
from metrics.collectors import process_figures
from metrics.samples import Worker
from metrics.system import process_identity
from tests.metrics.system.programs import sidecars as programs
from tests.support.harness import ROOT, call, calling, project_env

OURS = {
    "pid_namespace": process_identity.pid_namespace(),
    "start_ticks": process_identity.start_ticks(),
}
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="pid namespaces are Linux'")


def worker(**changes: Any) -> Worker:
    """Return this process as the worker of a lane."""
    return Worker(3, os.getpid(), "test", 1.0, True, 0, 0.0, 0.0, 1, **OURS | changes)


@ON_LINUX
@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({}, True),
        ({"start_ticks": 0}, True),  # not known
        ({"start_ticks": OURS["start_ticks"] + 1}, False),
        ({"pid_namespace": OURS["pid_namespace"] + 1}, False),
        ({"pid_namespace": 0}, False),
    ],
)
def test_an_id_is_a_process_only_with_its_start_and_namespace(
    changes: dict[str, int], seen: bool
) -> None:
    """What has a worker's id, but started at another time or elsewhere, is not taken for it."""
    one = worker(**changes)
    assert one.is_running is seen
    [threads] = [m for m in process_figures.collect([one]) if m.name == "process_threads"]
    assert [s.labels for s in threads.samples] == [{"worker": "3", "kind": "test"}] * seen
    memory = _Memory()
    memory.look([one])
    assert [p.pid for p in memory._parents] == [os.getppid()] * seen


@ON_LINUX
def test_who_has_ended_in_order_runs_no_more() -> None:
    """Id 0, which a process leaves at its end, is none's."""
    assert not worker()._replace(pid=0).is_running


@ON_LINUX
def test_sidecars_in_pid_namespaces_of_their_own(tmp_path: Path) -> None:
    """Two sidecars of one process id count together, know of each other, and are not confused."""
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make a pid namespace")
    sidecars: list[subprocess.Popen[str]] = []
    try:
        for others in ("True", "False"):
            sidecars.append(
                subprocess.Popen(
                    [*unshare, sys.executable, *calling(programs.stand_by)],
                    cwd=ROOT,
                    env={**os.environ, **project_env(tmp_path)},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            assert sidecars[-1].stdout is not None
            assert sidecars[-1].stdout.readline() == f"{others}\n"
        done = call(tmp_path, programs.look)
    finally:
        for sidecar in sidecars:
            sidecar.kill()
            sidecar.communicate()
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert lines == [
        "[(1, 'sidecar', True), (1, 'sidecar', True)]",
        'sentinel_requests_total{status="success",tool="echo"} 2.0',
    ]

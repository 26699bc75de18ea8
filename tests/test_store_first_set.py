"""The very first write of a process, when it owns no lane yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.harness import ROOT, project_env

SET_FIRST = """
import django
django.setup()
from metrics.registry import METRICS
METRICS.set_backend_health("db", True)
assert 'sentinel_backend_healthy{backend="db"} 1.0' in METRICS.gather_text()
"""


def test_a_process_may_begin_by_setting_a_gauge(tmp_path: Path) -> None:
    """Setting a gauge takes a lane just as adding to a counter does."""
    done = subprocess.run(
        [sys.executable, "-c", SET_FIRST],
        cwd=ROOT,
        env={**os.environ, **project_env(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")

"""The very first write of a process, when it owns no lane yet."""

from __future__ import annotations

from pathlib import Path

from tests.support.harness import run_python

SET_FIRST = """
import django
django.setup()
from metrics.registry import METRICS
METRICS.set_backend_health("db", True)
assert 'sentinel_backend_healthy{backend="db"} 1.0' in METRICS.gather_text()
"""


def test_a_process_may_begin_by_setting_a_gauge(tmp_path: Path) -> None:
    """Setting a gauge takes a lane just as adding to a counter does."""
    done = run_python(tmp_path, SET_FIRST)
    assert (done.returncode, done.stderr) == (0, "")

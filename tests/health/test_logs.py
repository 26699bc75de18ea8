"""Log lines of the commands in a project whose LOGGING is Django's default."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.harness import ROOT

TWICE = "from health.logs import ensure_handler; ensure_handler(); ensure_handler();"
SAY = "import logging; logging.getLogger('health.prober.autostart').info('probing');"


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (SAY, []),
        (TWICE + SAY, ["INFO health.prober.autostart: probing"]),
        ("import logging; logging.basicConfig();" + TWICE + SAY, []),
        (
            "import logging; logging.basicConfig(level=10);" + TWICE + SAY,
            ["INFO:health.prober.autostart:probing"],
        ),
    ],
    ids=["not heard", "heard once", "the project's level stays", "the project's handler stays"],
)
def test_lines_that_nobody_handles_go_to_stderr(code: str, lines: list[str]) -> None:
    """INFO is heard, once, however often it is asked for, unless the project has a handler."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said = done.stderr.splitlines()
    assert len(said) == len(lines)
    assert all(line.endswith(expected) for line, expected in zip(said, lines, strict=True))

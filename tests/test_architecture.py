"""The layout of the code: what each part may import, beside the contracts of `make lint`."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = sorted(path.stem for path in (ROOT / "health/core").glob("*.py") if path.stem != "__init__")
HTTP = {
    "health": {"admin", "answers", "middleware", "server", "urls", "views"},
    "metrics": {
        "activity",
        "admin",
        "endpoints",
        "instrument",
        "middleware",
        "streams",
        "urls",
        "views",
    },
}
"""Which rooms of each app know requests; the rest can be used without one."""


@pytest.mark.parametrize("name", [*(f"health.core.{stem}" for stem in CORE), "health.cli"])
def test_what_sentinel_health_needs_comes_without_django(name: str) -> None:
    """Each module of health.core, and the command, can be imported where nothing is installed."""
    code = f"import {name}, sys; print(sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    foreign = set(ast.literal_eval(done.stdout)) - set(sys.stdlib_module_names) - {"__main__"}
    assert foreign <= {"health"}


@pytest.mark.parametrize("app", sorted(HTTP))
def test_few_rooms_know_requests(app: str) -> None:
    """Nothing but the rooms that answer requests imports Django's requests and responses."""
    rooms = set()
    for path in (ROOT / app).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("django.http"):
                rooms.add(path.relative_to(ROOT / app).parts[0].removesuffix(".py"))
    assert rooms <= HTTP[app]


def test_no_import_goes_in_a_circle() -> None:
    """`make structure` prints a line for each folder, and none with a circle."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.structure"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["folder", "rooms", "levels", "arrows", "circles"]
    assert {"health/", "metrics/", "metrics/shared/"} <= {line.split()[0] for line in lines}
    assert {line.split()[-1] for line in lines} == {"none"}

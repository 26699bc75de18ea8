"""What the two apps add to the start of a process, against django-prometheus.

Each process has set up a project with Django's admin, as a worker, a command and a Celery
child do, and then adds the apps. The sides take turns; what is given is the median of each
side less that of adding none.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.case import Case

ROOT = Path(__file__).resolve().parent.parent
APPS = {"bare": [], "ours": ["metrics", "health"], "peer": ["django_prometheus"]}
STARTS = 21
ADMIN = ("admin", "auth", "contenttypes", "sessions", "messages")
CASE = "added to a process's start"


def run() -> list[Case]:
    """Measure the sides in turn."""
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in APPS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(STARTS + 1):
            for side in APPS:
                figures = _start(side, folder)
                if number:  # the first one writes the byte code
                    found[side].append(figures)
    median = {
        side: [statistics.median(column) for column in zip(*rows, strict=True)]
        for side, rows in found.items()
    }
    (ours_s, ours_mib), (peer_s, peer_mib) = (
        [value - bare for value, bare in zip(median[side], median["bare"], strict=True)]
        for side in ("ours", "peer")
    )
    return [
        Case(f"{CASE}, time", ours_s, peer_s, goal=0.015),
        Case(f"{CASE}, memory", ours_mib, peer_mib, unit="MiB", goal=3),
    ]


def _start(side: str, folder: str) -> tuple[float, float]:
    """Return the seconds and the MiB of memory that the apps take in a new process."""
    argv = [sys.executable, "-m", "benchmarks.bench_start", *APPS[side]]
    env = {**os.environ, "SENTINEL_RUN_DIR": f"{folder}/run", "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    seconds, mib = map(float, done.stdout.split())
    return seconds, mib


def _set_up(apps: list[str]) -> None:
    """Set Django up with its admin; print what it takes to add ``apps``."""
    import gc
    import time

    import django
    import psutil
    from django.apps import apps as registry
    from django.conf import settings

    admin = [f"django.contrib.{name}" for name in ADMIN]
    settings.configure(
        SECRET_KEY="a key for benchmarks only",
        INSTALLED_APPS=admin,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        SENTINEL_RUN_DIR=os.environ["SENTINEL_RUN_DIR"],
    )
    django.setup()
    memory = psutil.Process().memory_info().rss
    gc.disable()  # a full collection takes longer than all of this, and comes by chance
    began = time.perf_counter()
    registry.set_installed_apps([*apps, *admin])
    seconds = time.perf_counter() - began
    print(seconds, (psutil.Process().memory_info().rss - memory) / 2**20)


if __name__ == "__main__":
    _set_up(sys.argv[1:])

"""The sample project under uWSGI, with a request that all workers answer at the same time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prometheus_client import Counter

from metrics import shared
from metrics.registry import REGISTRY
from sentinel_project.wsgi import application as project

HERE = Path(os.environ["UWSGI_TEST_DIR"])
EACH = int(os.environ["UWSGI_TEST_EACH"])
LOADED = Counter("loaded", "Written while the application loads", registry=REGISTRY)
SERVED = Counter("served", "Written by the workers", registry=REGISTRY)
LOADED.inc()
SERVED.inc(0)


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer ``/all-at-once`` with the lane's number, once all workers are to go on."""
    if environ["PATH_INFO"] != "/all-at-once":
        answer: Iterable[bytes] = project(environ, start_response)
        return answer
    (HERE / f"here-{os.getpid()}").touch()
    while not (HERE / "go").exists():
        time.sleep(0.01)
    for _ in range(EACH):
        SERVED.inc()
    start_response("200 OK", [("Content-Type", "text/plain")])
    store = shared.current()
    assert store is not None
    return [str(store.lane_number).encode()]

"""uWSGI, which forks its workers in C: no hook of Python's runs then."""

from __future__ import annotations

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import harness

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pyuwsgi") is None, reason="pyuwsgi is not installed"
)

WORKERS = 4
EACH = 20_000
"""So many increments that two processes that shared a lane would be at it together."""

APPLICATION = f"""
import os, time
from pathlib import Path
from prometheus_client import Counter
from sentinel_project.wsgi import application as project
from metrics import shared
from metrics.registry import REGISTRY

HERE = Path(__file__).parent
LOADED = Counter("loaded", "Written while the application loads", registry=REGISTRY)
SERVED = Counter("served", "Written by the workers", registry=REGISTRY)
LOADED.inc()
SERVED.inc(0)

def application(environ, start_response):
    if environ["PATH_INFO"] != "/all-at-once":
        return project(environ, start_response)
    (HERE / f"here-{{os.getpid()}}").touch()
    while not (HERE / "go").exists():
        time.sleep(0.01)
    for _ in range({EACH}):
        SERVED.inc()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(shared.current().lane_number).encode()]
"""


def _figures(port: int, *names: str) -> list[float]:
    rows = dict(
        row.rsplit(" ", 1)
        for row in harness.get(port, "/metrics").text.splitlines()
        if not row.startswith("#")
    )
    return [float(rows[name]) for name in names]


@pytest.mark.parametrize(
    ("options", "loaded", "lanes"),
    [
        (["--master"], 1, {"1", "2", "3", "4"}),
        (["--master", "--enable-threads"], 1, {"1", "2", "3", "4"}),
        (["--master", "--enable-threads", "--py-call-uwsgi-fork-hooks"], 1, {"1", "2", "3", "4"}),
        (["--master", "--lazy-apps"], 4, {"0", "1", "2", "3"}),
        (["--master", "--lazy-apps", "--enable-threads"], 4, {"0", "1", "2", "3"}),
        ([], 1, {"0", "1", "2", "3"}),
    ],
    ids=lambda value: " ".join(value) or "none" if isinstance(value, list) else "",
)
def test_each_worker_has_a_lane_of_its_own(
    tmp_path: Path, options: list[str], loaded: int, lanes: set[str]
) -> None:
    """Four workers have four lanes, every count is exact, and the master is no worker."""
    (tmp_path / "served_app.py").write_text(APPLICATION)
    port = harness.free_port()
    argv = [str(Path(sys.executable).with_name("pyuwsgi")), "--module", "served_app"]
    argv += ["--http-socket", f"127.0.0.1:{port}", "--processes", str(WORKERS)]
    argv += ["--pythonpath", str(tmp_path), "--pythonpath", str(harness.ROOT)]
    argv += ["--die-on-term", "--need-app", *options]
    env = harness.project_env(tmp_path)
    with harness.Program(argv, log=tmp_path / "uwsgi.log", env=env) as server:
        server.wait_ready(lambda: not harness.is_free(port), "uWSGI")
        with ThreadPoolExecutor(WORKERS) as pool:
            answers = [pool.submit(harness.get, port, "/all-at-once") for _ in range(WORKERS)]
            harness.wait_until(
                lambda: len(list(tmp_path.glob("here-*"))) == WORKERS, "a request in each worker"
            )
            (tmp_path / "go").touch()
            assert {answer.result().text for answer in answers} == lanes
        assert _figures(port, "loaded_total", "served_total") == [loaded, WORKERS * EACH]
        states = ("idle", "busy", "saturated", "stuck", "dead")
        rows = [f'sentinel_workers{{state="{state}"}}' for state in states]
        assert sum(_figures(port, *rows)) == WORKERS
        if not options:
            server.kill()  # without a master nobody ends the others


FORK_IN_C = """
import ctypes, os, sys, tempfile, types
from metrics import shared
from prometheus_client import Counter
sys.modules["uwsgi"] = types.SimpleNamespace(
    worker_id=lambda: 0, mule_id=lambda: 0, i_am_the_spooler=lambda: False
)
from metrics.registry import REGISTRY
store = shared.current()
counter = Counter("c", "", registry=REGISTRY)
counter.inc(5)
value = counter._value
assert (store.lane_number, value.get(), len(store.cells)) == (0, 5.0, 0)
pid = ctypes.PyDLL(None).fork()
if not pid:
    try:
        {first}
        store.claim()
        counter.inc(2)
        print(store.lane_number, value.get(), flush=True)
    finally:
        os._exit(0)
os.waitpid(pid, 0)
counter.inc(1)
print(store.lane_number, value.get(), [w.pid == os.getpid() for w in store.workers()][0])
"""


@pytest.mark.parametrize(
    "first",
    [
        "counter.inc(0)",
        "counter.labels",
        "assert value.get() == 0.0",
        "assert store.lane_number is None",
        "assert value.get_exemplar() is None",
        "store.workers()",
        "store.snapshot()",
        "store.mend_lane()",
        "store.flush()",
        "store._leave()",
        "if not os.fork(): os._exit(0)",
    ],
)
def test_a_fork_that_no_hook_tells_of_is_noticed(tmp_path: Path, first: str) -> None:
    """Whatever a child forked in C does first, its parent's lane stays the parent's."""
    code = f"import django\ndjango.setup()\n{FORK_IN_C.format(first=first)}"
    done = harness.run_python(tmp_path, code)
    assert (done.stdout, done.returncode) == ("1 2.0\n0 6.0 True\n", 0), done.stderr

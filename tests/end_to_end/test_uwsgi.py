"""uWSGI, which forks its workers in C: no hook of Python's runs then."""

from __future__ import annotations

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.end_to_end.programs import fork_in_c
from tests.support import harness

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pyuwsgi") is None, reason="pyuwsgi is not installed"
)

WORKERS = 4
EACH = 20_000
"""So many increments that two processes that shared a lane would be at it together."""


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
    port = harness.free_port()
    argv = [
        str(Path(sys.executable).with_name("pyuwsgi")),
        "--module",
        "tests.end_to_end.programs.uwsgi_app",
    ]
    argv += ["--http-socket", f"127.0.0.1:{port}", "--processes", str(WORKERS)]
    argv += ["--pythonpath", str(harness.ROOT)]
    argv += ["--die-on-term", "--need-app", *options]
    env = harness.project_env(tmp_path)
    env |= {"UWSGI_TEST_DIR": str(tmp_path), "UWSGI_TEST_EACH": str(EACH)}
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
        "store.leave()",
        "store._end()",
        "if not os.fork(): os._exit(0)",
    ],
)
def test_a_fork_that_no_hook_tells_of_is_noticed(tmp_path: Path, first: str) -> None:
    """Whatever a child forked in C does first, its parent's lane stays the parent's."""
    done = harness.call(tmp_path, fork_in_c.fork, first)
    assert (done.stdout, done.returncode) == ("1 2.0\n0 6.0 True\n", 0), done.stderr

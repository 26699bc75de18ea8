"""What only a process of the application knows, in scrapes that another process answers."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from prometheus_client.samples import Exemplar, Timestamp

from metrics.exposition import Converted
from metrics.samples import Family, SampleKey
from metrics.scraping import scrape_socket
from metrics.scraping.own_figures import OwnFigures
from metrics.shared.files.directory import reset_if_idle
from tests.metrics.scraping.programs import own_figures
from tests.support import harness
from tests.support.harness import ROOT, call, calling, project_env

NOBODY = (
    "collectors, Info, Enum and callback gauges of the application: none of its processes answered"
)


@contextlib.contextmanager
def application(
    tmp_path: Path, then: str = "", name: str = "one", prefix: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Run a process that answers others' scrapes; ``then`` is a function that it calls."""
    process = subprocess.Popen(
        [*prefix, sys.executable, *calling(own_figures.application, name, then)],
        cwd=ROOT,
        env={**os.environ, **project_env(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def ask(tmp_path: Path, limit: float = 30.0) -> tuple[list[str], list[str]]:
    """Return what a scrape of a process that runs no application left out, and its samples."""
    done = call(tmp_path, own_figures.ask, limit)
    assert done.returncode == 0, done.stderr
    left_out, text = done.stdout.split("=====\n")
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    return left_out.split("\n")[:-1], samples


def answered_as(tmp_path: Path) -> str | None:
    """Return the name of the application that answers such a scrape, or None."""
    for line in ask(tmp_path)[1]:
        if line.startswith("t_about_info{"):
            return line.partition('"')[2].partition('"')[0]
    return None


def test_nobody_answers(tmp_path: Path) -> None:
    """Where no process of the application lives, the scrape says so and shows none's figures."""
    with application(tmp_path):
        pass
    left_out, samples = ask(tmp_path)
    assert left_out == [NOBODY]
    assert "sentinel_scrape_left_out 1.0" in samples
    assert 'sentinel_requests_total{status="success",tool="echo"} 1.0' in samples
    assert not [line for line in samples if line.startswith(("t_", "sentinel_scrape_answered_by"))]


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_a_dump_says_that_nobody_answers(tmp_path: Path, fmt: str) -> None:
    """In each format ``dump_metrics`` tells on stderr what it had to leave out."""
    with application(tmp_path):
        pass
    done = harness.manage(tmp_path, "dump_metrics", "--format", fmt)
    assert done.returncode == 0
    assert f"left out: {NOBODY}\n" in done.stderr.decode()


def test_the_one_that_lives_longest_answers(tmp_path: Path) -> None:
    """One process answers from scrape to scrape, until it ends, and then the next."""
    with application(tmp_path, name="one") as one, application(tmp_path, name="two"):
        assert [answered_as(tmp_path) for _ in range(3)] == ["one"] * 3
        one.kill()
        one.wait()
        assert answered_as(tmp_path) == "two"


def test_a_uwsgi_that_runs_no_threads(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process whose threads do not run is not asked in vain; its log names the option, once."""
    monkeypatch.setitem(sys.modules, "uwsgi", types.SimpleNamespace(has_threads=0))
    listener = scrape_socket.Listener(lambda limit, everything: OwnFigures())
    before = set(threading.enumerate())
    listener.start()
    listener.start()
    assert listener.is_started
    started = set(threading.enumerate()) - before
    assert "answer scrapes" not in [thread.name for thread in started]
    [record] = caplog.records
    assert record.getMessage() == (
        "uWSGI runs no thread here, so that this process cannot answer others' scrapes:"
        " give it --enable-threads."
    )


def test_a_collector_that_hangs_in_the_application(tmp_path: Path) -> None:
    """It is left out and named within the scrape's time; what else is its process's is shown."""
    with application(tmp_path, "hang_and_break"):
        left_out, samples = ask(tmp_path, limit=4.0)
    assert sorted(left_out) == [
        f"collector {own_figures.__name__}.Broken: it raised OSError",
        f"collector {own_figures.__name__}.Hung: it did not end within the scrape's time limit",
    ]
    assert 't_about_info{name="one"} 1.0' in samples
    hung = f"{own_figures.__name__}.Hung"
    assert f'sentinel_collector_failures_total{{collector="{hung}"}} 1.0' in samples


def test_a_forked_child_is_not_its_parent(tmp_path: Path) -> None:
    """A child keeps no socket of its parent's, and answers as itself if it is to."""
    with application(tmp_path, "fork") as parent:
        assert answered_as(tmp_path) == "one"
        [child] = psutil.Process(parent.pid).children()
        try:
            parent.kill()
            parent.wait()
            with (
                scrape_socket._short(str(tmp_path / "run")) as short,
                socket.socket(socket.AF_UNIX) as client,
                pytest.raises(ConnectionRefusedError),
            ):
                client.connect(f"{short}/scrape-0")
            (tmp_path / "var" / "go").touch()
            harness.wait_until(
                lambda: 't_child_info{of="one"} 1.0' in ask(tmp_path)[1], "the child"
            )
        finally:
            child.kill()


def test_a_run_directory_that_is_made_anew(tmp_path: Path) -> None:
    """A process is found again in a directory that somebody has emptied."""
    with application(tmp_path, "count_on"):
        assert answered_as(tmp_path) == "one"
        shutil.rmtree(tmp_path / "run")
        harness.wait_until(lambda: answered_as(tmp_path) == "one", "another answer")


def test_an_address_too_long_for_a_socket(tmp_path: Path) -> None:
    """A run directory of any depth will do."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with application(deep):
        assert answered_as(deep) == "one"
        [path] = (deep / "run").glob("scrape-*")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert reset_if_idle(deep / "run")
    assert not list((deep / "run").glob("scrape-*"))


def test_process_figures_of_another_pid_namespace(tmp_path: Path) -> None:
    """The application tells of the processes that a health server beside it cannot see."""
    unshare = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make a pid namespace")
    with application(tmp_path, prefix=unshare):
        samples = ask(tmp_path)[1]
    [threads] = [line for line in samples if line.startswith("process_threads{")]
    assert threads.startswith('process_threads{kind="application",worker="0"} ')


def test_own_figures_as_json() -> None:
    """What one process writes another reads, whatever the values; nothing else is taken."""
    keys = tuple(SampleKey("a_total", (("l", value),)) for value in ("", "\N{SNOWMAN}", '"'))
    figures = Converted(
        [Family("a", "counter", "Help", "", keys), Family("b", "gauge", "", "", ())],
        [1.5, math.inf, -0.0],
        {1: Exemplar({"t": "x"}, 2.0, 3.5), 2: Exemplar({}, 1.0, None)},
        {0: 1.25, 2: Timestamp(7, 8)},
        {1},
        ["a reason"],
    )
    own = OwnFigures(figures, frozenset({"b"}), {"a": "seconds"})
    read = OwnFigures.from_json(own.to_json())
    assert (read, repr(read.figures.values)) == (own, repr(own.figures.values))
    nan = OwnFigures(Converted([Family("c", "gauge", "", "", keys[:1])], [math.nan]))
    assert math.isnan(OwnFigures.from_json(nan.to_json()).figures.values[0])
    short = json.loads(own.to_json()) | {"values": [1.0]}
    for data in (b"", b"{}", b"[]", json.dumps(short).encode()):
        with pytest.raises((ValueError, TypeError, KeyError)):
            OwnFigures.from_json(data)

"""The commands and the console script, as an operator or an exec probe calls them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from health.board.health_map import BackendHealthMap
from health.board.stores.file import FileStore
from health.cli import main
from health.conf.backends import parse
from tests.support.harness import ROOT, Program, manage, project_env, wait_until

DATABASE = {"default": {"PROBE": "health.probes.DatabaseProbe"}}


@pytest.fixture
def board(tmp_path: Path) -> BackendHealthMap:
    """Give each test the board of a run directory of its own."""
    return BackendHealthMap(FileStore(tmp_path / "run", strict=False))


def sentinel_health(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the console script's module, with the run directory from the environment."""
    return subprocess.run(
        [sys.executable, "-m", "health.cli", *words],
        cwd=ROOT,
        env={**os.environ, "SENTINEL_RUN_DIR": str(tmp_path / "run")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


Prepare = Callable[[BackendHealthMap, Path], None]


def _ready(board: BackendHealthMap, run_dir: Path) -> None:
    board.report("default", True)


def _not_ready(board: BackendHealthMap, run_dir: Path) -> None:
    board.report("default", False, error="refused")


def _stale(board: BackendHealthMap, run_dir: Path) -> None:
    board.report("default", True, max_age=1e-9)


def _never_checked(board: BackendHealthMap, run_dir: Path) -> None:
    board.update(lambda document: document.declare(c.unchecked for c in parse(DATABASE).values()))


def _draining(board: BackendHealthMap, run_dir: Path) -> None:
    board.report("default", True)
    (run_dir / "draining").touch()


def _damaged(board: BackendHealthMap, run_dir: Path) -> None:
    board.report("default", True)
    (run_dir / "health" / "board").write_bytes(b"junk")


@pytest.mark.parametrize(
    ("prepare", "code", "status", "reason"),
    [
        (_ready, 0, "ready", None),
        (_not_ready, 1, "not_ready", None),
        (_stale, 2, "unknown", "checker stale"),
        (_never_checked, 2, "unknown", "checker stale"),
        (_draining, 1, "not_ready", "draining"),
        (_damaged, 2, "unknown", "checker stale"),
    ],
)
def test_both_commands_say_the_same(
    board: BackendHealthMap,
    tmp_path: Path,
    prepare: Prepare,
    code: int,
    status: str,
    reason: str | None,
) -> None:
    """Exit code, status and reason are those of the board, from Django and without it."""
    prepare(board, tmp_path / "run")
    ours = sentinel_health(tmp_path, "--format", "json")
    theirs = manage(tmp_path, "health_status", "--format", "json")
    for done in (ours, theirs):
        said = json.loads(done.stdout)
        assert (done.returncode, said["status"], said["reason"]) == (code, status, reason)
    if prepare is not _damaged:
        assert ours.stderr == ""
        keys = json.loads(ours.stdout)["backends"]["default"].keys()
        assert keys == json.loads(theirs.stdout)["backends"]["default"].keys()
        assert {"healthy", "last_check", "consecutive_failures", "error"} <= keys


def test_wrong_settings_are_unknown_and_not_a_traceback(tmp_path: Path) -> None:
    """health_status ends with 2 and names the key."""
    done = subprocess.run(
        [sys.executable, "manage.py", "health_status"],
        cwd=ROOT,
        env={**os.environ, **project_env(tmp_path), "SENTINEL_BACKENDS": '{"a": {"PROBE": "x"}}'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("CommandError: SENTINEL_BACKENDS['a']['PROBE'] must be")


def test_the_console_script_imports_no_django(board: BackendHealthMap, tmp_path: Path) -> None:
    """Nor any module that would cost it its quickness."""
    board.report("default", True)
    code = "import sys; from health.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "--run-dir", str(tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(done.stdout.splitlines()[-1].split())
    heavy = {"django", "prometheus_client", "argparse", "dataclasses", "inspect", "tempfile"}
    assert not modules & (heavy | {"typing", "pathlib", "logging", "asyncio"})


def test_the_table(
    board: BackendHealthMap, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A person sees the verdict first, then a line for each backend."""
    board.report("tools", True, latency=0.0123)
    board.report("database", False, error="refused")
    assert main(["--run-dir", str(tmp_path / "run")]) == 0
    head, blank, *rows = capsys.readouterr().out.splitlines()
    assert (head, blank) == ("ready", "")
    assert rows[0].split() == ["BACKEND", "STATE", "FOR", "CHECKED", "FAILURES", "LATENCY", "ERROR"]
    assert [row.split()[:2] for row in rows[1:]] == [
        ["database", "unhealthy"],
        ["tools", "healthy"],
    ]
    assert rows[1].endswith("refused")
    assert "12.3 ms" in rows[2]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--nonsense"], 2, "unknown argument --nonsense; see --help"),
        (["--format"], 2, "--format needs a value; see --help"),
        (["--format=xml"], 2, "--format is table or json, not xml"),
    ],
)
def test_wrong_usage(
    words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be understood is said in one line, and is not taken for ready."""
    assert main(words) == code
    assert capsys.readouterr().err == f"sentinel-health: {message}\n"


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Help names the exit codes."""
    assert main(["--help"]) == 0
    assert "Exit codes: 0 ready, 1 not ready, 2 unknown or stale" in capsys.readouterr().out


def test_exclude_and_tag(board: BackendHealthMap, tmp_path: Path) -> None:
    """Both narrow what counts."""
    board.report("a", True)
    board.report("b", False)
    run_dir = ["--quiet", "--run-dir", str(tmp_path / "run")]
    assert main([*run_dir, "--exclude", "b"]) == 0
    assert main([*run_dir, "--exclude", "a"]) == 1
    assert main([*run_dir, "--tag", "none has it"]) == 1


def test_the_automatic_directory_is_the_services_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder of manage.py the script finds the directory that Django's settings give."""
    from django.test import override_settings

    from health.cli import _find
    from metrics.conf import conf

    monkeypatch.delenv("SENTINEL_RUN_DIR", raising=False)
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    monkeypatch.chdir(ROOT)
    with override_settings(SENTINEL_RUN_DIR="auto", SETTINGS_MODULE="sentinel_project.settings"):
        assert _find([], [])[0] == str(conf.run_dir)


def test_a_board_that_was_never_written_is_unknown(tmp_path: Path) -> None:
    """Where no service has run the script says so, and ends with 2."""
    done = sentinel_health(tmp_path)
    assert done.returncode == 2
    assert done.stdout == f"unknown (no board in {tmp_path / 'run'})\n"


def test_no_board_in_the_automatic_directory_says_what_to_give(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A directory that settings.py names cannot be found without being named again."""
    monkeypatch.delenv("SENTINEL_RUN_DIR", raising=False)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "site_of_a_test.settings")
    (tmp_path / "site_of_a_test").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main([]) == 2
    assert "give it as --run-dir or in SENTINEL_RUN_DIR" in capsys.readouterr().err
    assert main(["--quiet"]) == 2
    assert main(["--run-dir", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == ""


def test_probe_backends_once(tmp_path: Path) -> None:
    """Every probe is run once and its outcome printed; a failure is the exit code."""
    done = manage(tmp_path, "probe_backends")
    assert done.returncode == 0
    assert done.stdout.decode().split()[:2] == ["default", "healthy"]
    backends = {
        **DATABASE,
        "gone": {"PROBE": "health.probes.TCPProbe", "OPTIONS": {"host": "127.0.0.1", "port": 1}},
    }
    env = {**os.environ, **project_env(tmp_path), "SENTINEL_BACKENDS": json.dumps(backends)}
    failed = subprocess.run(
        [sys.executable, "manage.py", "probe_backends"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert [line.split()[:2] for line in failed.stdout.splitlines()] == [
        ["default", "healthy"],
        ["gone", "unhealthy"],
    ]


def test_probe_backends_for_good(tmp_path: Path) -> None:
    """With --loop it is the prober in the foreground, until SIGTERM, and ends with 0."""
    argv = [sys.executable, "manage.py", "probe_backends", "--loop"]
    env = project_env(tmp_path)
    with Program(argv, log=tmp_path / "log", env=env) as prober:
        wait_until(lambda: sentinel_health(tmp_path, "-q").returncode == 0, "ready")
        assert prober.stop(signal.SIGTERM) == 0


def test_drain_and_undo(board: BackendHealthMap, tmp_path: Path) -> None:
    """The mark makes the host not ready for every process, and its removal ready again."""
    board.report("default", True)
    done = manage(tmp_path, "drain")
    assert done.stdout == b"draining\n"
    assert b"no process of the service uses " in done.stderr
    assert sentinel_health(tmp_path).stdout.startswith("not ready (draining)\n")
    assert manage(tmp_path, "drain", "--undo").stdout == b"not draining\n"
    assert sentinel_health(tmp_path).stdout.startswith("ready\n")

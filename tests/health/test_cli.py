"""The console script ``sentinel-health``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from health.board.health_map import BackendHealthMap
from health.cli import main
from tests.support.harness import ROOT, sentinel_health


def test_the_script_refuses_names_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what is wrong, and ends with 2."""
    assert main(["--service", "../up"]) == 2
    assert main(["--service", "shop", "--run-dir", "/run/x"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "sentinel-health: '../up' cannot be a SENTINEL_SERVICE",
        "sentinel-health: --run-dir names the directory, so --service says nothing; see --help",
    ]


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
    from metrics.system import process_kind

    monkeypatch.setattr(process_kind, "is_test_run", lambda: False)  # as in a service
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

"""The command that prints what a scrape answers."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command

from metrics.management.commands import dump_metrics
from metrics.registry import METRICS
from tests.support.harness import manage

LINE = 'sentinel_requests_total{status="denied",tool="dumped"} 1.0\n'


@pytest.fixture(autouse=True, scope="module")
def _recorded() -> None:
    METRICS.record_request("dumped", "denied", 0.1)


def dump(*args: str) -> tuple[str, str]:
    """Return what the command prints on stdout and on stderr."""
    out, err = io.StringIO(), io.StringIO()
    call_command("dump_metrics", *args, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_text_is_what_a_scrape_answers() -> None:
    """The text is the scrape's; without a run directory stderr says whose figures they are."""
    out, err = dump()
    assert LINE in out
    assert "# EOF" not in out
    assert err == (
        "SENTINEL_RUN_DIR is None, so every process keeps its metrics to itself:"
        " these are this command's own.\n"
    )


def test_openmetrics() -> None:
    """OpenMetrics ends with its mark and names a counter's family without the suffix."""
    out, _ = dump("--format", "openmetrics")
    assert out.endswith("# EOF\n")
    assert "# TYPE sentinel_requests counter\n" in out


@pytest.mark.parametrize("fmt", ["text", "openmetrics", "json"])
def test_a_name_that_no_metric_has_is_told(fmt: str) -> None:
    """Nothing on stdout is not all that is said."""
    _, err = dump("--format", fmt, "--name", "nosuch")
    assert err.endswith("\nNo metric has a name that 'nosuch' matches.\n")


def test_a_name_keeps_what_it_matches() -> None:
    """Of all families only those stay whose name the expression finds a match in."""
    out, _ = dump("--name", "^sentinel_errors_total$")
    assert {line.split("{")[0] for line in out.splitlines() if line[0] != "#"} == {
        "sentinel_errors_total"
    }


def test_json() -> None:
    """JSON lists families with their samples, under the names of the text format."""
    (family,) = json.loads(
        dump("--format", "json", "--name", "^sentinel_rate_limit_hits_total$")[0]
    )
    assert family == {
        "name": "sentinel_rate_limit_hits_total",
        "type": "counter",
        "help": "Total number of tool requests turned away by a rate limit",
        "samples": family["samples"],
    }
    (family,) = json.loads(dump("--format", "json", "--name", "^sentinel_requests_total$")[0])
    assert {
        "name": "sentinel_requests_total",
        "labels": {"tool": "dumped", "status": "denied"},
        "value": 1.0,
    } in family["samples"]


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    """The file appears by its name alone, is readable for all, and keeps the mode it had."""
    path = tmp_path / "sentinel.prom"
    out, _ = dump("--output", str(path))
    assert out == ""
    assert LINE in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o640)
    dump("--output", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """A missing folder is one line that names the file, and nothing is left behind."""
    path = tmp_path / "missing" / "sentinel.prom"
    with pytest.raises(CommandError) as failure:
        dump("--output", str(path))
    assert str(failure.value) == f"cannot write {path}: No such file or directory"
    (tmp_path / "folder").mkdir()
    with pytest.raises(CommandError) as failure:
        dump("--output", str(tmp_path / "folder"))
    assert str(failure.value) == f"cannot write {tmp_path / 'folder'}: Is a directory"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--name", "("], "is not a regular expression"),
        (["--watch", "0"], "is not a number of seconds above 0"),
        (["--watch", "soon"], "is not a number of seconds above 0"),
        (["--format", "xml"], "invalid choice"),
    ],
)
def test_wrong_options_are_told(args: list[str], words: str) -> None:
    """An option that cannot be used is named before anything is printed."""
    with pytest.raises(CommandError, match=words):
        dump(*args)


def test_watching_prints_until_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints again after each pause, and an interruption is a normal end."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    # The command's own name for the module, not the module: any thread may sleep by that.
    monkeypatch.setattr(dump_metrics, "time", SimpleNamespace(sleep=sleep))
    out, _ = dump("--watch", "2.5", "--name", "^sentinel_requests_total$")
    assert pauses == [2.5, 2.5, 2.5]
    assert out.count(LINE) == 3


def test_a_family_without_series_is_found_by_its_name() -> None:
    """A name that is a family's keeps its help and type, as a scrape shows them."""
    out, _ = dump("--name", "^sentinel_request_duration_seconds$")
    assert "# TYPE sentinel_request_duration_seconds histogram\n" in out
    assert 'sentinel_request_duration_seconds_count{tool="dumped"} 1.0\n' in out


def test_a_directory_that_nobody_uses_is_told(tmp_path: Path) -> None:
    """Who looks in the wrong place is told where, and gets what there is: nothing."""
    done = manage(tmp_path, "dump_metrics", "--name", "^sentinel_requests_total$")
    assert done.returncode == 0
    assert b"sentinel_requests_total{" not in done.stdout
    assert done.stderr.decode().startswith(
        f"No process has written to {tmp_path / 'run'} yet. A service of another user"
    )

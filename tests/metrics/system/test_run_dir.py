"""The name and the place of the run directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import override_settings

from health import cli
from metrics import checks
from metrics.conf import conf
from metrics.system import process_kind, run_dir


@pytest.fixture(autouse=True)
def no_test_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the automatic directory be what it is in a service."""
    monkeypatch.setattr(process_kind, "is_test_run", lambda: False)
    monkeypatch.setattr(checks, "is_test_run", lambda: False)


@pytest.fixture
def no_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave no directory for temporary files that can be written to."""
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(tmp_path / "missing"))
    monkeypatch.setattr(run_dir, "TEMPORARY", (str(tmp_path / "missing too"),))
    monkeypatch.setattr(run_dir, "RUN", ())


@pytest.mark.usefixtures("no_place")
def test_without_a_place_there_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """The check warns, commands say why they show one process, and the script is at a loss."""
    with override_settings(SENTINEL_RUN_DIR="auto"):
        assert conf.run_dir is None
        (warning,) = checks.check_place_for_run_dir(None)
        assert warning.id == "sentinel_metrics.W010"
        assert "each one counts, probes and drains for itself" in warning.msg
        call_command("dump_metrics", "--name", "^nothing$")
        said = capsys.readouterr().err
        assert said.startswith("No directory for temporary files can be written to, so every")
        assert cli.main(["--service", "shop"]) == 2
        assert "so there is no automatic run directory" in capsys.readouterr().err
    assert checks.check_place_for_run_dir(None) == []


def test_temporary_directories_are_tried_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that is missing is passed over, and the current folder is never used."""
    good = tmp_path / "good"
    good.mkdir()
    monkeypatch.setattr(run_dir, "RUN", ())
    monkeypatch.setattr(run_dir, "TEMPORARY", (str(good),))
    monkeypatch.setenv("TMPDIR", "relative")
    monkeypatch.setenv("TEMP", str(tmp_path / "missing"))
    monkeypatch.delenv("TMP", raising=False)
    assert run_dir.auto_path("p", "/r", service="shop") == f"{good}/sentinel-{os.geteuid()}-shop"
    monkeypatch.setattr(run_dir, "TEMPORARY", ())
    monkeypatch.chdir(good)
    assert run_dir.auto_path("p", "/r", service="shop") == ""


@pytest.mark.parametrize(
    ("releases", "link"),
    [("releases", "current"), (".", "live")],
)
@pytest.mark.parametrize("inside", [".", "src"])
def test_the_name_is_one_over_releases(
    tmp_path: Path, releases: str, link: str, inside: str
) -> None:
    """Behind a symbolic link to the release it is the link that counts, however one came there."""
    folder = tmp_path / "app" / releases
    names = set()
    for number in ("1", "2"):
        (folder / number / inside).mkdir(parents=True)
        (tmp_path / "app" / link).unlink(missing_ok=True)
        (tmp_path / "app" / link).symlink_to(folder / number)
        (tmp_path / "app" / f"{link}-too").unlink(missing_ok=True)
        run_dir.lasting_path.cache_clear()
        for root in (folder / number / inside, tmp_path / "app" / link / inside):
            names.add(run_dir.lasting_path(str(root)))
    assert names == {os.path.normpath(tmp_path.resolve() / "app" / link / inside)}


def test_a_process_keeps_its_name_when_the_link_moves(tmp_path: Path) -> None:
    """A worker of the old release stays where its service is until it ends."""
    site = tmp_path / "srv" / "site"
    for number in ("1", "2"):
        (site / number).mkdir(parents=True)
    (site / "live").symlink_to("1")
    before = run_dir.lasting_path(str(site / "1"))
    (site / "live").unlink()
    (site / "live").symlink_to("2")
    assert run_dir.lasting_path(str(site / "1")) == before == str(site / "live")


def test_links_that_name_no_release_count_for_nothing(tmp_path: Path) -> None:
    """Two checkouts stay apart, and links that lead elsewhere or nowhere change nothing."""
    home = tmp_path / "srv" / "home"
    for name in ("one", "two"):
        (home / name).mkdir(parents=True)
    (home / "broken").symlink_to("nothing")
    (home / "circle").symlink_to("circle")
    (home / "link").symlink_to("two")
    one, two = (run_dir.auto_path("p", home / name) for name in ("one", "two"))
    assert one != two
    assert run_dir.lasting_path(str(home / "one")) == str(home / "one")
    assert two == run_dir.auto_path("p", home / "link")


def test_a_service_may_have_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """SENTINEL_SERVICE stands for project and place; the script takes it from two places."""
    monkeypatch.delenv("SENTINEL_RUN_DIR", raising=False)
    end = f"/sentinel-{os.geteuid()}-shop"
    with override_settings(SENTINEL_RUN_DIR="auto", SENTINEL_SERVICE="shop"):
        assert str(conf.run_dir).endswith(end)
        assert cli._find([], ["shop"])[0] == str(conf.run_dir)
        monkeypatch.setenv("SENTINEL_SERVICE", "shop")
        assert cli._find([], [])[0] == str(conf.run_dir)
        assert cli._find([], ["other"])[0] == str(conf.run_dir).replace("shop", "other")
    with override_settings(SENTINEL_RUN_DIR="/run/mine", SENTINEL_SERVICE="shop"):
        assert str(conf.run_dir) == "/run/mine"


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "", "a b", "x" * 65, 5, None])
def test_a_name_that_cannot_be_part_of_a_path_is_refused(name: Any) -> None:
    """The check names the key, and so does whoever needs the directory."""
    with override_settings(SENTINEL_RUN_DIR="auto", SENTINEL_SERVICE=name):
        found = [error.id for error in checks.check_service(None)]
        if name == "":
            assert found == []
            return
        assert found == ["sentinel_metrics.E010"]
        assert checks.check_run_dir(None) == []
        with pytest.raises(ImproperlyConfigured, match="SENTINEL_SERVICE must be a name of 1 to"):
            _ = conf.run_dir

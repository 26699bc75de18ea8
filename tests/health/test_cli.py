"""The console script ``sentinel-health``."""

from __future__ import annotations

import pytest

from health import cli


def test_the_script_refuses_names_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what is wrong, and ends with 2."""
    assert cli.main(["--service", "../up"]) == 2
    assert cli.main(["--service", "shop", "--run-dir", "/run/x"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "sentinel-health: '../up' cannot be a SENTINEL_SERVICE",
        "sentinel-health: --run-dir names the directory, so --service says nothing; see --help",
    ]

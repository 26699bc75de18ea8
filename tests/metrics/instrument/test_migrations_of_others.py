"""What is shown of migrations of a database beside the service's own: files, and none at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from metrics.instrument import migrations as instrument
from metrics.system.failure_log import FailureLog
from tests.support.databases import other_database


@pytest.fixture(autouse=True)
def _unblocked(django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test ask for databases, and log what failed in one before it."""
    monkeypatch.setattr(instrument, "_failures", FailureLog(logging.getLogger(__name__)))
    with django_db_blocker.unblock():
        yield


def shown(name: Any) -> list[float]:
    """Return how many are not applied, and how many are, to the database of that name."""
    with other_database({"ENGINE": "django.db.backends.sqlite3", "NAME": name}):
        return [
            sample.value
            for family in instrument.MigrationsCollector().collect()
            for sample in family.samples
            if sample.labels["connection"] == "other"
        ]


@pytest.mark.parametrize("name", ["{}/absent", "file:{}/absent%20too", "file:{}/absent?mode=rwc"])
def test_a_missing_file_is_not_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """It has no sample, and the log says why."""
    assert shown(name.format(tmp_path)) == []
    assert "migrations of other cannot be counted: [Errno 2] No such file" in caplog.text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["{}/a db", "file:{}/a%20db?mode=ro"])
def test_a_file_that_is_there(tmp_path: Path, name: str) -> None:
    """It counts, though its name is a URI, and though nothing is applied yet."""
    (tmp_path / "a db").touch()
    unapplied, applied = shown(name.format(tmp_path))
    assert unapplied > 0
    assert applied == 0


def test_what_is_only_in_a_connections_memory(caplog: pytest.LogCaptureFixture) -> None:
    """Another connection has another database: there is nothing to say."""
    assert shown(":memory:") == []
    assert not caplog.messages


class BrokenForOne:
    """A router that fails for one database."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> None:
        """Fail for it."""
        if db == "other":
            raise LookupError("no idea")


@override_settings(DATABASE_ROUTERS=[f"{__name__}.BrokenForOne"])
def test_a_router_that_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It ends no scrape, and the log says why."""
    assert shown(tmp_path / "db") == []
    assert "migrations of other cannot be counted: no idea" in caplog.text

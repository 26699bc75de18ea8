"""Commands, migrations and rows that are written, as a running service shows them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support import harness
from tests.support.scraped import figures

INSTRUMENTS = {"SENTINEL_INSTRUMENT": '["commands", "migrations", "models"]'}
RUNS = "django_command_duration_seconds_count"
UNAPPLIED, APPLIED = "django_migrations_unapplied", "django_migrations_applied"


@pytest.mark.parametrize("options", [(), ("--worker-class", "gthread", "--threads", "2")])
def test_a_migration_beside_a_running_service(tmp_path: Path, options: tuple[str, ...]) -> None:
    """It counts when it ends, and what it applied is applied at the next scrape."""
    with harness.serve(tmp_path, "--", *options, env=INSTRUMENTS) as server:
        ports = [server.port, server.health_port]
        [missing] = {figures(port, UNAPPLIED)[("default",)] for port in ports}
        assert missing > 10
        assert not figures(server.health_port, APPLIED)
        began = time.time()
        assert harness.manage(tmp_path, "migrate", env=INSTRUMENTS).returncode == 0
        assert harness.manage(tmp_path, "migrate", "nowhere", env=INSTRUMENTS).returncode == 1
        for port in ports:
            assert not figures(port, UNAPPLIED)
            assert figures(port, APPLIED) == {("default",): missing}
            assert figures(port, RUNS) == {
                ("migrate", "", "0"): 1,
                ("migrate", "django.core.management.base.CommandError", "1"): 1,
            }
            last = figures(port, "django_command_last_success_timestamp_seconds")
            assert began - 1 <= last[("migrate",)] <= time.time()
            assert not figures(port, "django_commands_active")
        harness.manage(tmp_path, "migrate", "sentinel_health", "zero", env=INSTRUMENTS)
        assert figures(server.health_port, UNAPPLIED)[("default",)] >= 1


def test_a_database_that_is_gone(tmp_path: Path) -> None:
    """Its figures are missing, the others are there, and the log says why."""
    env = INSTRUMENTS | {"SENTINEL_VAR_DIR": str(tmp_path / "var")}
    with harness.serve(tmp_path, env=env) as server:
        (tmp_path / "var" / "db.sqlite3").unlink(missing_ok=True)
        (tmp_path / "var" / "db.sqlite3").mkdir()
        answer = harness.get(server.port, "/metrics")
        assert answer.status == 200
        assert UNAPPLIED + "{" not in answer.text
        assert "sentinel_build_info{" in answer.text
        harness.wait_until(
            lambda: "migrations of default cannot be counted" in server.output, "the log"
        )

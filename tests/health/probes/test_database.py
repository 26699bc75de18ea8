"""The probes of databases and of migrations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core.management import call_command
from django.db import connections
from django.db.utils import OperationalError
from django.test import override_settings

from health.probes import DatabaseProbe, MigrationsProbe
from tests.support.databases import Postgres, other_database, sqlite
from tests.support.probes import outcome, refusals


@pytest.fixture
def unblocked(django_db_blocker: Any) -> Iterator[None]:
    """Let probes reach databases, each over a connection of its own."""
    with django_db_blocker.unblock():
        yield


@pytest.mark.usefixtures("unblocked")
@pytest.mark.parametrize("persistent", [False, True])
def test_database(persistent: bool) -> None:
    """A database that can be opened is well, and no connection of requests is touched."""
    probe = DatabaseProbe(persistent=persistent)
    assert outcome(probe) is None
    assert outcome(probe) is None
    probe.close()


def _open_files(path: Path) -> int:
    return [f.path for f in psutil.Process().open_files()].count(str(path))


@pytest.fixture
def database(tmp_path: Path, unblocked: None) -> Iterator[Path]:
    """Configure a second database that can be opened."""
    path = tmp_path / "other.sqlite3"
    with other_database(sqlite(path)):
        yield path


@pytest.mark.parametrize(("persistent", "kept"), [(False, 0), (True, 1)])
def test_a_database_probe_leaks_no_connection(database: Path, persistent: bool, kept: int) -> None:
    """A hundred checks, from changing threads, leave one connection open or none."""
    probe = DatabaseProbe("other", persistent=persistent)
    for _ in range(20):
        errors: list[str | None] = []
        threads = [
            threading.Thread(target=lambda out=errors: out.append(outcome(probe))) for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == [None] * 5
    assert _open_files(database) == kept
    probe.close()
    assert _open_files(database) == 0


def test_a_stale_connection_is_reopened_and_not_reported(database: Path) -> None:
    """A connection that died between two checks is made anew; only the second failure counts."""
    probe = DatabaseProbe("other", persistent=True)
    assert outcome(probe) is None
    (kept,) = probe._idle
    kept.connection.close()  # as a server does after its idle timeout
    assert outcome(probe) is None
    (fresh,) = probe._idle
    assert fresh is not kept
    probe.close()


@pytest.mark.usefixtures("unblocked")
@pytest.mark.parametrize("persistent", [False, True])
def test_a_database_that_cannot_be_opened(persistent: bool) -> None:
    """What the driver says is the error."""
    with other_database(sqlite(Path("/nonexistent/db.sqlite3"))):
        error = outcome(DatabaseProbe("other", persistent=persistent))
    assert error == f"{OperationalError.__name__}: unable to open database file"


def test_migrations(database: Path) -> None:
    """An empty database lacks every migration; a migrated one lacks none."""
    from django.core.management import call_command

    error = str(outcome(MigrationsProbe("other")))
    assert error.startswith("not applied: ")
    call_command("migrate", database="other", verbosity=0)
    connections["other"].close()
    assert outcome(MigrationsProbe("other")) is None


@pytest.fixture
def other(tmp_path: Path, django_db_blocker: Any) -> Iterator[Path]:
    """Configure a second database that is a file."""
    path = tmp_path / "other.sqlite3"
    with django_db_blocker.unblock(), other_database(sqlite(path)):
        yield path


def made(monkeypatch: pytest.MonkeyPatch, **attributes: Any) -> Any:
    """Have Django make connections to the second database with other attributes."""
    connection = connections.create_connection("other")
    for name, value in attributes.items():
        monkeypatch.setattr(connection, name, value)
    monkeypatch.setattr(connections, "create_connection", lambda _: connection)
    return connection


def test_sql_is_spelled_as_the_engine_does(other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SELECT needs a table, as in Oracle, the one of the engine is asked."""
    connection = made(monkeypatch, vendor="oracle")
    monkeypatch.setattr(connection.features, "bare_select_suffix", " FROM dual")
    assert outcome(DatabaseProbe("other")) == "OperationalError: no such table: dual"
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE dual AS SELECT 'X'")
    assert outcome(DatabaseProbe("other")) is None


class NoCursor:
    """What django-mongodb-backend gives for a cursor."""

    def __enter__(self) -> None:
        """Give nothing."""

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


def test_a_database_without_sql(other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose cursor takes no SQL is asked for its version: well, or what the driver says."""
    versions: list[tuple[int, ...] | Exception] = [(8, 0), OSError("no server")]

    def version() -> tuple[int, ...]:
        answer = versions.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    made(monkeypatch, vendor="mongodb", cursor=NoCursor, get_database_version=version)
    assert outcome(DatabaseProbe("other")) is None
    assert outcome(DatabaseProbe("other")) == "OSError: no server"


def test_sqlite_is_read(other: Path) -> None:
    """A file that is no database is no healthy database."""
    assert outcome(DatabaseProbe("other")) is None
    other.write_bytes(b"something else" * 1000)
    assert outcome(DatabaseProbe("other")) == "DatabaseError: file is not a database"


def test_time_limits_are_for_drivers_that_take_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that calls itself PostgreSQL without libpq gets its OPTIONS as they are."""
    from metrics.databases import own_connection

    with other_database({**Postgres.login, "OPTIONS": {"arn": "x"}}):
        assert own_connection("other", 1).settings_dict["OPTIONS"]["tcp_user_timeout"] == 2000
        made(monkeypatch, Database=pytest)
        assert own_connection("other", 1).settings_dict["OPTIONS"] == {"arn": "x"}


@pytest.mark.parametrize("probe", ["DatabaseProbe", "MigrationsProbe"])
def test_a_database_without_an_engine(probe: str) -> None:
    """Django's stand-in for a database that is not configured is refused."""
    with other_database({}):
        assert refusals(f"health.probes.{probe}", alias="other") == [
            "['OPTIONS']: DATABASES['other'] names no ENGINE: there is nothing to probe"
        ]


class OnlyContentTypes:
    """A router that lets one app into the second database."""

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool | None:
        """Say where an app belongs."""
        return app_label == "contenttypes" if db == "other" else None


class NothingThere:
    """A router that lets nothing into the second database."""

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool | None:
        """Say where an app belongs."""
        return False if db == "other" else None


def test_migrations_that_belong_elsewhere(other: Path) -> None:
    """Only apps that the routers let in are missed; a database without any is refused."""
    assert str(outcome(MigrationsProbe("other"))).endswith(" more")
    with override_settings(DATABASE_ROUTERS=[f"{__name__}.OnlyContentTypes"]):
        assert outcome(MigrationsProbe("other")) == (
            "not applied: contenttypes.0001_initial, contenttypes.0002_remove_content_type_name"
        )
        call_command("migrate", "contenttypes", database="other", verbosity=0)
        assert outcome(MigrationsProbe("other")) is None
    with override_settings(DATABASE_ROUTERS=[f"{__name__}.NothingThere"]):
        assert refusals("health.probes.MigrationsProbe", alias="other") == [
            "['OPTIONS']: DATABASE_ROUTERS let no app migrate 'other'"
        ]

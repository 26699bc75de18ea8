"""The database probes against a real PostgreSQL, on good days and bad ones."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from health.board.health_map import BackendHealthMap
from health.conf.backends import parse
from health.prober.leader import Prober
from health.probes import DatabaseProbe, MigrationsProbe
from tests.support import misbehaving
from tests.support.databases import Postgres, other_database
from tests.support.harness import wait_until
from tests.support.probes import outcome

BOTH = pytest.mark.parametrize("persistent", [False, True])


@pytest.fixture(autouse=True)
def _unblocked(django_db_blocker: Any) -> Iterator[None]:
    """Let probes reach databases, each over a connection of its own."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def installed() -> Iterator[Postgres]:
    """Make one server for all tests here."""
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def postgres(installed: Postgres) -> Iterator[Postgres]:
    """Configure the server as a second database, and start it again if a test stopped it."""
    installed.start()
    with other_database(installed.settings):
        yield installed


@contextlib.contextmanager
def probing(*, timeout: float = 1, **options: Any) -> Iterator[BackendHealthMap]:
    """Run a prober of the second database."""
    backend = {"PROBE": "health.probes.DatabaseProbe", "OPTIONS": {"alias": "other", **options}}
    times = {"INTERVAL": timeout * 1.2, "TIMEOUT": timeout, "FALL": 1}
    board = BackendHealthMap()
    prober = Prober(board, parse({"db": backend | times}))
    prober.start()
    try:
        yield board
    finally:
        prober.stop()


def threads() -> list[str]:
    """Return the names of all threads."""
    return [thread.name for thread in threading.enumerate()]


def sessions(postgres: Postgres) -> int:
    """Return how many clients the server has, but for the one that asks."""
    connection = connections.create_connection("other")
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            return int(cursor.fetchone()[0])
    finally:
        connection.close()


@BOTH
def test_a_server_that_answers_is_well(postgres: Postgres, persistent: bool) -> None:
    """SELECT 1 is answered, over a connection that logs in with a password."""
    probe = DatabaseProbe("other", persistent=persistent)
    assert outcome(probe) is None
    assert outcome(probe) is None
    probe.close()


@BOTH
def test_a_server_that_stops_and_comes_back(postgres: Postgres, persistent: bool) -> None:
    """Stopped it is unhealthy within a check; started again it is healthy, whatever was kept."""
    with probing(persistent=persistent) as board:
        wait_until(lambda: board.is_healthy("db"), "healthy")
        postgres.stop()
        wait_until(lambda: board["db"].healthy is False, "unhealthy")
        assert "Connection refused" in str(board["db"].error)
        postgres.start()
        wait_until(lambda: board.is_healthy("db"), "healthy again")


@BOTH
def test_a_server_that_freezes_and_thaws(postgres: Postgres, persistent: bool) -> None:
    """Connections stand and nothing answers: unhealthy by the timeout, and well again after it."""
    with probing(persistent=persistent) as board:
        wait_until(lambda: board.is_healthy("db"), "healthy")
        postgres.send(signal.SIGSTOP)
        try:
            wait_until(lambda: board["db"].healthy is False, "unhealthy")
            assert "no answer within" in str(board["db"].error)
        finally:
            postgres.send(signal.SIGCONT)
        wait_until(lambda: board.is_healthy("db"), "healthy again")
    wait_until(lambda: sessions(postgres) == 0, "no session")


def test_a_connection_that_went_stale_is_reopened_and_not_reported(postgres: Postgres) -> None:
    """A server that was restarted between two checks costs no failure."""
    probe = DatabaseProbe("other", persistent=True)
    assert outcome(probe) is None
    postgres.stop()
    postgres.start()
    assert outcome(probe) is None
    probe.close()


@pytest.mark.parametrize(("persistent", "kept"), [(False, 0), (True, 1)])
def test_a_hundred_checks_leave_no_session(postgres: Postgres, persistent: bool, kept: int) -> None:
    """The server has one client of a persistent probe and none of another, side by side or not."""
    probe = DatabaseProbe("other", persistent=persistent)
    for _ in range(20):
        errors: list[str | None] = []
        checks = [
            threading.Thread(target=lambda out=errors: out.append(outcome(probe))) for _ in range(5)
        ]
        for check in checks:
            check.start()
        for check in checks:
            check.join()
        assert errors == [None] * 5
    wait_until(lambda: sessions(postgres) == kept, f"{kept} session(s)")
    probe.close()
    wait_until(lambda: sessions(postgres) == 0, "no session")


@BOTH
def test_failures_leave_no_session(postgres: Postgres, persistent: bool) -> None:
    """A login that is refused leaves nothing behind on the server."""
    probe = DatabaseProbe("other", persistent=persistent)
    connections.settings["other"]["PASSWORD"] = "wr0ng-pa55word"
    try:
        errors = {str(outcome(probe)) for _ in range(10)}
    finally:
        connections.settings["other"]["PASSWORD"] = postgres.password
    assert all("password authentication failed" in error for error in errors)
    assert not any("wr0ng-pa55word" in error for error in errors)
    wait_until(lambda: sessions(postgres) == 0, "no session")


@BOTH
def test_a_server_that_accepts_and_never_answers(persistent: bool) -> None:
    """It is unhealthy at the timeout, and the threads that waited for it end by themselves."""
    with misbehaving.server(misbehaving.silence) as port:
        settings = {**Postgres.login, "HOST": "127.0.0.1", "PORT": port}
        with other_database(settings), probing(timeout=0.25, persistent=persistent) as board:
            wait_until(lambda: "db" in board and board["db"].healthy is False, "unhealthy")
            assert board["db"].error == "no answer within 0.25 s"
            wait_until(
                lambda: board["db"].error == "2 checks have not returned yet", "two hung checks"
            )
            wait_until(lambda: board["db"].error == "no answer within 0.25 s", "their end")
        wait_until(lambda: "sentinel-probe-db" not in threads(), "the end of the threads")


def test_the_driver_says_itself_that_there_was_no_answer() -> None:
    """With time enough the error is the driver's own, at the probe's timeout."""
    with misbehaving.server(misbehaving.silence) as port:
        settings = {**Postgres.login, "HOST": "127.0.0.1", "PORT": port}
        with other_database(settings):
            error = outcome(DatabaseProbe("other"), timeout=2.5)
    assert "timeout" in str(error)


def test_options_of_the_settings_outweigh_the_probes_time_limits(postgres: Postgres) -> None:
    """What OPTIONS say of time limits stands; the limits of a probe are no one else's."""
    from metrics.databases import own_connection

    with other_database({**postgres.settings, "OPTIONS": {"connect_timeout": 7, "pool": True}}):
        options = own_connection("other", 0.5).settings_dict["OPTIONS"]
        assert (options["connect_timeout"], options["tcp_user_timeout"]) == (7, 2000)
        assert "pool" not in options  # nothing of a pool is a connection of one's own
        theirs = connections.create_connection("other").settings_dict["OPTIONS"]
        assert theirs == {"connect_timeout": 7, "pool": True}


def test_migrations(postgres: Postgres) -> None:
    """An empty database lacks every migration."""
    assert str(outcome(MigrationsProbe("other"))).startswith("not applied: contenttypes.0001")
    wait_until(lambda: sessions(postgres) == 0, "no session")

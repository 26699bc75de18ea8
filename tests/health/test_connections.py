"""Django's connections in the threads of the prober, against a real PostgreSQL."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.db import connections, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings

from health.board.announce import announce
from health.board.health_map import BackendHealthMap
from health.board.stores.cache import CacheStore
from health.conf.backends import parse
from health.election.cache import CacheElection
from health.prober.history import Recorder
from health.prober.leader import Prober
from health.prober.outcome import describe
from health.prober.pool import ProbePool, Run
from health.probes import MigrationsProbe, Probe, build
from health.signals import backend_health_changed
from tests.support.databases import Postgres, other_database
from tests.support.harness import wait_until

PROBE_SECONDS = 5.0


@pytest.fixture(autouse=True)
def _unblocked(django_db_blocker: Any) -> Iterator[None]:
    """Let the prober's threads reach databases."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def installed() -> Iterator[Postgres]:
    """Make one server for all tests here."""
    with Postgres() as postgres:
        yield postgres


@pytest.fixture(params=[0, None], ids=["per-request", "kept-for-ever"])
def postgres(request: pytest.FixtureRequest, installed: Postgres) -> Iterator[Postgres]:
    """Configure the server as a second database, with each extreme of CONN_MAX_AGE."""
    installed.start()
    with other_database({**installed.settings, "CONN_MAX_AGE": request.param}):
        yield installed


@pytest.fixture
def pooled(installed: Postgres) -> Iterator[Postgres]:
    """Configure the server as a second database behind a pool of one connection."""
    pytest.importorskip("psycopg_pool", reason="psycopg[pool] is not installed")
    installed.start()
    pool = {"min_size": 1, "max_size": 1, "timeout": 2}
    with other_database({**installed.settings, "OPTIONS": {"pool": pool}}):
        yield installed
        connection: Any = connections.create_connection("other")
        connection.close_pool()


def sessions(postgres: Postgres) -> int:
    """Return how many clients the server has, but for the one that asks."""
    with other_database(postgres.settings):
        asking = connections.create_connection("other")
    try:
        with asking.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            return int(cursor.fetchone()[0])
    finally:
        asking.close()


def query() -> bool:
    """Ask the second database, as the ORM does: over this thread's connection."""
    with connections["other"].cursor() as cursor:
        cursor.execute("SELECT 1")
        return bool(cursor.fetchone() == (1,))


async def query_async() -> bool:
    """Ask the second database from async code, as ``await …acount()`` does."""
    return await sync_to_async(query)()


class ToOther:
    """A database router that sends the table of a cache to the second database."""

    def db_for_read(self, model: Any, **_: Any) -> str | None:
        """Return where the cache's table is."""
        return "other" if model._meta.app_label == "django_cache" else None

    db_for_write = db_for_read


IN_MEMORY = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
CACHE_IN_DATABASE = {
    "BACKEND": "django.core.cache.backends.db.DatabaseCache",
    "LOCATION": "cache_of_the_test",
}


@contextlib.contextmanager
def cache_in_database() -> Iterator[None]:
    """Configure the default cache as a table of the second database."""
    with (
        override_settings(
            CACHES={"default": CACHE_IN_DATABASE}, DATABASE_ROUTERS=[f"{__name__}.ToOther"]
        ),
        contextlib.closing(connections.create_connection("other")) as own,
        own.cursor() as cursor,
    ):
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS cache_of_the_test (cache_key varchar(255) PRIMARY KEY,"
            " value text NOT NULL, expires timestamptz NOT NULL)"
        )
        yield


class Checks:
    """Checks of one probe, one after another, in the thread that a prober would use again."""

    def __init__(self, probe: Any, options: dict[str, Any] | None = None) -> None:
        self._done = threading.Event()
        self._run: Run | None = None
        self._pool = ProbePool(self._returned)
        self.probe: Probe = build(parse({"b": {"PROBE": probe, "OPTIONS": options or {}}})["b"])

    def __call__(self) -> str | None:
        """Return what the prober would say of one check: None when the backend is well."""
        self.start()
        return self.result()

    def start(self) -> None:
        """Begin one check."""
        self._done.clear()
        self._pool.start(Run("b", self.probe, PROBE_SECONDS))

    def result(self) -> str | None:
        """Wait for the check that was begun."""
        assert self._done.wait(30)
        assert self._run is not None
        return describe(self._run)

    def _returned(self, run: Run) -> None:
        self._run = run
        self._done.set()


KINDS: list[tuple[Any, dict[str, Any]]] = [
    (query, {}),
    (query_async, {}),
    ("health.probes.CacheProbe", {}),
    ("health.probes.DatabaseProbe", {"alias": "other"}),
    ("health.probes.DatabaseProbe", {"alias": "other", "persistent": True}),
    ("health_check.checks.Database", {"alias": "other"}),
    ("health_check.checks.Cache", {}),
]


@pytest.mark.parametrize(("probe", "options"), KINDS)
def test_a_check_is_well_again_after_a_restart(
    postgres: Postgres, probe: Any, options: dict[str, Any]
) -> None:
    """Whatever a check asks PostgreSQL with, the first check after a restart is well."""
    with cache_in_database():
        check = Checks(probe, options)
        assert check() is None
        postgres.stop()
        assert check() is not None
        postgres.start()
        assert check() is None


@pytest.mark.parametrize(("probe", "options"), KINDS)
def test_no_session_is_left_between_checks(
    postgres: Postgres, probe: Any, options: dict[str, Any]
) -> None:
    """Between two checks the server has no client but the one of a persistent probe."""
    with cache_in_database():
        check = Checks(probe, options)
        assert [check() for _ in range(3)] == [None] * 3
    wait_until(lambda: sessions(postgres) == int("persistent" in options), "the sessions' end")
    check.probe.close()
    wait_until(lambda: sessions(postgres) == 0, "no session")


def test_a_pool_gets_its_connection_back(pooled: Postgres) -> None:
    """A pool of one connection serves one check after another, sync and async, well or failing."""

    def failing() -> bool:
        query()
        raise ZeroDivisionError

    checks = [Checks(probe) for probe in (query, query_async, failing, query)]
    assert [check() for check in checks] == [None, None, "ZeroDivisionError", None]
    assert query()  # the pool's one connection is there for a request
    connections["other"].close()


def test_a_transaction_that_a_check_leaves_open_is_gone_with_it(postgres: Postgres) -> None:
    """The next check in that thread is in no transaction, and the server has none open."""

    def leaves_open() -> bool:
        transaction.atomic("other").__enter__()
        return query()

    check = Checks(leaves_open)
    assert [check() for _ in range(3)] == [None] * 3
    wait_until(lambda: sessions(postgres) == 0, "no session")


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_check_that_was_given_up_leaves_no_session_when_it_returns(
    postgres: Postgres, way: str
) -> None:
    """One that hangs in the server is given up; what it held is closed once it comes back."""
    hung = threading.Event()

    def slow() -> bool:
        if hung.is_set():
            return query()
        hung.set()
        with connections["other"].cursor() as cursor:
            cursor.execute("SELECT pg_sleep(1)")
        return True

    async def slow_async() -> bool:
        return await sync_to_async(slow)()

    board = BackendHealthMap()
    check = slow if way == "sync" else slow_async
    prober = Prober(board, parse({"b": {"PROBE": check, "INTERVAL": 0.3, "TIMEOUT": 0.2}}))
    prober.start()
    try:
        wait_until(lambda: "b" in board and board["b"].healthy is False, "unhealthy")
        assert board["b"].error == "no answer within 0.2 s"
        wait_until(lambda: board.is_healthy("b"), "healthy again")
        wait_until(
            lambda: board["b"].consecutive_successes > 5 and sessions(postgres) == 0, "no session"
        )
    finally:
        prober.stop()


def test_async_checks_do_not_wait_for_one_that_hangs(postgres: Postgres) -> None:
    """Each async check asks the database from a thread of its own."""
    started, release = threading.Event(), threading.Event()

    def hang() -> None:
        started.set()
        release.wait(60)

    async def hanging() -> None:
        await sync_to_async(hang)()

    hung = Checks(hanging)
    hung.start()
    try:
        assert started.wait(30)
        assert Checks(query_async)() is None
    finally:
        release.set()
    assert hung.result() is None


def test_a_connection_that_cannot_be_closed_is_no_failure_of_the_check(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a driver or a cache raises while it is closed is not the backend's answer."""

    def fail(*_: Any) -> None:
        raise OSError("cannot be closed")

    def asks_both() -> bool:
        caches["default"].get("key")
        return query()

    check = Checks(asks_both)
    with monkeypatch.context() as patched:
        patched.setattr(type(connections["other"]), "close", fail)
        patched.setattr(type(caches["default"]), "close", fail)
        assert [check(), check()] == [None, None]


def test_a_board_in_the_database_is_followed_after_a_restart(postgres: Postgres) -> None:
    """A cache that is a table is read, written and elected over connections that are alive."""
    backend = {"PROBE": lambda: True, "INTERVAL": 2, "TIMEOUT": 1}
    settings = {"SENTINEL_BACKENDS": {"b": backend}, "SENTINEL_HEALTH_STORE": "cache:default"}
    with cache_in_database(), override_settings(**settings):
        # As in three processes: one probes, one stands by, and one only reads.
        boards = [BackendHealthMap(CacheStore("default")) for _ in range(3)]
        first, second = (
            Prober(board, parse({"b": backend}), election=CacheElection("default"))
            for board in boards[:2]
        )
        first.start()
        try:
            wait_until(lambda: first.is_leading, "a prober")
            second.start()
            wait_until(lambda: all(b.is_healthy("b") for b in boards), "a board in both")
            postgres.stop()
            postgres.start()
            before = max(board.document().written for board in boards)
            wait_until(lambda: boards[2].document().written > before, "a later board")
            assert boards[2].is_healthy("b")
            first.stop()
            wait_until(lambda: second.is_leading, "the one that stood by")
        finally:
            first.stop()
            second.stop()


def test_a_cache_is_closed_after_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache's client that keeps connections, as Memcached's does, keeps none between checks."""
    opened, closed = [], []
    monkeypatch.setattr(LocMemCache, "close", lambda cache, **_: closed.append(cache))

    def asks_a_cache() -> bool:
        opened.append(caches["default"])
        return True

    with override_settings(CACHES={"default": IN_MEMORY}):
        assert Checks(asks_a_cache)() is None
        wait_until(lambda: closed and closed[-1] is opened[0], "the cache to be closed")


def test_a_receiver_of_changes_may_use_the_orm_after_a_restart(postgres: Postgres) -> None:
    """The signal is sent in a thread whose connections are alive, and leaves none there."""
    seen: list[bool] = []
    healthy = True

    def receive(**_: Any) -> None:
        seen.append(query())

    board = BackendHealthMap(announce=announce)
    backend = {"PROBE": lambda: healthy, "INTERVAL": 0.1, "TIMEOUT": 0.05, "FALL": 1}
    prober = Prober(board, parse({"b": backend}))
    backend_health_changed.connect(receive)
    prober.start()
    try:
        wait_until(lambda: len(seen) == 1, "the first change")
        postgres.stop()
        postgres.start()
        healthy = False
        wait_until(lambda: len(seen) == 2, "the second change")
        wait_until(lambda: sessions(postgres) == 0, "no session")
    finally:
        prober.stop()
        backend_health_changed.disconnect(receive)
    assert seen == [True, True]


def test_the_recorder_stores_after_a_restart_and_keeps_no_session(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transitions are hours apart: their thread holds no connection in between."""
    recorder = Recorder(BackendHealthMap())
    stored: list[bool] = []
    monkeypatch.setattr(recorder, "store", lambda: stored.append(query()))
    recorder.start()
    try:
        wait_until(lambda: stored, "a first store")
        postgres.stop()
        postgres.start()
        count = len(stored)
        wait_until(lambda: len(stored) > count, "a store after the restart")
        monkeypatch.setattr(recorder, "store", lambda: None)
        wait_until(lambda: sessions(postgres) == 0, "no session")
    finally:
        recorder.stop(5)


def test_migrations_are_read_over_the_probes_own_connection(pooled: Postgres) -> None:
    """A pool that is used up does not keep the probe from the table of migrations."""
    assert query()  # this thread holds the only connection of the pool
    try:
        assert str(Checks(MigrationsProbe, {"alias": "other"})()).startswith("not applied: ")
        with other_database(pooled.settings):
            own = connections.create_connection("other")
        MigrationRecorder(own).ensure_schema()
        own.close()
        assert str(Checks(MigrationsProbe, {"alias": "other"})()).startswith("not applied: ")
    finally:
        connections["other"].close()

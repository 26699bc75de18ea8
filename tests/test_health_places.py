"""That a probe measures what its name says in the place where it runs, or is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from health.checks import check_backends, check_doubtful_backends, check_health_store
from health.conf.backends import parse
from health.probes import (
    CacheProbe,
    DatabaseProbe,
    DiskProbe,
    MemoryProbe,
    MigrationsProbe,
    RedisProbe,
    build,
    cgroup,
)
from tests.support.databases import Postgres, other_database
from tests.support.harness import free_port, wait_until
from tests.support.misbehaving import Certificates, Redis, Sentinel
from tests.test_health_probes import outcome, sqlite

MIB = 1024 * 1024
UNLIMITED = 9223372036854771712


def v2(*groups: tuple[str, str | int, int, int]) -> dict[str, str]:
    """Return the files of groups of version 2: path, limit, usage and page cache in MiB."""
    files = {}
    for path, limit, used, cache in groups:
        stat = f"anon 5\ninactive_file {cache * MIB // 2}\nactive_file {cache * MIB // 2}\n"
        files[f"{path}memory.max"] = f"{limit if limit == 'max' else int(limit) * MIB}\n"
        files[f"{path}memory.current"] = f"{used * MIB}\n"
        files[f"{path}memory.stat"] = f"{stat}slab_reclaimable {MIB}\nshmem {99 * MIB}\n"
    return files


def v1(path: str, limit: int, used: int, cache: int) -> dict[str, str]:
    """Return the files of a group of version 1."""
    stat = f"inactive_file 7\ntotal_inactive_file {cache * MIB}\ntotal_active_file {MIB}\n"
    return {
        f"{path}memory.limit_in_bytes": f"{limit}\n",
        f"{path}memory.usage_in_bytes": f"{used * MIB}\n",
        f"{path}memory.stat": f"{stat}cache {99 * MIB}\n",
    }


@pytest.mark.parametrize(
    ("mount", "root", "group", "files", "expected"),
    [
        ("cgroup2", "/", "0::/", v2(("", 200, 50, 0)), [(200, 151)]),
        ("cgroup2", "/", "0::/", v2(("", 200, 190, 100)), [(200, 111)]),
        ("cgroup2", "/", "0::/", v2(("", "max", 190, 100)), []),
        ("cgroup2", "/", "0::/", v2(("", 200, 300, 0)), [(200, 0)]),
        (
            "cgroup2",
            "/",
            "0::/pod/web",
            v2(("pod/", 100, 90, 0), ("pod/web/", "max", 10, 0)),
            [(100, 11)],
        ),
        (
            "cgroup2",
            "/",
            "0::/pod/web",
            v2(("pod/", 100, 90, 0), ("pod/web/", 50, 10, 0)),
            [(50, 41), (100, 11)],
        ),
        ("cgroup2", "/docker/abc", "0::/docker/abc", v2(("", 200, 50, 0)), [(200, 151)]),
        ("cgroup2", "/docker/abc", "0::/elsewhere", v2(("", 200, 50, 0)), [(200, 151)]),
        ("cgroup2", "/", "0::/../other", v2(("", 200, 50, 0)), [(200, 151)]),
        ("cgroup", "/", "4:memory:/", v1("", 200 * MIB, 190, 100), [(200, 111)]),
        ("cgroup", "/", "4:cpu,memory:/a", v1("a/", 200 * MIB, 190, 100), [(200, 111)]),
        ("cgroup", "/docker/x", "4:memory:/docker/x", v1("", 2 * MIB, 1, 0), [(2, 2)]),
        ("cgroup", "/", "4:cpu:/\n0::/", v1("", 200 * MIB, 190, 100), []),
        ("cgroup", "/", "nothing", {}, []),
    ],
)
def test_memory_of_control_groups(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mount: str,
    root: str,
    group: str,
    files: dict[str, str],
    expected: list[tuple[int, int]],
) -> None:
    """Each limit above the process counts, without what the kernel would give back."""
    top = tmp_path / "a mount"
    top.mkdir()
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(content)
    options = "rw,memory" if mount == "cgroup" else "rw"
    where = str(top).replace(" ", r"\040")
    (tmp_path / "mountinfo").write_text(
        "26 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"35 31 0:32 {root} {where} rw,relatime shared:9 - {mount} {mount} {options}\n"
    )
    if group != "nothing":
        (tmp_path / "cgroup").write_text(f"{group}\n")
    monkeypatch.setattr(cgroup, "PROC", tmp_path)
    assert [(limit // MIB, free // MIB) for limit, free in cgroup.memory_limits()] == expected


@pytest.mark.parametrize(
    ("limit", "free", "options", "expected"),
    [
        (100, 60, {}, None),
        (100, 40, {}, "memory of the control group: 40 MiB are free, 50 are wanted"),
        (100, 40, {"min_free_mib": 10}, None),
        (
            100,
            40,
            {"min_free_mib": 0, "min_free_percent": 50},
            "memory of the control group: 40 MiB are free, 50 are wanted",
        ),
        (UNLIMITED, 0, {}, None),
    ],
)
def test_memory_that_a_control_group_leaves(
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    free: int,
    options: dict[str, Any],
    expected: str | None,
) -> None:
    """The percent are those of the group's limit; what is no limit is none."""
    monkeypatch.setattr("health.probes.system.memory_limits", lambda: [(limit * MIB, free * MIB)])
    assert outcome(MemoryProbe(**options)) == expected


def file_system(**values: int) -> os.statvfs_result:
    """Return what statvfs says of 1000 MiB, 200 of them free, 50 of those for root alone."""
    names = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail")
    names += ("f_files", "f_ffree", "f_favail", "f_flag", "f_namemax")
    usual = dict(zip(names, (4 * MIB, MIB, 1000, 200, 150, 1000, 500, 500, 0, 255), strict=True))
    return os.statvfs_result(tuple((usual | values).values()))


@pytest.mark.parametrize(
    ("seen", "options", "expected"),
    [
        (file_system(), {}, None),
        (file_system(), {"min_free_mib": 150}, None),
        (file_system(), {"min_free_mib": 151}, "/x: 150 MiB are free, 151 are wanted"),
        (file_system(f_bfree=1000, f_bavail=950), {"min_free_percent": 100}, None),
        (file_system(f_bavail=0), {}, "/x: 0 MiB are free, 100 are wanted"),
        (file_system(f_favail=4), {}, "/x: 0.8% of the inodes are free, 1% are wanted"),
        (file_system(f_favail=4), {"min_free_inodes_percent": 0}, None),
        (file_system(f_files=0, f_ffree=0, f_favail=0), {}, None),
        (file_system(f_flag=os.ST_RDONLY), {}, "/x: the file system is read-only"),
    ],
)
def test_room_on_a_disk(
    monkeypatch: pytest.MonkeyPatch,
    seen: os.statvfs_result,
    options: dict[str, Any],
    expected: str | None,
) -> None:
    """Space without what is reserved for root, inodes where there is a number of them, writable."""
    monkeypatch.setattr(os, "statvfs", {"/x": seen}.__getitem__)
    assert outcome(DiskProbe("/x", **options)) == expected


def doubts(probe: Any, **options: Any) -> list[str]:
    """Return what ``manage.py check`` warns of, after the backend's path."""
    with override_settings(SENTINEL_BACKENDS={"b": {"PROBE": probe, "OPTIONS": options}}):
        found = check_doubtful_backends()
    assert all(message.id == "sentinel_health.W008" for message in found)
    return [message.msg.removeprefix("SENTINEL_BACKENDS['b']: ") for message in found]


def refusals(probe: Any, **options: Any) -> list[str]:
    """Return what ``manage.py check`` refuses, after the backend's path."""
    with override_settings(SENTINEL_BACKENDS={"b": {"PROBE": probe, "OPTIONS": options}}):
        found = check_backends()
    assert all(message.id == "sentinel_health.E002" for message in found)
    return [message.msg.removeprefix("SENTINEL_BACKENDS['b']") for message in found]


def test_a_place_in_which_a_check_can_only_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only file system, a small one and a low limit of memory are warned of."""
    monkeypatch.setattr(os, "statvfs", lambda _: file_system(f_flag=os.ST_RDONLY))
    assert doubts("health.probes.DiskProbe", path="/x", min_free_mib=1001) == [
        "the file system of /x is read-only here: every check fails",
        "/x: 1001 MiB are to be free of 1000: every check fails",
    ]
    monkeypatch.setattr("health.probes.system.memory_limits", lambda: [(40 * MIB, 40 * MIB)])
    assert doubts("health.probes.MemoryProbe") == [
        "memory of the control group: 50 MiB are to be free of 40: every check fails"
    ]


LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
DUMMY = {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}


@override_settings(CACHES={"default": LOCMEM, "none": DUMMY})
def test_a_cache_that_is_none() -> None:
    """What keeps nothing is refused; what is this process's own memory is warned of."""
    assert refusals("health.probes.CacheProbe", alias="none") == [
        "['OPTIONS']: CACHES['none'] is a DummyCache, which keeps nothing"
    ]
    assert refusals("health.probes.CacheProbe") == []
    assert doubts("health.probes.CacheProbe") == [
        "CACHES['default'] is a LocMemCache, each process's own: it is well while the process is"
    ]


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("cache:none", "sentinel_health.E004"),
        ("cache:default", "sentinel_health.W009"),
        ("cache:broken", "sentinel_health.E004"),
    ],
)
def test_a_board_in_a_cache_that_is_none(store: str, expected: str) -> None:
    """A board needs a cache that keeps it, and that all processes share."""
    broken = {"BACKEND": "no.such.Cache"}
    with override_settings(
        CACHES={"default": LOCMEM, "none": DUMMY, "broken": broken}, SENTINEL_HEALTH_STORE=store
    ):
        assert [message.id for message in check_health_store()] == [expected]


@override_settings(CACHES={"default": LOCMEM})
def test_a_cache_that_reads_from_a_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a replica shows a moment later is there."""
    cache = caches["default"]
    get, asked = cache.get, []

    def late(key: str) -> Any:
        asked.append(key)
        return get(key) if len(asked) > 2 else None

    monkeypatch.setattr(cache, "get", late)
    assert outcome(CacheProbe()) is None
    assert len(asked) == 3


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
    from health.probes.database import own_connection

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


def test_redis_users_without_ping(tmp_path: Path) -> None:
    """A server that refuses PING to a user has answered; a wrong password or database has not."""
    with Redis(tmp_path) as server:
        with redis_py.Redis.from_url(server.url) as admin:
            admin.execute_command("ACL", "SETUSER", "app", "on", ">s3cr3t", "~*", "+@read")
        at = f"127.0.0.1:{server.port}"
        assert outcome(RedisProbe(f"redis://app:s3cr3t@{at}/0")) is None
        assert outcome(RedisProbe(f"valkey://app:s3cr3t@{at}/0")) is None
        wrong = str(outcome(RedisProbe(f"redis://app:wrong-one@{at}/0")))
        assert wrong.startswith("AuthenticationError")
        assert "'select'" in str(outcome(RedisProbe(f"redis://app:s3cr3t@{at}/1")))


def test_redis_over_a_socket_and_tls(tmp_path: Path) -> None:
    """A file of a socket, and a certificate that is verified."""
    certificates = Certificates(tmp_path)
    cert, key = certificates.issue("redis")
    tls = free_port()
    words = ["--unixsocket", str(tmp_path / "socket"), "--tls-port", str(tls)]
    words += ["--tls-cert-file", str(cert), "--tls-key-file", str(key)]
    words += ["--tls-ca-cert-file", str(certificates.ca_file), "--tls-auth-clients", "no"]
    with Redis(tmp_path, *words) as server:
        assert outcome(RedisProbe(f"unix://:{server.password}@{tmp_path}/socket")) is None
        url = f"rediss://:{server.password}@127.0.0.1:{tls}/0"
        options = {"ssl_ca_certs": str(certificates.ca_file)}
        assert outcome(RedisProbe(url, options=options)) is None
        assert "certificate verify failed" in str(outcome(RedisProbe(url)))


def test_redis_behind_sentinel(tmp_path: Path) -> None:
    """The service's master is asked, whichever Sentinel answers; a Sentinel is no Redis itself."""
    (tmp_path / "sentinel").mkdir()
    with Redis(tmp_path) as server, Sentinel(tmp_path / "sentinel", server, "shop") as sentinel:
        options: dict[str, Any] = {
            "sentinels": [f"127.0.0.1:{free_port()}", f"127.0.0.1:{sentinel.port}"],
            "sentinel_options": {"password": sentinel.password},
        }
        probe = RedisProbe(f"redis://:{server.password}@shop/0", **options)
        assert outcome(probe) is None
        assert sentinel.password not in repr(probe)
        unknown = RedisProbe(f"redis://:{server.password}@store/0", **options)
        assert str(outcome(unknown)).startswith("MasterNotFoundError: No master found for 'store'")
        assert outcome(RedisProbe(sentinel.url)) == (
            "a Sentinel answers and no Redis: give its address as sentinels"
        )
        server.stop()
        assert outcome(probe) is not None
        server.start()
        wait_until(lambda: outcome(probe) is None, "the master again")


def test_a_node_of_a_redis_cluster(tmp_path: Path) -> None:
    """A node is well while all slots are served."""
    words = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    with Redis(tmp_path, *words) as server:
        probe = RedisProbe(server.url)
        assert outcome(probe) == "the state of the cluster is fail"
        with redis_py.Redis.from_url(server.url) as admin:
            admin.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        wait_until(lambda: outcome(probe) is None, "a whole cluster")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"url": "sentinel://h:26379"},
            (
                "url must begin with redis://, rediss:// or unix://; of Sentinel give the addresses"
                " as sentinels, and of a cluster one node"
            ),
        ),
        ({"sentinels": ["h"]}, "sentinels must be a list in which each is host:port"),
        ({"sentinel_options": {"a": "b"}}, "sentinel_options needs sentinels"),
        (
            {"url": "unix:///s", "sentinels": ["h:1"]},
            "url must name a service of the sentinels: redis://NAME/0",
        ),
        (
            {"options": {"xyzzy": 5}},
            (
                "options do not fit: AbstractConnection.__init__() got an unexpected keyword"
                " argument 'xyzzy'"
            ),
        ),
    ],
)
def test_redis_options_that_cannot_be(options: dict[str, Any], expected: str) -> None:
    """A scheme that redis-py does not know, and an option that no connection takes, are refused."""
    assert refusals("health.probes.RedisProbe", **options) == [f"['OPTIONS']: {expected}"]


@pytest.mark.parametrize(
    ("broker", "conf", "expected"),
    [
        ("redis://", {}, None),
        ("amqp://", {}, None),
        ("filesystem://", {}, None),
        ("memory://", {}, "the broker is memory of this process: no worker hears a ping"),
        (
            "zookeeper://",
            {},
            (
                "the broker's transport, zookeeper, carries no ping: probe the workers by a"
                " callable, such as one that looks at the age of a task's result"
            ),
        ),
        ("zookeeper://", {"broker_transport_options": {"supports_fanout": True}}, None),
        (
            "redis://",
            {"worker_enable_remote_control": False},
            "worker_enable_remote_control is off: no worker answers a ping",
        ),
    ],
)
def test_brokers_that_carry_no_ping(
    monkeypatch: pytest.MonkeyPatch, broker: str, conf: dict[str, Any], expected: str | None
) -> None:
    """A broker that cannot tell all workers something is refused, and so are deaf workers."""
    from celery import Celery

    app = Celery("t", broker=broker, set_as_current=False)
    app.conf.update(conf)
    monkeypatch.setattr("tests.test_health_places.celery_app", app, raising=False)
    found = refusals("health.probes.CeleryProbe", app="tests.test_health_places.celery_app")
    assert found == ([] if expected is None else [f"['OPTIONS']: {expected}"])


def test_a_celery_application_that_is_not_there() -> None:
    """A dotted path that leads nowhere is refused, not tried for ever."""
    ((message),) = refusals("health.probes.CeleryProbe", app="no_such_module.app")
    assert message == "['OPTIONS']: No module named 'no_such_module'"


def test_tasks_that_no_worker_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """With task_always_eager the workers that are probed have no part in the tasks."""
    from celery import Celery

    app = Celery("t", broker="redis://", set_as_current=False)
    app.conf.task_always_eager = True
    monkeypatch.setattr("tests.test_health_places.celery_app", app, raising=False)
    assert doubts("health.probes.CeleryProbe", app="tests.test_health_places.celery_app") == [
        "task_always_eager is on: the tasks run here, and what is probed has no part"
    ]


def lazy() -> Iterator[bool]:
    """Yield instead of returning."""
    yield False


async def lazy_async() -> Any:
    """Yield instead of returning."""
    yield False


@pytest.mark.parametrize("probe", [lazy, lazy_async])
def test_a_generator_is_no_check(probe: Any) -> None:
    """To call a generator function runs none of it, which would always look well."""
    with pytest.raises(ImproperlyConfigured, match="is a generator"):
        build(parse({"b": {"PROBE": probe}})["b"])

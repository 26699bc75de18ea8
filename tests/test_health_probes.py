"""Each kind of probe against the real thing, well and ill."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.utils import OperationalError
from django.test import override_settings
from urllib3.exceptions import InsecureRequestWarning

from health.conf.backends import parse
from health.prober.outcome import describe
from health.prober.pool import Run
from health.probes import (
    CacheProbe,
    CeleryProbe,
    DatabaseProbe,
    DiskProbe,
    HTTPProbe,
    MCPProbe,
    MemoryProbe,
    MigrationsProbe,
    Probe,
    RedisProbe,
    TCPProbe,
    build,
)
from tests.support import misbehaving
from tests.support.databases import other_database
from tests.support.harness import ROOT, Program, free_port, wait_until
from tests.support.misbehaving import Certificates, Redis, http_answer

TIMEOUT = 5.0


def outcome(probe: Probe, timeout: float = TIMEOUT) -> str | None:
    """Return what the prober would say of one check: None when the backend is well."""
    run = Run("b", probe, timeout)
    started = time.monotonic()
    try:
        probe.check(timeout)
        run.error = None
    except Exception as e:  # noqa: BLE001 - as the pool does
        run.error = e
    run.seconds = time.monotonic() - started
    return describe(run)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Make one authority for all tests here."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize(
    ("talk", "options", "expected"),
    [
        (http_answer("200 OK", b"all is well"), {}, None),
        (http_answer("204 No Content"), {}, None),
        (http_answer("503 Service Unavailable"), {}, "status 503"),
        (http_answer("503 Service Unavailable"), {"statuses": [503]}, None),
        (http_answer("200 OK"), {"statuses": [204]}, "status 200"),
        (http_answer("302 Found\r\nLocation: http://127.0.0.1:1/"), {}, "status 302"),
        (http_answer("200 OK", b"all is well"), {"body": "is w.ll"}, None),
        (
            http_answer("200 OK", b"all is lost"),
            {"body": "is well"},
            "the body does not hold what it should",
        ),
        (http_answer("200 OK", b"all is well"), {"body": "well", "max_bytes": 11}, None),
        (
            http_answer("200 OK", b"all is well"),
            {"body": "well", "max_bytes": 10},
            "the body does not hold what it should",
        ),
        (http_answer("200 OK", b"x" * 10_000_000 + b"well"), {}, None),
        (
            http_answer("200 OK", b"x" * 10_000_000 + b"well"),
            {"body": "well"},
            "the body does not hold what it should",
        ),
    ],
)
def test_http(talk: misbehaving.Talk, options: dict[str, Any], expected: str | None) -> None:
    """Status, body and size of the answer decide; a redirect is an answer like any other."""
    with misbehaving.server(talk) as port:
        assert outcome(HTTPProbe(f"http://127.0.0.1:{port}/", **options)) == expected


def test_http_sends_what_it_is_told() -> None:
    """Method, path, headers and credentials reach the server."""
    seen: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with misbehaving.server(talk) as port:
        probe = HTTPProbe(
            f"http://127.0.0.1:{port}/healthz?deep=1",
            method="HEAD",
            headers={"X-Token": "t0ken"},
            auth=("bob", "hunter2"),
        )
        assert outcome(probe) is None
    assert seen[0].startswith(b"HEAD /healthz?deep=1 HTTP/1.1\r\n")
    assert b"\r\nX-Token: t0ken\r\n" in seen[0]
    assert b"\r\nauthorization: Basic Ym9iOmh1bnRlcjI=\r\n" in seen[0].lower().replace(
        b"basic ym9iomh1bnrlcji=", b"Basic Ym9iOmh1bnRlcjI="
    )


@pytest.mark.parametrize("talk", [misbehaving.silence, misbehaving.drip])
def test_http_gives_up_in_time(talk: misbehaving.Talk) -> None:
    """A server that says nothing, or never comes to an end, costs the timeout and no more."""
    with misbehaving.server(talk) as port:
        started = time.monotonic()
        error = outcome(HTTPProbe(f"http://127.0.0.1:{port}/", body="never"), timeout=0.3)
        assert error is not None
        assert time.monotonic() - started < 5


def test_http_reset_in_the_middle() -> None:
    """A connection that breaks while the body comes is a failure that says so."""
    with misbehaving.server(misbehaving.reset_in_the_middle) as port:
        error = str(outcome(HTTPProbe(f"http://127.0.0.1:{port}/", body="well")))
    assert error.startswith("ProtocolError: ")
    assert "Connection reset by peer" in error


def test_http_refused() -> None:
    """Nobody listens."""
    assert "Connection refused" in str(outcome(HTTPProbe(f"http://127.0.0.1:{free_port()}/")))


def test_http_name_that_does_not_resolve() -> None:
    """A name without an address is the backend's failure."""
    error = str(outcome(HTTPProbe("http://no-such-host.invalid/")))
    assert error.startswith("NameResolutionError")


def test_tls_is_verified(certificates: Certificates) -> None:
    """An unknown authority and an expired certificate fail, unless verification is off."""
    ok = http_answer("200 OK")
    ca_file = str(certificates.ca_file)
    with misbehaving.server(ok, certificates.context("valid")) as port:
        url = f"https://127.0.0.1:{port}/"
        assert outcome(HTTPProbe(url, ca_file=ca_file)) is None
        assert "unable to get local issuer" in str(outcome(HTTPProbe(url)))
        with pytest.warns(InsecureRequestWarning):
            assert outcome(HTTPProbe(url, verify=False)) is None
        assert outcome(TCPProbe("127.0.0.1", port, tls=True, ca_file=ca_file)) is None
        assert "unable to get" in str(outcome(TCPProbe("127.0.0.1", port, tls=True)))
        assert outcome(TCPProbe("127.0.0.1", port, tls=True, verify=False)) is None
        assert outcome(TCPProbe("127.0.0.1", port)) is None
    with misbehaving.server(ok, certificates.context("expired", days=-1)) as port:
        url = f"https://127.0.0.1:{port}/"
        assert "certificate has expired" in str(outcome(HTTPProbe(url, ca_file=ca_file)))
        probe = TCPProbe("127.0.0.1", port, tls=True, ca_file=ca_file)
        assert "certificate has expired" in str(outcome(probe))


def test_tls_client_certificates(certificates: Certificates) -> None:
    """A server that asks for a certificate gets the one of the options."""
    cert, key = certificates.issue("client")
    context = certificates.context("asking", ask_client=True)
    with misbehaving.server(http_answer("200 OK"), context) as port:
        url, ca_file = f"https://127.0.0.1:{port}/", str(certificates.ca_file)
        assert outcome(HTTPProbe(url, ca_file=ca_file)) is not None
        probe = HTTPProbe(url, ca_file=ca_file, client_cert=str(cert), client_key=str(key))
        assert outcome(probe) is None
        both = cert.with_name("both.pem")
        both.write_bytes(cert.read_bytes() + key.read_bytes())
        assert outcome(HTTPProbe(url, ca_file=ca_file, client_cert=both)) is None
        tcp = TCPProbe("127.0.0.1", port, tls=True, ca_file=ca_file, client_cert=both)
        assert outcome(tcp) is None


def test_tcp() -> None:
    """Something listens or it does not."""
    with misbehaving.server(misbehaving.silence) as port:
        assert outcome(TCPProbe("127.0.0.1", port)) is None
    assert str(outcome(TCPProbe("127.0.0.1", port))).startswith("ConnectionRefusedError")


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


def sqlite(path: Path) -> dict[str, Any]:
    """Return the settings of a database that is a file."""
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}


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


def test_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round trip through a cache that keeps, and one that forgets."""
    locmem = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    with override_settings(CACHES={"default": locmem}):
        assert outcome(CacheProbe()) is None
        monkeypatch.setattr(caches["default"], "get", lambda _: None)
        assert outcome(CacheProbe(), 0.1) == "what was written could not be read back"


def test_disk_and_memory() -> None:
    """There is a mebibyte of each, and there is no exbibyte of either."""
    assert outcome(DiskProbe(min_free_mib=1, min_free_percent=0)) is None
    assert outcome(MemoryProbe(min_free_mib=1, min_free_percent=0)) is None
    assert str(outcome(DiskProbe(min_free_mib=2**40))).startswith("/: ")
    assert str(outcome(DiskProbe(min_free_percent=100))).startswith("/: ")
    assert str(outcome(DiskProbe("/no/such/folder"))).startswith("FileNotFoundError")
    assert str(outcome(MemoryProbe(min_free_percent=100))).startswith("memory: ")
    assert str(outcome(MemoryProbe(min_free_mib=2**40))).startswith("memory: ")


def test_redis(tmp_path: Path) -> None:
    """A real server: with the password, without it, gone and back."""
    with Redis(tmp_path) as redis:
        assert outcome(RedisProbe(redis.url)) is None
        wrong = outcome(RedisProbe(redis.url.replace(redis.password, "wr0ng")))
        assert str(wrong).startswith("AuthenticationError")
        assert "wr0ng" not in str(wrong)
    gone = str(outcome(RedisProbe(redis.url)))
    assert "Connection refused" in gone
    assert redis.password not in gone
    with redis:
        assert outcome(RedisProbe(redis.url)) is None


MCP_SERVER = """
import sys
from mcp.server.mcpserver import MCPServer

server = MCPServer("test")
if len(sys.argv) > 1:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run("stdio")
"""


def test_mcp_over_http(tmp_path: Path) -> None:
    """A server of the official SDK over streamable HTTP is initialized and pinged."""
    port = free_port()
    argv = [sys.executable, "-c", MCP_SERVER, str(port)]
    with Program(argv, log=tmp_path / "mcp.log") as server:
        probe = MCPProbe(url=f"http://127.0.0.1:{port}/mcp")
        server.wait_ready(lambda: outcome(probe) is None, "the MCP server")
        assert outcome(probe) is None
        assert outcome(MCPProbe(url=f"http://127.0.0.1:{port}/")) == "initialize: status 404"
    assert "Connection refused" in str(outcome(probe))


def test_mcp_over_stdio() -> None:
    """A server of the official SDK on stdio is started, pinged and ended, with all of its kin."""
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    assert outcome(MCPProbe(command=[sys.executable, "-c", MCP_SERVER]), timeout=30) is None
    assert {p.pid for p in psutil.Process().children(recursive=True)} == before


LATE = "the server did not answer in time"
REFUSING = """
import time
print('{"jsonrpc": "2.0", "id": 1, "error": {"message": "no"}}', flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pass", "the server ended"),
        ("import time; time.sleep(60)", LATE),
        ("print('noise', flush=True); import time; time.sleep(60)", LATE),
        ("while True: print('noise' * 1000)", "the server writes without end"),
        ("while True: print('noise' * 10**6, end='')", "the server writes without end"),
        (
            REFUSING,
            "initialize was refused: no",
        ),
    ],
)
def test_mcp_servers_that_are_none(code: str, expected: str) -> None:
    """A program that ends, hangs, babbles or refuses is ill, and is not left behind."""
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    error = outcome(MCPProbe(command=[sys.executable, "-c", code]), timeout=1.5)
    assert error in (expected, "BrokenPipeError: [Errno 32] Broken pipe")
    assert {p.pid for p in psutil.Process().children(recursive=True)} == before


@pytest.mark.parametrize("talk", [misbehaving.silence, misbehaving.drip])
def test_mcp_over_http_gives_up_in_time(talk: misbehaving.Talk) -> None:
    """An endpoint that says nothing, or never comes to an end, costs the timeout and no more."""
    with misbehaving.server(talk) as port:
        started = time.monotonic()
        assert outcome(MCPProbe(url=f"http://127.0.0.1:{port}/mcp"), timeout=0.3) is not None
        assert time.monotonic() - started < 5


def _mcp(connection: socket.socket) -> None:
    """Speak MCP to whoever has the token."""
    content = connection.recv(65536)
    while b'"method"' not in content:
        content += connection.recv(65536)
    head, _, body = content.partition(b"\r\n\r\n")
    message = json.loads(body)
    answer = {"jsonrpc": "2.0", "id": message.get("id"), "result": {"protocolVersion": "1"}}
    text = json.dumps(answer).encode() if "id" in message else b""
    status = "200 OK" if b"X-Token: t0ken" in head else "403 Forbidden"
    kind = "Content-Type: application/json\r\nConnection: close\r\n"
    head_out = f"HTTP/1.1 {status}\r\n{kind}Content-Length: {len(text)}\r\n\r\n"
    connection.sendall(head_out.encode() + text)
    connection.close()


def test_mcp_over_tls(certificates: Certificates) -> None:
    """The server's certificate is verified against one's own authority, and headers are sent."""
    headers, ca_file = {"X-Token": "t0ken"}, certificates.ca_file
    with misbehaving.server(_mcp, certificates.context("mcp")) as port:
        url = f"https://127.0.0.1:{port}/mcp"
        assert outcome(MCPProbe(url=url, headers=headers, ca_file=ca_file)) is None
        assert outcome(MCPProbe(url=url, ca_file=ca_file)) == "initialize: status 403"
        assert "unable to get local issuer" in str(outcome(MCPProbe(url=url, headers=headers)))
        with pytest.warns(InsecureRequestWarning):
            assert outcome(MCPProbe(url=url, headers=headers, verify=False)) is None


def test_celery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real worker over a real Redis answers; without it nobody does."""
    with Redis(tmp_path) as redis:
        module = tmp_path / "celery_of_the_test.py"
        module.write_text(f"from celery import Celery\napp = Celery('t', broker={redis.url!r})\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        probe = CeleryProbe("celery_of_the_test.app")
        assert outcome(probe, 1.0) == "0 of 1 worker(s) answered"
        argv = [sys.executable, "-m", "celery", "-A", "celery_of_the_test", "worker"]
        argv += ["--pool", "solo", "--without-gossip", "--without-mingle"]
        env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
        with Program(argv, log=tmp_path / "celery.log", env=env, cwd=tmp_path) as worker:
            worker.wait_ready(lambda: outcome(probe, 2.0) is None, "the worker")
            assert outcome(CeleryProbe("celery_of_the_test.app", 2), 1.0) == (
                "1 of 2 worker(s) answered"
            )
    wait_until(lambda: "refused" in str(outcome(probe, 1.0)), "a broker that is gone")


@pytest.mark.parametrize(
    ("path", "options", "well"),
    [
        ("health_check.checks.Cache", {}, True),
        ("health_check.checks.DNS", {"hostname": "no-such-host.invalid"}, False),
        ("health_check.checks.Storage", {"alias": "default"}, True),
    ],
)
def test_django_health_check(
    path: str, options: dict[str, Any], well: bool, tmp_path: Path
) -> None:
    """A check of django-health-check 4 is a probe by its dotted path, sync or async."""
    (backend,) = parse({"b": {"PROBE": path, "OPTIONS": options}}).values()
    with override_settings(MEDIA_ROOT=str(tmp_path)):
        assert (outcome(build(backend)) is None) is well


async def _async_check() -> bool:
    return False


def test_callable_may_be_a_coroutine_function() -> None:
    """A coroutine function is run to its end."""
    (backend,) = parse({"b": {"PROBE": _async_check}}).values()
    assert outcome(build(backend)) == "the check said no"


SECRET = "s3cr3t-value"


@pytest.mark.parametrize(
    "make",
    [
        lambda: HTTPProbe(f"http://h/?key={SECRET}", headers={"X": SECRET}, auth=("u", SECRET)),
        lambda: RedisProbe(f"redis://:{SECRET}@h/0", options={"password": SECRET}),
        lambda: MCPProbe(url=f"http://h/{SECRET}", headers={"Authorization": f"Bearer {SECRET}"}),
        lambda: HTTPProbe("http://h/", headers={"X": "http://[", "Y": SECRET}),
        lambda: MCPProbe(command=["x", SECRET], env={"TOKEN": SECRET}),
        lambda: build(parse({"b": {"PROBE": print, "OPTIONS": {"sep": SECRET}}})["b"]),
    ],
)
def test_secrets_are_neither_in_repr_nor_in_errors(make: Callable[[], Probe]) -> None:
    """What an option marks as secret is masked in every text."""
    probe = make()
    assert SECRET not in repr(probe)
    run = Run("b", probe, 1.0, error=ValueError(f"cannot use {SECRET} at redis://:{SECRET}@h/0"))
    assert SECRET not in str(describe(run))


def test_configuration_does_not_show_options() -> None:
    """The repr of a configured backend holds no option's value."""
    assert SECRET not in repr(parse({"b": {"PROBE": "a.b", "OPTIONS": {"x": SECRET}}}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HTTPProbe("ftp://h/"), "url must begin with http:// or https://"),
        (lambda: HTTPProbe("http://u:p@h/"), "url must not hold credentials; give them as auth"),
        (lambda: MCPProbe(), "give either url or command"),
        (lambda: MCPProbe(command="a b"), "command must be a list"),
        (lambda: CeleryProbe("a.b", 0), "min_workers must be 1 or more"),
    ],
)
def test_options_that_cannot_be(make: Callable[[], Probe], message: str) -> None:
    """A wrong option is refused with what to mend."""
    with pytest.raises(ValueError, match=message):
        make()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, the message says which extra to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ImproperlyConfigured, match=r"django-sentinel-metrics\[redis\]"):
        RedisProbe()

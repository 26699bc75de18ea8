"""The probe of Redis: users, sockets, TLS, Sentinel and clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from health.probes import RedisProbe
from tests.support.harness import free_port, wait_until
from tests.support.misbehaving import Certificates, Redis, Sentinel
from tests.support.probes import outcome, refusals


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

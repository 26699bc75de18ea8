"""Probe of Redis, alone, behind Sentinel or a node of a cluster, and of what speaks as it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from health.probes.base import Probe, ProbeError

SCHEMES = ("redis://", "rediss://", "unix://")
VALKEY = {"valkey://": "redis://", "valkeys://": "rediss://"}


@dataclass
class RedisProbe(Probe):
    """Sends PING to the Redis of ``url`` over a connection of its own.

    ``options`` are further arguments of ``redis.Redis.from_url``. With ``sentinels``
    ("host:port" each) the host in ``url`` is the name of a service, and its present
    master is asked; ``sentinel_options`` are arguments of the connections to them. A node
    of a cluster is well while the cluster serves all its slots. A server that refuses
    PING to this user has answered, and so is well.
    """

    url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sentinels: Sequence[str] = ()
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        try:
            import redis
            import redis.sentinel
        except ImportError as e:
            raise ImproperlyConfigured(
                "RedisProbe needs redis: pip install 'django-sentinel-metrics[redis]'"
            ) from e
        self._redis: Any = redis
        self._url = self.url
        for theirs, same in VALKEY.items():
            if self.url.startswith(theirs):
                self._url = same + self.url.removeprefix(theirs)
        if not self._url.startswith(SCHEMES):
            raise ValueError(
                "url must begin with redis://, rediss:// or unix://; of Sentinel give the"
                " addresses as sentinels, and of a cluster one node"
            )
        self._sentinels = [_address(word) for word in self.sentinels]
        if self._sentinels and self._url.startswith("unix://"):
            raise ValueError("url must name a service of the sentinels: redis://NAME/0")
        if self.sentinel_options and not self._sentinels:
            raise ValueError("sentinel_options needs sentinels")
        try:  # makes the connection and does not open it
            self._client(1.0).connection_pool.make_connection()
        except TypeError as e:
            raise ValueError(f"options do not fit: {e}") from e

    def check(self, timeout: float) -> None:
        """Connect, authenticate as the URL says, and have a PING answered."""
        client = self._client(timeout)
        try:
            self._ping(client)
            self._look_at_mode(client)
        finally:
            client.close()
            if self._sentinels:
                for sentinel in client.connection_pool.sentinel_manager.sentinels:
                    sentinel.close()

    def _client(self, timeout: float) -> Any:
        """Return a client that opens no connection before its first command."""
        if not self._sentinels:
            limits = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
            return self._redis.Redis.from_url(self._url, **(limits | dict(self.options)))
        # One that does not answer must leave time for the others and for the master.
        share = timeout / (len(self._sentinels) + 1)
        limits = {"socket_timeout": share, "socket_connect_timeout": share}
        asked = self._redis.sentinel.Sentinel(
            self._sentinels, sentinel_kwargs=limits | dict(self.sentinel_options)
        )
        parts = self._redis.connection.parse_url(self._url)
        service = parts.pop("host", "")
        if parts.pop("connection_class", None) is not None:
            parts["ssl"] = True
        return asked.master_for(service, **(limits | parts | dict(self.options)))

    def _ping(self, client: Any) -> None:
        try:
            answer = client.ping()
        except self._redis.ResponseError as e:
            if not _refuses_ping(e):
                raise
        else:
            if answer is not True:
                raise ProbeError("PING was not answered by PONG")

    def _look_at_mode(self, client: Any) -> None:
        """Raise ProbeError if it is a Sentinel that answers, or a node of a broken cluster."""
        try:
            mode = client.info("server").get("redis_mode")
            state = client.execute_command("CLUSTER INFO") if mode == "cluster" else {}
        except self._redis.ResponseError:  # it keeps that from this user, or knows no such thing
            return
        if mode == "sentinel":
            raise ProbeError("a Sentinel answers and no Redis: give its address as sentinels")
        if state.get("cluster_state", "ok") != "ok":
            raise ProbeError(f"the state of the cluster is {state['cluster_state']}")


def _address(word: str) -> tuple[str, int]:
    host, _, port = word.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError("sentinels must be a list in which each is host:port")
    return host.strip("[]"), int(port)


def _refuses_ping(error: Exception) -> bool:
    """Whether the answer is that this user, or anybody, may not send PING (ACL, a proxy)."""
    said = str(error).lower()
    return "ping" in said and ("no permission" in said or "unknown command" in said)

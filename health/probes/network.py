"""Probes of what listens on a port: any TCP server, Redis, and a Django cache."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from health.probes.base import Probe, ProbeError
from health.probes.http import demand_cert, tls_context
from health.probes.options import FilePath


@dataclass
class TCPProbe(Probe):
    """Connects to ``host`` and ``port``, with ``tls`` does the handshake too, and hangs up."""

    host: str
    port: int
    tls: bool = False
    verify: bool = True
    ca_file: FilePath | None = None
    client_cert: FilePath | None = None
    client_key: FilePath | None = None

    def __post_init__(self) -> None:
        if not self.host:
            raise ValueError("host must not be empty")
        if not 1 <= self.port <= 65535:
            raise ValueError("port must be from 1 to 65535")
        demand_cert(self.client_cert, self.client_key)

    def check(self, timeout: float) -> None:
        """Connect once."""
        with socket.create_connection((self.host, self.port), timeout) as connection:
            if self.tls:
                context = tls_context(self.verify, self.ca_file, self.client_cert, self.client_key)
                with context.wrap_socket(connection, server_hostname=self.host):
                    pass


@dataclass
class RedisProbe(Probe):
    """Sends PING to the Redis of ``url`` over a connection of its own.

    ``options`` are further arguments of ``redis.Redis.from_url``.
    """

    url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        try:
            import redis
        except ImportError as e:
            raise ImproperlyConfigured(
                "RedisProbe needs redis: pip install 'django-sentinel-metrics[redis]'"
            ) from e
        if not self.url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("url must begin with redis://, rediss:// or unix://")
        self._redis = redis

    def check(self, timeout: float) -> None:
        """Connect, authenticate as the URL says, and have a PING answered."""
        limits = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        with self._redis.Redis.from_url(self.url, **(limits | dict(self.options))) as client:
            if client.ping() is not True:
                raise ProbeError("PING was not answered by PONG")


@dataclass
class CacheProbe(Probe):
    """Writes, reads and deletes a key of its own in the Django cache ``alias``."""

    alias: str = "default"

    def __post_init__(self) -> None:
        if self.alias not in settings.CACHES:
            raise ValueError(f"CACHES has no {self.alias!r}; it has {', '.join(settings.CACHES)}")

    def check(self, timeout: float) -> None:
        """Make one round trip."""
        cache = caches[self.alias]
        key, value = f"sentinel-probe:{uuid.uuid4().hex}", uuid.uuid4().hex
        try:
            cache.set(key, value, timeout=60)
            found = cache.get(key)
            cache.delete(key)
        finally:
            cache.close()
        if found != value:
            raise ProbeError("what was written could not be read back")

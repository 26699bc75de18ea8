"""Probes of what listens on a port: any TCP server, and a Django cache."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache

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
class CacheProbe(Probe):
    """Writes, reads and deletes a key of its own in the Django cache ``alias``.

    A cache that reads from replicas gets half of the timeout, and a second at most, to
    show what was written.
    """

    alias: str = "default"

    def __post_init__(self) -> None:
        if self.alias not in settings.CACHES:
            raise ValueError(f"CACHES has no {self.alias!r}; it has {', '.join(settings.CACHES)}")
        if isinstance(caches[self.alias], DummyCache):
            raise ValueError(f"CACHES[{self.alias!r}] is a DummyCache, which keeps nothing")

    def check(self, timeout: float) -> None:
        """Make one round trip."""
        deadline = time.monotonic() + min(1.0, timeout / 2)
        cache = caches[self.alias]
        key, value = f"sentinel-probe:{uuid.uuid4().hex}", uuid.uuid4().hex
        try:
            cache.set(key, value, timeout=60)
            found = cache.get(key)
            while found is None and time.monotonic() < deadline:
                time.sleep(0.02)
                found = cache.get(key)
            cache.delete(key)
        finally:
            cache.close()
        if found != value:
            raise ProbeError("what was written could not be read back")

    def doubts(self) -> Iterator[str]:
        """Tell of a cache that is memory of this process."""
        if isinstance(caches[self.alias], LocMemCache):
            yield (
                f"CACHES[{self.alias!r}] is a LocMemCache, each process's own:"
                " it is well while the process is"
            )

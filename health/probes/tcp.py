"""Probe of any TCP server."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from health.probes.base import Probe
from health.probes.options import FilePath
from health.probes.tls import demand_cert, tls_context


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

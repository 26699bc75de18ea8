"""One dataclass a kind of probe; its fields are its options."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from health.probes.base import Probe, ProbeError
from health.probes.build import build

if TYPE_CHECKING:
    from health.probes.cache import CacheProbe
    from health.probes.celery import CeleryProbe
    from health.probes.database import DatabaseProbe, MigrationsProbe
    from health.probes.functions import CallableProbe, HealthCheckProbe
    from health.probes.http import HTTPProbe
    from health.probes.mcp import MCPProbe
    from health.probes.redis import RedisProbe
    from health.probes.system import DiskProbe, MemoryProbe
    from health.probes.tcp import TCPProbe

_MODULES = {
    "CacheProbe": "cache",
    "CeleryProbe": "celery",
    "DatabaseProbe": "database",
    "MigrationsProbe": "database",
    "CallableProbe": "functions",
    "HealthCheckProbe": "functions",
    "HTTPProbe": "http",
    "MCPProbe": "mcp",
    "RedisProbe": "redis",
    "DiskProbe": "system",
    "MemoryProbe": "system",
    "TCPProbe": "tcp",
}
"""Where each kind is: no process loads the clients of what it does not probe."""

__all__ = [
    "CacheProbe",
    "CallableProbe",
    "CeleryProbe",
    "DatabaseProbe",
    "DiskProbe",
    "HTTPProbe",
    "HealthCheckProbe",
    "MCPProbe",
    "MemoryProbe",
    "MigrationsProbe",
    "Probe",
    "ProbeError",
    "RedisProbe",
    "TCPProbe",
    "build",
]


def __getattr__(name: str) -> Any:
    """Load the module of a kind of probe when the kind is first named."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return found

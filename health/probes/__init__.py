"""One dataclass a kind of probe; its fields are its options."""

from __future__ import annotations

from health.probes.base import Probe, ProbeError
from health.probes.build import build
from health.probes.cache import CacheProbe
from health.probes.celery import CeleryProbe
from health.probes.database import DatabaseProbe, MigrationsProbe
from health.probes.functions import CallableProbe, HealthCheckProbe
from health.probes.http import HTTPProbe
from health.probes.mcp import MCPProbe
from health.probes.redis import RedisProbe
from health.probes.system import DiskProbe, MemoryProbe
from health.probes.tcp import TCPProbe

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

"""One dataclass a kind of probe; its fields are its options."""

from __future__ import annotations

from health.probes.base import Probe, ProbeError
from health.probes.build import build
from health.probes.database import DatabaseProbe, MigrationsProbe
from health.probes.functions import CallableProbe, HealthCheckProbe

__all__ = [
    "CallableProbe",
    "DatabaseProbe",
    "HealthCheckProbe",
    "MigrationsProbe",
    "Probe",
    "ProbeError",
    "build",
]

"""Probes of this machine: disk space and memory."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

from health.probes.base import Probe, ProbeError
from health.probes.options import FilePath

MIB = 1024 * 1024
CGROUP = Path("/sys/fs/cgroup")


@dataclass
class DiskProbe(Probe):
    """That the file system of ``path`` has room: at least so many MiB, and so many percent."""

    path: FilePath = "/"
    min_free_mib: float = 100
    min_free_percent: float = 1

    def __post_init__(self) -> None:
        _demand_limits(self.min_free_mib, self.min_free_percent)

    def check(self, timeout: float) -> None:
        """Ask the file system."""
        total, _, free = shutil.disk_usage(self.path)
        _demand(f"{self.path}", free, total, self.min_free_mib, self.min_free_percent)


@dataclass
class MemoryProbe(Probe):
    """That memory can be had: of the machine, and of the control group that limits us."""

    min_free_mib: float = 50
    min_free_percent: float = 2

    def __post_init__(self) -> None:
        _demand_limits(self.min_free_mib, self.min_free_percent)

    def check(self, timeout: float) -> None:
        """Ask the kernel."""
        memory = psutil.virtual_memory()
        free, total = memory.available, memory.total
        limit, used = _cgroup("memory.max"), _cgroup("memory.current")
        if limit is not None and used is not None and limit < total:
            free, total = min(free, max(0, limit - used)), limit
        _demand("memory", free, total, self.min_free_mib, self.min_free_percent)


def _demand_limits(min_mib: float, min_percent: float) -> None:
    if not 0 <= min_mib < float("inf"):
        raise ValueError("min_free_mib must be 0 or more")
    if not 0 <= min_percent <= 100:
        raise ValueError("min_free_percent must be from 0 to 100")


def _cgroup(name: str) -> int | None:
    try:
        return int((CGROUP / name).read_text())
    except (OSError, ValueError):  # no limit ("max"), or no control groups
        return None


def _demand(what: str, free: int, total: int, min_mib: float, min_percent: float) -> None:
    wanted = max(min_mib * MIB, total * min_percent / 100)
    if free < wanted:
        raise ProbeError(f"{what}: {free / MIB:.0f} MiB are free, {wanted / MIB:.0f} are wanted")
